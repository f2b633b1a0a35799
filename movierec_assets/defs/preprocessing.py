"""From tables to matrices: the likes of each user, divided in time.

Belongs here: the assets of the group `preprocessing`. Does not: the division itself (`recsys.split`).

Dagster concept: multi-assets, https://docs.dagster.io/guides/build/assets/defining-assets#multi-asset
"""

import numpy as np
import pandas as pd
import polars as pl
from dagster import AssetExecutionContext, AssetOut, MetadataValue, Output, asset, multi_asset

from movierec_assets.defs.column_lineage import column_lineage
from movierec_assets.defs.ingestion import eligible_users
from movierec_assets.defs.presentation import (
    DATA_TEAM,
    PREPROCESSING,
    long_tail,
    rating_histogram,
    rows,
    schema,
    table,
)
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.run_limits import POOL
from movierec_assets.defs.sources import NothingLoadedError, require_ratings, sources_of
from movierec_assets.models.version import POSITIVE_THRESHOLD
from movierec_assets.ratings import ELIGIBLE_ABOVE, RatingColumns
from movierec_assets.recsys.errors import RecsysError, no_positives
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.split import leave_latest_out
from movierec_assets.resources.configurable import PostgresResource
from movierec_assets.resources.provenance import (
    FINGERPRINT,
    POSITIVES,
    SOURCES,
    SPLIT,
    SPLIT_PARTS,
    fingerprint,
    record,
    split_of,
)
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import counts_of, read_positives, titles_of
from movierec_assets.tables.insights import write_insight
from movierec_assets.tables.preprocessing_document import preprocessing_document


def _matrix(description: str) -> AssetOut:
    return AssetOut(
        description=description,
        io_manager_key="npz",
        group_name=PREPROCESSING,
        kinds={"scipy"},
        owners=[DATA_TEAM],
        code_version="1",
    )


@asset(
    group_name=PREPROCESSING,
    pool=POOL,
    deps=[eligible_users],
    io_manager_key="parquet",
    kinds={"postgres", "parquet", "pandas"},
    owners=[DATA_TEAM],
    code_version="2",
    metadata=schema(
        user_id=("int32", "In eligible_users"),
        movie_id=("int32", "In raw_movies"),
        rating=("float32", "Stars, at least the threshold"),
        rated_at=("int64", "Unix seconds"),
    ),
)
def positive_ratings(context: AssetExecutionContext, postgres: PostgresResource) -> pd.DataFrame:
    """Likes of eligible users: ratings of at least four stars; of a pair rated twice the latest counts."""
    threshold = get_settings().positive_threshold
    database = postgres.open()
    require_ratings(database, "positive_ratings", before="raw_ratings and eligible_users")
    sources = {**sources_of(database), POSITIVE_THRESHOLD: threshold}
    positives = report_progress(
        context.log,
        "Reading positives",
        lambda log: read_positives(database, threshold, lambda count: log(f"Read {count:,} positives")),
    )
    if len(positives) == 0:
        raise _no_positives(database, threshold)
    users = pl.Series(positives.user_id).n_unique()
    context.log.info(f"{len(positives):,} positives of {users:,} users")
    movies, counts = counts_of(positives.movie_id)
    best_liked = np.argsort(-counts, kind="stable")[:10]
    titles = titles_of(database, movies[best_liked])
    frame = pd.DataFrame(vars(positives))
    context.add_output_metadata(
        {
            **column_lineage("positive_ratings"),
            SOURCES: MetadataValue.json(sources),
            "threshold": MetadataValue.float(threshold),
            "users": MetadataValue.int(users),
            "movies": MetadataValue.int(len(movies)),
            "histogram": rating_histogram(*counts_of(positives.rating)),
            "long_tail": long_tail(counts),
            "preview": table(
                ["title", "likes"], [[titles.get(int(movies[index]), "?"), int(counts[index])] for index in best_liked]
            ),
        }
    )
    return frame


def _no_positives(database: Database, threshold: float) -> RecsysError | NothingLoadedError:
    ratings, users, eligible, best = database.rows(
        f"""SELECT count(*), count(DISTINCT c.user_id), count(DISTINCT e.user_id),
                   max(c.rating) FILTER (WHERE e.user_id IS NOT NULL)
            FROM {SCHEMA}.current_ratings c LEFT JOIN {SCHEMA}.eligible_users e USING (user_id)"""
    )[0]
    waiting = database.scalar(f"SELECT count(*) FROM {SCHEMA}.user_totals WHERE ratings > {ELIGIBLE_ABOVE}")
    if eligible == 0 and waiting:
        return NothingLoadedError(
            f"positive_ratings was materialized before eligible_users, which holds nobody yet; {waiting:,} users have "
            f"more than {ELIGIBLE_ABOVE} ratings. Materialize eligible_users first, or run the job `everything` "
            "(`movierec run`), which makes all assets in order."
        )
    load = database.last_load("ratings")
    source = load.source if load else f"{SCHEMA}.ratings"
    return no_positives(source, ratings=ratings, users=users, eligible=eligible, best=best, threshold=threshold)


