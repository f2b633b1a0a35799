"""The original recipe of this project as one program, from CSV files to metrics.

Belongs here: COPY into tables that already have keys and indexes, the view of users with more than five ratings,
`pandas.read_sql`, the split user by user, BM25, 128 factors, 25 iterations, the top 10 and their metrics. Steps are as
fast as the original's design allows. Metrics are those of the platform. Does not: the same recipe on given matrices,
which is `recsys.baselines.original_recipe`.

    python -m movierec_tests.benchmarks.original DATASET_DIR RESULT_JSON
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import bm25_weight
from scipy.sparse import csr_matrix
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from threadpoolctl import threadpool_limits

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.recsys import metrics
from movierec_assets.recsys.interactions import IntArray
from movierec_assets.settings import get_settings

SCHEMA = "original"
K = 10
_MIN_LIKED_RATING = 4.0
_MIN_LIKES = 4
_BATCH = 1000
_PADDING = -1e30
"""`implicit` fills a short list with movies of the history, whose scores are below this."""

_TABLES = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.movies (movie_id integer PRIMARY KEY, title text NOT NULL, genres text NOT NULL);
CREATE TABLE {SCHEMA}.ratings (
    user_id  integer NOT NULL,
    movie_id integer NOT NULL REFERENCES {SCHEMA}.movies,
    rating   numeric(2, 1) NOT NULL,
    rated_at bigint NOT NULL,
    PRIMARY KEY (user_id, movie_id)
);
CREATE INDEX ON {SCHEMA}.ratings (user_id);
CREATE INDEX ON {SCHEMA}.ratings (movie_id);
CREATE INDEX ON {SCHEMA}.ratings (rating);
CREATE MATERIALIZED VIEW {SCHEMA}.active_users AS
    SELECT user_id FROM {SCHEMA}.ratings GROUP BY user_id HAVING count(*) > 5 WITH NO DATA;
"""
_RATINGS = f"""
SELECT user_id, movie_id, rating, rated_at FROM {SCHEMA}.ratings
WHERE user_id IN (SELECT user_id FROM {SCHEMA}.active_users)
"""


@dataclass(frozen=True)
class Matrices:
    """Likes that the fit learns from, and held-out likes.

    Attributes
    ----------
    train, test : csr_matrix, shape (n_users, n_movies)
        Ones where a user liked a movie.
    user_ids, movie_ids : int array
        Of rows and columns, in the order of the ratings.
    """

    train: csr_matrix
    test: csr_matrix
    user_ids: IntArray
    movie_ids: IntArray

    @property
    def evaluated(self) -> IntArray:
        """Rows of the users who are scored: those with enough likes in `train`, and some in `test`."""
        return np.flatnonzero((np.diff(self.train.indptr) >= _MIN_LIKES) & (np.diff(self.test.indptr) > 0))


@dataclass(frozen=True)
class Original:
    """Times and metrics of the recipe.

    Attributes
    ----------
    seconds : dict of float
        By stage: load, refresh, read, split, bm25, fit, rank, score.
    started, ended : dict of float
        Unix seconds of each stage.
    metrics : dict of float
        Means over the evaluated users.
    """

    seconds: dict[str, float]
    started: dict[str, float]
    ended: dict[str, float]
    ratings: int
    positives: int
    users: int
    metrics: dict[str, float]


def create_tables(database_url: str) -> None:
    """Create the tables with all their indexes, in place of those of an earlier run."""
    _execute(database_url, lambda cursor: cursor.execute(_TABLES))


def load(files: MovieLensFiles, database_url: str) -> None:
    """COPY both files into the indexed tables."""

    def copy(cursor: Any) -> None:
        for table, path in (("movies", files.movies), ("ratings", files.ratings)):
            with path.open("rb") as file:
                cursor.copy_expert(f"COPY {SCHEMA}.{table} FROM STDIN (FORMAT csv, HEADER)", file)

    _execute(database_url, copy)


