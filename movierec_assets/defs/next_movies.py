"""Which movies are liked soon after which, for the recipe that is trained next.

Belongs here: the asset `next_movies`, and the matrices of a recipe in a step that trains. Does not: counting
(`recsys.next_movies`), and training (`versions`).
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from dagster import AssetExecutionContext, MetadataValue, Output, asset

from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, rows, table
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.run_limits import POOL
from movierec_assets.defs.training_inputs import TrainingData, champion_of
from movierec_assets.defs.tuning import hyperparameters
from movierec_assets.models.champion import recognize_champion
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.recipes import recipe_to_try
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.next_movies_of_split import NextMoviesOfSplit
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.split import Split
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SOURCES, SPLIT
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.histories import titles_of

_SHOWN_MOVIES, _SHOWN_FOLLOWERS = 10, 5


@asset(
    group_name=TRAINING,
    pool=POOL,
    deps=[hyperparameters],
    io_manager_key="npz",
    kinds={"scipy"},
    owners=[MODEL_TEAM],
    code_version="1",
)
def next_movies(
    context: AssetExecutionContext,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    postgres: PostgresResource,
    registry: RegistryResource,
) -> Output[NextMoviesOfSplit]:
    """How strongly each movie follows each other in the likes of all users: the next-movie signal of the next training.

    Counted twice, in the likes before the test part for the fit that is scored, and in all likes for the version that
    is served. When the recipe to train has no such signal, nothing is counted.
    """
    database, versions = postgres.open(), registry.open()
    split = Split(train_matrix, validation_matrix, test_matrix)
    data = TrainingData.of_loaded(context.instance, database, "next_movies", split, id_maps)
    recognize_champion(versions, database)
    promotions = Promotions(versions, database)
    champion = champion_of(data, promotions)
    chosen = recipe_to_try(database, promotions, champion, data.dataset, data.positive_threshold)
    counted = count(context.log, split, chosen.recipe.next_movie)
    shown = {"recipe_source": MetadataValue.text(chosen.source), **_shown(data, counted, database)}
    return Output(counted, metadata=shown)


def count(log: Any, split: Split, signal: NextMovie) -> NextMoviesOfSplit:
    """Count the transitions of a split, with a line in the log every few seconds."""
    return report_progress(
        log,
        f"Counting which movies are liked soon after which in {len(split):,} positives",
        lambda report: NextMoviesOfSplit.of(
            split,
            signal,
            batch_bytes=get_settings().batch_bytes,
            progress=lambda done, of: report(f"Counted the followers of {done:,} of {of:,} movies"),
        ),
    )


def matrices_for(log: Any, split: Split, counted: NextMoviesOfSplit, signal: NextMovie) -> NextMoviesOfSplit:
    """The matrices for a recipe's signal: those of the asset where they fit it, or else new ones."""
    found = counted.usable_for(signal)
    if found is None:
        log.info("The asset next_movies was counted for another recipe; counting again for this one")
        found = count(log, split, signal)
    return found


def _shown(data: TrainingData, counted: NextMoviesOfSplit, database: Database) -> dict[str, Any]:
    """Metadata of next_movies."""
    scored, served = (0 if each is None else len(each) for each in (counted.scored, counted.served))
    shown = {
        SPLIT: MetadataValue.text(data.split_id),
        SOURCES: MetadataValue.json(data.sources),
        "dataset": MetadataValue.text(str(data.dataset)),
        "signal": MetadataValue.json(asdict(counted.signal)),
        **rows(served),
        "movies": MetadataValue.int(data.counts["movies"]),
        "transitions": MetadataValue.int(served),
        "transitions_before_the_test": MetadataValue.int(scored),
    }
    if note := _note(counted):
        shown["note"] = MetadataValue.text(note)
    if counted.served is None:
        return shown
    followers = np.diff(counted.served.matrix.indptr)
    return shown | {
        "movies_with_followers": MetadataValue.int(int((followers > 0).sum())),
        "most_followers": MetadataValue.int(int(followers.max(initial=0))),
        "preview": _preview(data, counted.served, database),
    }


def _note(counted: NextMoviesOfSplit) -> str:
    """Why there is no signal; empty where there is one."""
    if not counted.signal.on:
        return "The recipe has no next-movie signal; nothing is counted, and movies are ranked by ALS alone."
    for matrix, likes in ((counted.served, "likes"), (counted.scored, "likes before the test part")):
        if matrix is not None and len(matrix) == 0:
            return f"No user has {likes} at two different times, so nothing follows anything: the signal adds nothing."
    return ""


def _preview(data: TrainingData, served: NextMovies, database: Database) -> MetadataValue[str]:
    """The strongest followers of the movies with most likes."""
    best_known = np.argsort(-data.split.per_movie, kind="stable")
    followed = best_known[np.diff(served.matrix.indptr)[best_known] > 0]
    found = {int(movie): _followers(served, movie) for movie in followed[:_SHOWN_MOVIES]}
    columns = [*found, *(follower for followers in found.values() for follower in followers)]
    titles = titles_of(database, data.ids.movie_ids[columns])

    def title(column: int) -> str:
        return titles.get(int(data.ids.movie_ids[column]), "?")

    body = [[title(movie), "; ".join(map(title, followers))] for movie, followers in found.items()]
    return table(["after", "users like soon"], body)


def _followers(served: NextMovies, movie: int) -> list[int]:
    """Columns of a movie's strongest followers."""
    row = slice(served.matrix.indptr[movie], served.matrix.indptr[movie + 1])
    order = np.argsort(-served.matrix.data[row], kind="stable")[:_SHOWN_FOLLOWERS]
    return [int(column) for column in served.matrix.indices[row][order]]