@multi_asset(
    pool=POOL,
    name="split_matrices",
    outs={
        "train_matrix": _matrix("Positives earlier than each user's validation and test."),
        "validation_matrix": _matrix("Each user's latest positives before the test; for choosing a recipe."),
        "test_matrix": _matrix("Each user's latest positives; for reporting and the promotion gate only."),
        "id_maps": AssetOut(
            description="Which user is which row and which movie is which column, in all three matrices.",
            io_manager_key="parquet",
            group_name=PREPROCESSING,
            kinds={"parquet"},
            owners=[DATA_TEAM],
            code_version="1",
            metadata=schema(
                axis=("string", "user (rows) or movie (columns)"),
                position=("int32", "Row or column, from 0"),
                id=("int32", "MovieLens id; increasing with the position"),
            ),
        ),
    },
)
def split_matrices(
    context: AssetExecutionContext, postgres: PostgresResource, positive_ratings: pd.DataFrame
) -> tuple[Output[Interactions], Output[Interactions], Output[Interactions], Output[pd.DataFrame]]:
    """Leave-latest-out: the latest positives of each user are test, of the rest the latest are validation."""
    recorded = record(context.instance, "positive_ratings")
    positives = RatingColumns.of(positive_ratings)
    split, ids = report_progress(
        context.log, f"Dividing {len(positives):,} positives in time", lambda _: leave_latest_out(positives)
    )
    evaluated = split.evaluated_users("test")
    evaluated_test = int(split.test.per_user[evaluated].sum())
    database = postgres.open()
    load = database.last_load("ratings")
    steps = [
        ["rows read", load.details["rows_read"] if load else None],
        ["without missing values", load.details["rows_complete"] if load else None],
        ["positives", len(positive_ratings)],
        ["train", len(split.train)],
        ["validation", len(split.validation)],
        ["test", len(split.test)],
        [f"evaluated test ({len(evaluated):,} users)", evaluated_test],
    ]
    context.log.info(", ".join(f"{name}: {count:,}" for name, count in steps if isinstance(count, int)))

    threshold = float(recorded.get(SOURCES, {}).get(POSITIVE_THRESHOLD, get_settings().positive_threshold))
    write_insight(database, "preprocessing", preprocessing_document(database, positives, split, ids, threshold))
    maps = frame_of(ids)
    parts: dict[str, Interactions | pd.DataFrame] = dict(
        zip(SPLIT_PARTS, (split.train, split.validation, split.test, maps), strict=True)
    )
    together = {
        SPLIT: MetadataValue.text(split_of({name: fingerprint(part) for name, part in parts.items()})),
        SOURCES: MetadataValue.json({"protocol": "leave-latest-out", **recorded.get(SOURCES, {})}),
        POSITIVES: MetadataValue.text(recorded[FINGERPRINT]),
    }

    def output(name: str, part: Interactions) -> Output[Interactions]:
        return Output(
            part,
            output_name=name,
            metadata={
                **together,
                **rows(len(part)),
                "shape": MetadataValue.text(f"{part.shape[0]:,} users x {part.shape[1]:,} movies"),
                "density": MetadataValue.float(len(part) / max(1, part.shape[0] * part.shape[1])),
                "users": MetadataValue.int(int((part.per_user > 0).sum())),
                "steps": table(["step", "rows"], steps),
                "preview": _newest(part, ids, database),
            },
        )

    return (
        output("train_matrix", split.train),
        output("validation_matrix", split.validation),
        output("test_matrix", split.test),
        Output(
            maps,
            output_name="id_maps",
            metadata={
                **together,
                **column_lineage("id_maps"),
                "users": MetadataValue.int(ids.shape[0]),
                "movies": MetadataValue.int(ids.shape[1]),
                "evaluated_users": MetadataValue.int(len(evaluated)),
                "steps": table(["step", "rows"], steps),
                "preview": _first_rows(ids, database),
            },
        ),
    )


def _first_rows(ids: IdMaps, database: Database) -> MetadataValue[str]:
    users, movies = ids.user_ids[:3].tolist(), ids.movie_ids[:5].tolist()
    titles = titles_of(database, movies)
    return table(
        ["axis", "position", "id", "title"],
        [
            *(["user", position, str(user), ""] for position, user in enumerate(users)),
            *(["movie", position, str(movie), titles.get(movie, "?")] for position, movie in enumerate(movies)),
        ],
    )


def _newest(part: Interactions, ids: IdMaps, database: Database) -> MetadataValue[str]:
    users, movies, stars, rated_at = part.triplets()
    # A partition finds the latest eight without sorting ten million.
    latest = np.partition(rated_at, -8)[-8] if len(rated_at) > 8 else 0
    newest = np.flatnonzero(rated_at >= latest)
    newest = newest[np.argsort(-rated_at[newest], kind="stable")][:8]
    titles = titles_of(database, ids.movie_ids[movies[newest]])
    return table(
        ["user_id", "title", "stars", "rated at"],
        [
            [
                str(ids.user_ids[users[at]]),
                titles.get(int(ids.movie_ids[movies[at]]), "?"),
                f"{stars[at]:g}",
                f"{pd.Timestamp(int(rated_at[at]), unit='s'):%Y-%m-%d %H:%M}",
            ]
            for at in newest
        ],
    )


def frame_of(ids: IdMaps) -> pd.DataFrame:
    """Id maps as the table that `id_maps` stores."""
    return pd.concat(
        [
            pd.DataFrame({"axis": axis, "position": np.arange(len(values), dtype=np.int32), "id": values})
            for axis, values in (("user", ids.user_ids), ("movie", ids.movie_ids))
        ],
        ignore_index=True,
    )


def ids_from(frame: pd.DataFrame) -> IdMaps:
    """Id maps from the table that `id_maps` stores."""
    user_ids, movie_ids = (
        frame.loc[frame["axis"] == axis].sort_values("position")["id"].to_numpy() for axis in ("user", "movie")
    )
    return IdMaps(user_ids, movie_ids)