def refresh(database_url: str) -> None:
    """Fill the view of users with more than five ratings."""
    _execute(database_url, lambda cursor: cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.active_users"))


def read(database_url: str) -> pd.DataFrame:
    """All ratings of the users in the view, through SQLAlchemy into pandas."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg2"))
    try:
        with engine.connect() as connection:
            return pd.read_sql(_RATINGS, connection)
    finally:
        engine.dispose()


def split(ratings: pd.DataFrame) -> Matrices:
    """Hold out each user's likes of the latest time; users without earlier likes are left out.

    Parameters
    ----------
    ratings : DataFrame
        Columns user_id, movie_id, rating and rated_at.
    """
    liked = ratings[ratings["rating"] >= _MIN_LIKED_RATING].copy()
    by_user = liked.groupby("user_id", sort=False)["rated_at"]
    liked["held_out"] = by_user.transform(lambda times: times == times.max()).astype(bool)
    some_earlier = liked.groupby("user_id", sort=False)["held_out"].transform(lambda held_out: not held_out.all())
    liked = liked[some_earlier.astype(bool)]
    rows, user_ids = pd.factorize(liked["user_id"])
    columns, movie_ids = pd.factorize(liked["movie_id"])
    held_out = liked["held_out"].to_numpy()

    def matrix(chosen: Any) -> csr_matrix:
        ones = np.ones(int(chosen.sum()), dtype=np.float32)
        return csr_matrix((ones, (rows[chosen], columns[chosen])), shape=(len(user_ids), len(movie_ids)))

    return Matrices(matrix(~held_out), matrix(held_out), np.asarray(user_ids), np.asarray(movie_ids))


def fit(weighted: csr_matrix, seed: int) -> AlternatingLeastSquares:
    """128 factors, 25 iterations."""
    model = AlternatingLeastSquares(factors=128, regularization=0.1, iterations=25, random_state=seed)
    with threadpool_limits(1, user_api="blas"):
        model.fit(weighted, show_progress=False)
    return model


def rank(model: AlternatingLeastSquares, weighted: csr_matrix, users: IntArray) -> IntArray:
    """Ten unseen movies for each user, as columns; -1 marks an empty position. Shape (n_users, 10)."""
    wanted = min(K, weighted.shape[1])
    lists = np.full((len(users), K), -1, dtype=np.int64)
    for start in range(0, len(users), _BATCH):
        chosen = users[start : start + _BATCH]
        movies, scores = model.recommend(chosen, weighted[chosen], N=wanted)
        lists[start : start + _BATCH, :wanted] = np.where(scores > _PADDING, movies, -1)
    return lists


def score(lists: IntArray, matrices: Matrices) -> dict[str, float]:
    """Means of each metric at 10 over the evaluated users."""
    found = metrics.score(lists, matrices.test[matrices.evaluated], K)
    return {f"{name}_at_{K}": float(values.mean()) for name, values in found.items()}


def run(files: MovieLensFiles, database_url: str, seed: int = 1) -> Original:
    """All stages, one after the other, each timed.

    Parameters
    ----------
    files : MovieLensFiles
    database_url : str
        libpq URL; the schema `original` is created anew in that database.
    seed : int
        Of the fit.
    """
    started: dict[str, float] = {}
    ended: dict[str, float] = {}

    def timed(name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        print(f"original recipe: {name}", file=sys.stderr, flush=True)
        started[name] = time.time()
        result = work(*arguments)
        ended[name] = time.time()
        return result

    create_tables(database_url)
    timed("load", load, files, database_url)
    timed("refresh", refresh, database_url)
    ratings = timed("read", read, database_url)
    matrices: Matrices = timed("split", split, ratings)
    weighted = timed("bm25", lambda: bm25_weight(matrices.train, K1=100, B=0.8).tocsr())
    model = timed("fit", fit, weighted, seed)
    lists = timed("rank", rank, model, weighted, matrices.evaluated)
    means = timed("score", score, lists, matrices)
    return Original(
        seconds={name: ended[name] - started[name] for name in started},
        started=started,
        ended=ended,
        ratings=len(ratings),
        positives=int(matrices.train.nnz + matrices.test.nnz),
        users=len(matrices.evaluated),
        metrics=means,
    )


def _execute(database_url: str, work: Callable[[Any], None]) -> None:
    connection = psycopg2.connect(database_url)
    try:
        with connection, connection.cursor() as cursor:
            work(cursor)
    finally:
        connection.close()


def main(directory: str, result: str) -> None:
    """Run the recipe in the database of the workspace and write its times and metrics."""
    found = run(MovieLensFiles.at(Path(directory)), get_settings().databases.ratings)
    Path(result).write_text(json.dumps(asdict(found)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
