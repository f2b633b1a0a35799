"""Data that no version may be trained on: which runs stop, and which tables and versions stay."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from dagster import AssetCheckResult, ExecuteInProcessResult, MaterializeResult, MetadataValue, build_asset_context

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.defs.checks import most_rows_loaded
from movierec_assets.defs.ingestion import eligible_users
from movierec_assets.defs.preprocessing import positive_ratings
from movierec_assets.host import evaluation
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.resources.configurable import PostgresResource
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import read_positives
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset
from movierec_tests.defs.harness import (
    RATING_COLUMNS,
    Platform,
    count_users,
    failed_checks,
    failures_of,
    metadata_of,
    new_app_users,
    own_platform,
    run,
)
from movierec_tests.waiting import PATIENCE, until_somebody_waits

_DAY = 86_400
_START = 1_000_000_000


def _ratings(users: int = 25, each: int = 14, stars: tuple[float, ...] = (2.0, 3.0, 4.5, 5.0)) -> list[str]:
    """Lines of users who rate some of forty films, one a day, with two tastes that a fit can learn."""
    rng = random.Random(7)
    low, high = stars[: len(stars) // 2] or stars, stars[len(stars) // 2 :]
    return [
        f"{user},{movie},{rng.choice(high if (user + movie) % 2 else low)},{_START + day * _DAY}"
        for user in range(1, users + 1)
        for day, movie in enumerate(rng.sample(range(1, 41), each))
    ]


@dataclass(frozen=True)
class State:
    """Versions and tables that must stay when a run is refused."""

    champion: int
    versions: int
    served: tuple[Any, ...]
    loaded: tuple[Any, ...]


def _state(platform: Platform) -> State:
    def digest(*tables: str) -> tuple[Any, ...]:
        return tuple(
            platform.database.rows(
                f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {SCHEMA}.{n} t"
            )
            for n in tables
        )

    return State(
        platform.champion().number,
        len(platform.registry.versions()),
        digest("user_recommendations", "similar_movies", "popular_movies"),
        digest("movies", "ratings", "rejected_ratings", "loads", "user_totals", "eligible_users"),
    )


def _assert_same_service(platform: Platform, before: State) -> None:
    after = _state(platform)
    assert (after.champion, after.versions, after.served) == (before.champion, before.versions, before.served)


@pytest.fixture(scope="module")
def _standing(
    server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, ExecuteInProcessResult]]:
    directory = tmp_path_factory.mktemp("standing")
    dataset = directory / "good"
    dataset.mkdir()
    films = [f"{number},Film {number} (19{number % 90 + 10}),Drama" for number in range(1, 42)]
    (dataset / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *_ratings()]) + "\n")
    (dataset / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]) + "\n")
    with own_platform(server_url, directory, dataset) as platform:
        yield platform, run()


@pytest.fixture
def platform(_standing: tuple[Platform, ExecuteInProcessResult], monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with a champion and recommendations from good data."""
    standing, result = _standing
    assert result.success, failures_of(result)
    standing.enter(monkeypatch)
    return standing


def _run_on(directory: Path, monkeypatch: pytest.MonkeyPatch, job: str = "everything") -> ExecuteInProcessResult:
    monkeypatch.setenv("MOVIEREC_DATASET", str(directory))
    return run(job)


