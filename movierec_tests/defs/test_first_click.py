"""Materializing an asset before its inputs: the message says which assets to materialize first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from movierec_assets.recsys.backtest import Month
from movierec_assets.tables.database import SCHEMA
from movierec_tests.conftest import Dataset
from movierec_tests.datasets.test_judgement import rows_of
from movierec_tests.defs.harness import Platform, backtested, failures_of, metadata_of, own_platform, run

pytestmark = pytest.mark.slow

ALL_ASSETS = "__ASSET_JOB"
SPLIT = ("train_matrix", "validation_matrix", "test_matrix", "id_maps")


@pytest.fixture(scope="module")
def fresh(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("fresh")
    with own_platform(server_url, directory, directory / "tiny") as platform:
        yield platform


@pytest.mark.parametrize(
    ("assets", "first"),
    [
        (("eligible_users",), "Materialize raw_ratings first"),
        (("positive_ratings",), "Materialize raw_ratings and eligible_users first"),
        (SPLIT, "Materialize positive_ratings first"),
        (("hyperparameters",), "Materialize train_matrix first"),
        (("next_movies",), "Materialize id_maps first"),
        (("als_model",), "Materialize id_maps first"),
        (("champion_refit",), "Materialize als_model first"),
        (("return_evaluation",), "Materialize als_model first"),
        (("model_evaluation",), "Materialize als_model first"),
        (("champion_model",), "Materialize als_model first"),
        (("user_recommendations",), "Materialize champion_model and the assets before it first"),
        (("similar_movies",), "Materialize champion_model and the assets before it first"),
        (("popular_movies",), "Materialize champion_model and the assets before it first"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_asset_alone_in_a_fresh_state_says_what_to_materialize_first(
    fresh: Platform, monkeypatch: pytest.MonkeyPatch, assets: tuple[str, ...], first: str
) -> None:
    fresh.enter(monkeypatch)
    result = run(ALL_ASSETS, *assets)
    assert not result.success
    (failure,) = failures_of(result).values()
    assert first in failure
    assert "movierec run" in failure


def test_a_month_of_the_backtest_in_a_fresh_state_says_so_too(fresh: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.enter(monkeypatch)
    (failure,) = failures_of(backtested(Month(2003, 5), Month(2003, 5))).values()
    assert "Materialize positive_ratings first" in failure


def test_ratings_alone_in_a_fresh_state_are_loaded_with_their_movies(
    server_url: str, tmp_path: Path, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = rows_of(["2", "3.5", "4", "5"])
    dataset = make_dataset(good)
    with own_platform(server_url, tmp_path, dataset) as platform:
        result = run(ALL_ASSETS, "raw_ratings")
        assert result.success, failures_of(result)
        shown = metadata_of(result)
        assert (shown["raw_movies"]["dagster/row_count"], shown["raw_ratings"]["rejected_rows"]) == (40, 0)
        (failure,) = failures_of(run(ALL_ASSETS, "positive_ratings")).values()
        assert "12 users have more than 5 ratings. Materialize eligible_users first" in failure
        # A film that is new in both files.
        make_dataset(
            [*good, "1,41,4.5,1100000000"], [*(dataset / "movies.csv").read_text().splitlines()[1:], "41,New,"]
        )
        shown = metadata_of(run(ALL_ASSETS, "raw_ratings"))
        assert (shown["raw_movies"]["dagster/row_count"], shown["raw_ratings"]["rejected_rows"]) == (41, 0)
        assert platform.database.scalar(f"SELECT count(*) FROM {SCHEMA}.ratings WHERE movie_id = 41") == 1
