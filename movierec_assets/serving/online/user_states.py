"""States of all users of the loaded file as of one moment, made in a process of low priority.

Belongs here: folding everybody in, and the moment. Does not: when this is done (`keeper`), the form on the disk
(`stored`).

`python -m movierec_assets.serving.online.user_states CHAMPION` makes them for the champion in that directory of a part,
and prints the name of the new part.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import psycopg2
from scipy.sparse import csr_matrix

from movierec_assets.errors import ExplainedError
from movierec_assets.recsys import als, least_squares
from movierec_assets.recsys.interactions import NEVER, FloatArray, IntArray
from movierec_assets.recsys.next_movies import recency_weights
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.online import stored
from movierec_assets.serving.online.errand import end_with_parent, explained
from movierec_assets.serving.online.return_lists import with_lists
from movierec_assets.serving.online.snapshot import Champion, UserStates
from movierec_assets.settings import get_settings
from movierec_assets.tables.app_ratings import settled_watermark
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import RatedByUsers, histories_of, read_users

FIRST_APP_USER = 1_000_000_000
"""Users from this id on are of the app, and have no state here."""
NICENESS = 10
"""Requests come first: at 10, a busy processor gives a tenth of its time to this process."""
LOCK_TIMEOUT = "1s"
THREADS = 1


class NoMomentError(ExplainedError):
    """Ratings were being loaded or posted all the time; later it works."""


def make(database: Database, champion: Champion, batch_bytes: int) -> UserStates:
    """Fold everybody in.

    Parameters
    ----------
    database : Database
    champion : Champion
    batch_bytes : int
        Memory for one block of users.

    Raises
    ------
    NoMomentError
        When a file was loaded meanwhile, or a rating is being posted that never ends.
    DatabaseUnavailableError
    """
    version, watermark = _moment(database)
    blocks = _blocks(database, champion, batch_bytes)
    if version is None or _ratings_version(database) != version:
        raise NoMomentError("A file was loaded while the states of users were made.")
    return with_lists(_joined(champion, version, watermark, blocks), champion)


def _moment(database: Database) -> tuple[str | None, int]:
    """Version of the ratings of the file, and the watermark of those of the app, before ratings are read."""
    try:
        with database.transaction() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            watermark = settled_watermark(cursor)
    except psycopg2.errors.LockNotAvailable as error:
        raise NoMomentError("A rating that is being posted holds its table for long.") from error
    return _ratings_version(database), watermark


def _ratings_version(database: Database) -> str | None:
    found = database.rows(f"SELECT version FROM {SCHEMA}.loads WHERE table_name = 'ratings'")
    return found[0][0] if found else None


class _Block(NamedTuple):
    user_ids: IntArray
    vectors: FloatArray
    latest_at: IntArray
    rated: csr_matrix
    recent: csr_matrix | None


def _blocks(database: Database, champion: Champion, batch_bytes: int) -> list[_Block]:
    recommender = champion.recommender
    solve = least_squares.iterative(recommender.movie_factors, recommender.recipe.regularization, threads=THREADS)
    return [
        _block(recommender, ratings, solve, batch_bytes)
        for ratings in read_users(database, champion.positive_threshold, memory=batch_bytes)
    ]


def _block(recommender: Recommender, ratings: RatedByUsers, solve: least_squares.Solve, batch_bytes: int) -> _Block:
    histories = histories_of(ratings, recommender.ids.movie_ids)
    of_file = np.flatnonzero(histories.user_ids < FIRST_APP_USER)
    liked, rated = histories.liked.rows(of_file), histories.seen[of_file]
    rated.sort_indices()
    rated.data = np.zeros(rated.nnz, dtype=np.int8)  # nobody reads it
    vectors = als.fold_in(
        recommender.movie_factors,
        liked,
        recommender.recipe,
        recommender.confidence,
        solve=solve,
        batch_bytes=batch_bytes,
        threads=THREADS,
    )
    # Likes of movies that the model does not know count as well: somebody was there at that time.
    everywhere = _latest_likes(ratings)[of_file]
    latest_at = np.where(liked.latest == NEVER, NEVER, everywhere)
    signal = recommender.recipe.next_movie
    recent = recency_weights(liked, signal.tau) if recommender.scorer.on else None
    return _Block(histories.user_ids[of_file], vectors, latest_at, rated, recent)


def _latest_likes(ratings: RatedByUsers) -> IntArray:
    """Unix seconds of the latest like of each user, of any movie; NEVER without one."""
    users = np.repeat(np.arange(len(ratings.user_ids)), ratings.per_user)[ratings.liked]
    latest = np.full(len(ratings.user_ids), NEVER)
    np.maximum.at(latest, users, ratings.liked_at)
    return latest


def _joined(champion: Champion, version: str, watermark: int, blocks: list[_Block]) -> UserStates:
    """One block of all users, in the order of their ids."""
    recommender = champion.recommender
    n_movies, factors = recommender.movie_factors.shape
    user_ids: IntArray = np.concatenate([np.empty(0, np.int32), *(block.user_ids for block in blocks)])
    order = np.argsort(user_ids, kind="stable")
    recent = None
    if recommender.scorer.on:
        recent = _stacked([block.recent for block in blocks if block.recent is not None], order, n_movies)
    return UserStates(
        champion.version,
        champion.run_id,
        version,
        watermark,
        user_ids[order],
        np.concatenate([np.empty((0, factors), np.float32), *(block.vectors for block in blocks)])[order],
        _stacked([block.rated for block in blocks], order, n_movies),
        np.concatenate([np.empty(0, np.int64), *(block.latest_at for block in blocks)])[order],
        recent,
    )


def _stacked(parts: list[csr_matrix], order: IntArray, n_movies: int) -> csr_matrix:
    lengths = np.concatenate([np.empty(0, np.int64), *(np.diff(part.indptr) for part in parts)])
    starts = np.cumsum(lengths) - lengths
    chosen = lengths[order]
    indptr = np.concatenate([[0], np.cumsum(chosen)])
    entries = np.repeat(starts[order] - indptr[:-1], chosen) + np.arange(indptr[-1])

    def column(name: str, kind: Any) -> Any:
        return np.concatenate([np.empty(0, kind), *(getattr(part, name) for part in parts)])[entries]

    values = column("data", parts[0].dtype if parts else np.float32)
    return csr_matrix((values, column("indices", np.int32), indptr), shape=(len(order), n_movies))


def main(champion_name: str) -> None:
    """Make the states for a stored champion, and print the name of their part."""
    os.nice(NICENESS)
    settings = get_settings()
    directory = stored.directory_of(settings.state)
    champion = stored.read_champion(directory, champion_name)
    started = time.time()
    users = make(Database(settings.databases.ratings), champion, settings.batch_bytes)
    print(stored.write_users(directory, users, started), flush=True)


if __name__ == "__main__":
    end_with_parent()
    explained(lambda: main(sys.argv[1]))
