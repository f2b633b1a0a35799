"""The original recipe: by hand, and compared with the same recipe on matrices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from implicit.nearest_neighbours import bm25_weight

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import metrics
from movierec_assets.recsys.baselines import original_recipe
from movierec_assets.recsys.interactions import IntArray, Interactions
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.split import leave_latest_out
from movierec_assets.tables.database import Database
from movierec_tests.benchmarks import original
from movierec_tests.benchmarks.original import SCHEMA


def frame(*rows: tuple[int, int, float, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "rated_at"])


def pairs(matrices: original.Matrices, part: str) -> set[tuple[int, int]]:
    rows, columns = getattr(matrices, part).nonzero()
    return set(zip(matrices.user_ids[rows].tolist(), matrices.movie_ids[columns].tolist(), strict=True))


def difference(items: IntArray, ranked: TopK, n_movies: int) -> float:
    """Largest difference between the score of a listed movie and the score at its position in ranked lists."""
    scores = np.full((len(items), n_movies), -np.inf)
    users, positions = np.nonzero(ranked.items >= 0)
    scores[users, ranked.items[users, positions]] = ranked.scores[users, positions]
    return float(np.abs(np.take_along_axis(scores, items, axis=1) - ranked.scores[:, : items.shape[1]]).max())


def test_the_latest_likes_of_each_user_are_held_out() -> None:
    found = original.split(
        frame(
            (1, 10, 4.0, 100),
            (1, 11, 5.0, 200),
            (1, 12, 4.5, 200),
            (1, 13, 3.5, 300),  # no like
            (2, 10, 4.0, 50),
            (2, 11, 4.0, 50),  # all at one time: none to train on
            (3, 12, 5.0, 7),
            (3, 10, 5.0, 8),
        )
    )
    assert pairs(found, "train") == {(1, 10), (3, 12)}
    assert pairs(found, "test") == {(1, 11), (1, 12), (3, 10)}


def test_users_with_few_likes_are_not_scored() -> None:
    enough = [(1, movie, 4.0, movie) for movie in range(5)]
    found = original.split(frame(*enough, *[(2, movie, 4.0, movie) for movie in range(4)]))
    assert found.user_ids[found.evaluated].tolist() == [1]


def test_metrics_by_hand() -> None:
    likes = [(1, movie, 4.0, 1) for movie in range(4)] + [(1, 4, 4.0, 2), (1, 5, 4.0, 2)]
    matrices = original.split(frame(*likes, *[(2, movie, 5.0, 0) for movie in range(6, 20)], (2, 0, 5.0, 1)))
    column = {int(movie): number for number, movie in enumerate(matrices.movie_ids)}
    one = [column[8], column[4], *[-1] * 8]
    two = [column[0], *[-1] * 9]
    found = original.score(np.array([one, two]), matrices)
    assert found["ndcg_at_10"] == pytest.approx(((1 / np.log2(3)) / (1 + 1 / np.log2(3)) + 1) / 2)
    assert found["map_at_10"] == pytest.approx((0.25 + 1) / 2)
    assert found["truncated_recall_at_10"] == pytest.approx(0.75)


def test_tables_have_keys_and_indexes_before_they_are_filled(
    database: Database, make_dataset: Callable[..., Path]
) -> None:
    lines = [f"{user},{movie},{movie % 10 / 2 + 0.5},{movie}" for user in (1, 2) for movie in range(1, 4 + 2 * user)]
    files = MovieLensFiles.at(make_dataset(lines))
    original.create_tables(database.url)
    indexes = database.scalar(
        "SELECT count(*) FROM pg_indexes WHERE schemaname = %s AND tablename = 'ratings'", [SCHEMA]
    )
    keys = database.rows(
        "SELECT contype FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN ('p', 'f') ORDER BY 1",
        [f"{SCHEMA}.ratings"],
    )
    assert (indexes, keys) == (4, [("f",), ("p",)])
    original.load(files, database.url)
    original.refresh(database.url)
    read = original.read(database.url)
    assert set(read["user_id"]) == {2}  # more than five ratings
    assert read["rating"].dtype == np.float64
    original.create_tables(database.url)
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.ratings") == 0


def test_lists_are_those_of_the_baseline_on_the_same_matrix(tmp_path: Path) -> None:
    ratings = pd.read_csv(make_demo(tmp_path / "demo", users=80) / "ratings.csv")
    matrices = original.split(ratings.set_axis(["user_id", "movie_id", "rating", "rated_at"], axis=1))
    weighted = bm25_weight(matrices.train, K1=100, B=0.8).tocsr()
    lists = original.rank(original.fit(weighted, 1), weighted, matrices.evaluated)
    rows, columns = matrices.train.nonzero()
    likes = np.full(len(rows), 4.0, dtype=np.float32)
    history = Interactions.from_triplets(
        rows, columns, likes, np.zeros(len(rows), dtype=np.int64), matrices.train.shape
    )
    known = history.rows(matrices.evaluated)
    same, other = (
        difference(lists, original_recipe(history, known, known.shape[1], seed, matrices.evaluated), known.shape[1])
        for seed in (1, 2)
    )
    # Sums in another order may swap neighbours whose scores are almost equal.
    assert same < 2e-4
    assert other > 4e-4


def test_the_whole_recipe_is_as_good_as_the_baseline(database: Database, tmp_path: Path) -> None:
    files = MovieLensFiles.at(make_demo(tmp_path / "demo", users=80))
    found = original.run(files, database.url)
    assert [*found.seconds] == ["load", "refresh", "read", "split", "bm25", "fit", "rank", "score"]
    ratings = original.read(database.url)
    liked = ratings[ratings["rating"] >= 4]
    split, _ = leave_latest_out(RatingColumns.of(liked))
    history = split.before("test")
    users = split.evaluated_users("test")
    assert found.users == len(users)
    lists = [original_recipe(history, history.rows(users), 10, seed, users) for seed in (1, 2, 3)]
    baseline = [metrics.score(each.items, split.test.stars[users], 10).ndcg.mean() for each in lists]
    # Start values differ, because columns have another order.
    assert found.metrics["ndcg_at_10"] == pytest.approx(np.mean(baseline), rel=0.35)