@pytest.mark.slow
def test_a_file_with_many_rejected_rows_changes_nothing_and_is_not_trained_on_when_its_limit_is_raised(
    platform: Platform, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _state(platform)
    good = _ratings(20)
    bad = [f"{user},999,4.0,{_START}" for user in range(1, 121)]
    directory = make_dataset([*good, *bad])
    result = _run_on(directory, monkeypatch)
    (failure,) = failures_of(result).values()
    assert f"{directory / 'ratings.csv'}: 120 of 400 rows (30.0%) do not load; at most 10% may" in failure
    assert f"120 rows: unknown movie; first line 282: 1,999,4.0,{_START}\nLikely cause: The file of movies" in failure
    assert "set MOVIEREC_MAX_REJECTED_SHARE=0.3.\nNothing was replaced" in failure
    assert _state(platform) == before
    monkeypatch.setenv("MOVIEREC_MAX_REJECTED_SHARE", "0.3")
    loaded = _run_on(directory, monkeypatch, "refresh")
    assert loaded.success
    assert "30.00%" in failed_checks(loaded)["most_rows_loaded"]
    assert platform.database.scalar(f"SELECT count(*) FROM {SCHEMA}.rejected_ratings") == 120
    monkeypatch.delenv("MOVIEREC_MAX_REJECTED_SHARE")
    result = _run_on(directory, monkeypatch)
    assert not result.success
    assert "at most 10% may be" in failed_checks(result)["most_rows_loaded"]
    assert "als_model" not in metadata_of(result)
    _assert_same_service(platform, before)
    assert platform.registry.runs_of(result.run_id) == []


@pytest.mark.slow
def test_a_few_rejected_rows_are_a_warning(
    platform: Platform, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run_on(make_dataset([*_ratings(20), *(["bad"] * 15)]), monkeypatch, "refresh")
    assert result.success
    assert "rows rejected, this check warns above 1%; see " in failed_checks(result)["most_rows_loaded"]


@pytest.mark.slow
def test_when_nobody_can_be_evaluated_nothing_is_registered(
    platform: Platform, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _state(platform)
    # Seven ratings of five users; the three latest are likes, and the two before the last are too few to train on.
    pairs = [line.split(",")[:2] for line in _ratings()]
    lines = [
        f"{user},{movie},{4.0 if day > 3 else 2.0},{_START + day * _DAY}"
        for number in range(1, 6)
        for day, (user, movie) in enumerate([pair for pair in pairs if pair[0] == str(number)][:7])
    ]
    result = _run_on(make_dataset(lines), monkeypatch)
    assert not result.success
    assert set(failed_checks(result)) == {"somebody_can_be_evaluated"}
    assert "MOVIEREC_POSITIVE_THRESHOLD" in failed_checks(result)["somebody_can_be_evaluated"]
    _assert_same_service(platform, before)
    assert platform.registry.runs_of(result.run_id) == []


@pytest.mark.slow
def test_ratings_below_the_threshold_are_refused_with_the_remedy(
    platform: Platform, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _state(platform)
    directory = make_dataset([*_ratings(stars=(0.5, 3.5)), *(f"{user},1,5.0,{_START}" for user in range(101, 104))])
    result = _run_on(directory, monkeypatch)
    assert not result.success
    (failure,) = failures_of(result).values()
    assert f"None of the 353 ratings in {directory} is a positive" in failure
    assert "25 of 28 users have more than 5 ratings" in failure
    assert "the best rating among theirs is 3.5, below the 4 stars of a positive" in failure
    assert "Lower MOVIEREC_POSITIVE_THRESHOLD" in failure
    _assert_same_service(platform, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("ratings.csv", b"", "the file is empty"),
        ("ratings.csv", b"1,1,4.0,1000000000\n", "the header is missing"),
        (
            "ratings.csv",
            b"userId,movieId,rating\n1,1,4.0\n",
            "no column timestamp, found userId,movieId,rating. Nothing is",
        ),
        ("ratings.csv", b"userId,movieId,rating,timestamp\n1,1,7,1000000000\n", "rating off the half-star grid"),
        ("movies.csv", None, "movies.csv missing"),
    ],
)
def test_files_that_cannot_be_read_are_refused_by_name_and_change_nothing(
    platform: Platform,
    make_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    content: bytes | None,
    says: str,
) -> None:
    directory = make_dataset(_ratings())
    if content is None:
        (directory / file).unlink()
    else:
        (directory / file).write_bytes(content)
    before = _state(platform)
    result = _run_on(directory, monkeypatch)
    assert not result.success
    (failure,) = failures_of(result).values()
    assert says in failure
    assert str(directory) in failure
    assert _state(platform) == before


@pytest.mark.slow
def test_a_movie_nobody_rated_and_a_user_with_one_positive_do_no_harm(
    platform: Platform, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_like = [f"900,{movie},{5.0 if movie == 1 else 2.0},{_START + movie * _DAY}" for movie in range(1, 9)]
    no_like = [f"901,{movie},1.0,{_START + movie * _DAY}" for movie in range(1, 9)]
    too_few = [f"902,{movie},5.0,{_START + movie * _DAY}" for movie in range(1, 3)]
    result = _run_on(make_dataset([*_ratings(each=12), *one_like, *no_like, *too_few]), monkeypatch)
    assert result.success, failures_of(result)
    lists = platform.database.rows(
        f"""SELECT user_id, count(*), max(score) > 0, bool_or(movie_id IN (
                SELECT movie_id FROM {SCHEMA}.ratings r WHERE r.user_id = u.user_id))
            FROM {SCHEMA}.user_recommendations u WHERE user_id >= 900 GROUP BY 1 ORDER BY 1"""
    )
    assert lists == [(900, 20, True, False), (901, 20, False, False), (902, 20, True, False)]
    evaluated = metadata_of(result)["model_evaluation"]["evaluated_users"]
    assert evaluated <= 25, "none of the three is evaluated"


def test_users_counted_while_ratings_are_swapped_are_those_of_the_new_ratings(database: Database) -> None:
    def ratings_of(user: int) -> dict[str, Any]:
        movies = np.arange(1, 8)
        return {
            "user_id": np.full(7, user),
            "movie_id": movies,
            "rating": np.full(7, 4.0),
            "rated_at": np.full(7, _START),
        }

    with database.replace("ratings") as table:
        table.write(ratings_of(1), RATING_COLUMNS)
        count_users(table)
    with ThreadPoolExecutor() as pool:
        with database.replace("ratings") as table:
            table.write(ratings_of(2), RATING_COLUMNS)
            count_users(table)
            # The load holds this lock from the swap to its commit. Taking it here makes the refresh wait.
            table.cursor.execute(f"LOCK TABLE {SCHEMA}.ratings IN ACCESS EXCLUSIVE MODE")
            resource = PostgresResource(url=database.url)
            refreshed = pool.submit(_refresh_after_opening, resource)
            until_somebody_waits(database)
        refreshed.result(timeout=PATIENCE)
    assert database.rows(f"SELECT user_id, ratings FROM {SCHEMA}.eligible_users") == [(2, 7)]


@pytest.mark.parametrize("each", [5, 6])
def test_without_users_of_more_than_five_ratings_the_stars_are_not_blamed(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, each: int
) -> None:
    directory = make_dataset(_ratings(users=8, each=each, stars=(4.0,)))
    files = MovieLensFiles.at(directory)
    load_movies(database, files)
    load_ratings(database, files)
    resource = PostgresResource(url=database.url)
    _refresh_after_opening(resource)
    if each > 5:
        assert len(read_positives(database, 4.0)) == len(evaluation.read_positives(files, 4.0, lambda *_: None)) == 48
        return
    says = r"None of the 40 ratings in .*tiny.*none of the 8 users has that many\. Load a dataset with more ratings"
    with pytest.raises(RecsysError, match=says):
        positive_ratings(build_asset_context(), postgres=resource)
    with pytest.raises(RecsysError, match=says):
        evaluation.read_positives(files, 4.0, lambda *_: None)


def test_app_ratings_of_unknown_movies_are_shown_with_eligible_users_and_not_blamed_on_the_file(
    database: Database, make_dataset: Dataset
) -> None:
    files = MovieLensFiles.at(make_dataset(_ratings(users=8, each=6)))
    load_movies(database, files)
    load_ratings(database, files)
    with database.transaction() as cursor:
        user = new_app_users(cursor)[0]
        cursor.execute(
            f"""INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating)
                SELECT %s, movie_id, 4 FROM generate_series(1, 99) movie_id""",
            [user],
        )
    resource = PostgresResource(url=database.url)
    found = cast(MaterializeResult[None], eligible_users(build_asset_context(), postgres=resource))
    assert found.metadata is not None
    assert found.metadata["rejected_app_ratings"] == MetadataValue.int(99 - 40)
    rows = f"SELECT count(*) FROM {SCHEMA}.rejected_ratings WHERE file = 'app_ratings'"
    assert database.scalar(rows) == 99 - 40
    assert database.rows(f"SELECT ratings FROM {SCHEMA}.eligible_users WHERE user_id = %s", [user]) == [(40,)]
    checked = cast(AssetCheckResult, most_rows_loaded(resource))
    assert checked.passed
    assert checked.metadata["rejected_share"] == MetadataValue.float(0.0)


def _refresh_after_opening(postgres: PostgresResource) -> None:
    eligible_users(build_asset_context(), postgres=postgres)
