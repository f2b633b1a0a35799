"""The sensor by which the serving tables follow the champion."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from dagster import (
    AssetKey,
    AssetObservation,
    DagsterInstance,
    DagsterRunStatus,
    ExecuteInProcessResult,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
)

from movierec_assets.definitions import build
from movierec_assets.defs.attempts import ATTEMPTS, PAUSE, PRESUMED_KILLED, Attempt
from movierec_assets.defs.publishing import (
    DECISION_TAG,
    champion_sensor,
    plan_publication,
    publishing_runs,
)
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    load_again,
    load_as,
    lose_champion,
    move_alias,
    promotions_of,
    register,
)

pytestmark = pytest.mark.slow  # every module has a real MLflow and Postgres

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SERVED: dict[str, int | None] = {"user_recommendations": 1, "similar_movies": 1, "popular_movies": 1}


@pytest.fixture
def platform(platform: Platform) -> Platform:
    """A platform with ratings, an empty registry, no history, and no runs."""
    with DagsterInstance.get() as instance:
        for one in instance.get_runs():
            instance.delete_run(one.run_id)
    return platform


def _tick(platform: Platform, uri: str | None = None) -> SensorResult | SkipReason:
    resources = {
        "registry": RegistryResource(uri=uri),
        "postgres": PostgresResource(url=platform.settings.databases.ratings),
    }
    with DagsterInstance.get() as instance:
        found = champion_sensor(build_sensor_context(instance=instance, resources=resources))
    assert isinstance(found, SensorResult | SkipReason)
    return found


def _look(platform: Platform, uri: str | None = None) -> list[RunRequest] | str:
    """Requests of the sensor, or why there is none."""
    found = _tick(platform, uri)
    if isinstance(found, SkipReason):
        return str(found.skip_message)
    if found.run_requests:
        return list(found.run_requests)
    assert found.skip_reason is not None
    return str(found.skip_reason.skip_message)


def _request(platform: Platform) -> RunRequest:
    found = _look(platform)
    assert not isinstance(found, str), found
    (request,) = found
    return request


def _serve_as(request: RunRequest) -> ExecuteInProcessResult:
    """Run the request, tagged as the daemon tags it."""
    with DagsterInstance.get() as instance:
        return (
            build()
            .resolve_job_def("publish")
            .execute_in_process(instance=instance, tags=dict(request.tags), raise_on_error=False)
        )


# When to publish


def _next(
    champion: int = 2,
    served: dict[str, int | None] | None = None,
    under_way: tuple[str, ...] = (),
    attempts: tuple[Attempt, ...] = (),
    now: datetime = NOW,
) -> tuple[str | None, str]:
    plan = plan_publication(champion, 7, SERVED if served is None else served, under_way, attempts, now)
    return plan.run_key, plan.reason


def test_tables_of_another_version_are_published_by_a_key_of_the_decision() -> None:
    key, reason = _next()
    assert key == "decision-7-1"
    assert "user_recommendations 1" in reason


def test_tables_of_the_champion_are_left_alone_also_where_one_has_no_rows() -> None:
    assert _next(champion=1)[0] is None
    assert _next(champion=1, served=SERVED | {"user_recommendations": None})[0] is None


def test_empty_tables_and_a_mixture_are_published() -> None:
    assert _next(served=dict.fromkeys(SERVED)) == ("decision-7-1", "Champion 2, the tables carry nothing.")
    assert _next(served=SERVED | {"popular_movies": 2})[0] == "decision-7-1"


def test_a_run_that_publishes_anyway_is_waited_for() -> None:
    key, reason = _next(under_way=("train 1234",))
    assert key is None
    assert "train 1234" in reason


def test_a_publication_that_fails_is_tried_again_later_and_not_for_ever() -> None:
    ended = [NOW, NOW + PAUSE, NOW + 3 * PAUSE]
    attempts = tuple(Attempt(True, at) for at in ended)
    assert _next(attempts=(Attempt(False, NOW),))[0] is None
    assert _next(attempts=attempts[:1], now=NOW + PAUSE / 2)[0] is None
    assert _next(attempts=attempts[:1], now=NOW + PAUSE)[0] == "decision-7-2"
    assert _next(attempts=attempts[:2], now=NOW + 2 * PAUSE)[0] is None
    assert _next(attempts=attempts[:2], now=NOW + 3 * PAUSE)[0] == "decision-7-3"
    assert len(attempts) == ATTEMPTS
    key, reason = _next(attempts=attempts, now=NOW + timedelta(days=9))
    assert key is None
    assert "run that job by hand" in reason


# The sensor


def test_the_sensor_runs_publish() -> None:
    assert champion_sensor.job_name == "publish"


def test_without_a_champion_the_sensor_skips_with_the_reason(platform: Platform) -> None:
    register(platform)
    assert "No version carries the alias champion" in str(_look(platform))


@pytest.mark.parametrize(
    ("how", "remedy"), [("alias", "promote 2"), ("version", "promote 1"), ("model", "run --job train")]
)
def test_a_lost_champion_is_reported_at_once_with_the_remedy_and_the_tables_stay(
    platform: Platform, how: str, remedy: str
) -> None:
    one, two = register(platform, seed=1), register(platform, seed=2)
    promotions = promotions_of(platform)
    for number in (one, two):
        promotions.promote(number, "by hand", "me")
    with platform.database.replace("popular_movies") as table:
        table.write_rows(("rank", "movie_id", "score", "model_version"), [(1, 101, 0.5, two)])
    lose_champion(platform, how, two)
    found = _tick(platform)
    assert isinstance(found, SensorResult)
    (event,) = found.asset_events
    assert isinstance(event, AssetObservation)
    assert event.asset_key == AssetKey("champion_model")
    assert event.metadata["outcome"].value == "lost"
    assert not found.run_requests
    record = promotions.history()[0]
    assert (record.outcome, record.version, record.decided_by) == ("lost", two, "MLflow (noticed afterwards)")
    assert f"`movierec {'model ' * (how != 'model')}{remedy}`" in record.reason
    for reason in (found.skip_reason.skip_message if found.skip_reason else None, _look(platform)):
        assert reason == record.reason
    again = _tick(platform)
    assert isinstance(again, SensorResult)
    assert not again.asset_events, "noted once"
    assert len(promotions.history()) == 3
    assert promotions.served()["popular_movies"] == two


def test_nothing_is_published_while_other_data_than_the_champions_is_loaded(platform: Platform) -> None:
    demo = load_as(platform, "demo")
    promotions_of(platform).promote(register(platform, dataset=demo), "first", "me")
    load_as(platform, "other")
    found = str(_look(platform))
    assert "Version 1 was trained on demo (dataset 1), and other (dataset 2) is loaded" in found
    assert "`movierec run --job train` trains a champion for other" in found
    load_again(platform, demo)
    assert _request(platform).run_key


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql+psycopg2://nobody@127.0.0.1:9/x_mlflow"])
def test_with_mlflow_away_the_sensor_skips_with_the_reason(platform: Platform, uri: str) -> None:
    assert "MLflow does not answer at" in str(_look(platform, uri))
    assert promotions_of(platform).history() == []


def test_with_postgres_away_the_sensor_skips_with_the_reason(platform: Platform) -> None:
    resources = {
        "registry": RegistryResource(),
        "postgres": PostgresResource(url="postgresql://nobody@127.0.0.1:9/movierec"),
    }
    found = champion_sensor(build_sensor_context(resources=resources))
    assert isinstance(found, SkipReason)
    assert "does not answer at 127.0.0.1:9" in str(found.skip_message)


@pytest.mark.slow
def test_the_champion_going_back_and_forth_gives_a_new_key_each_time(platform: Platform) -> None:
    one, two = register(platform, seed=1), register(platform, seed=2)
    keys = []
    for number in (one, two, one, two):
        move_alias(platform, number)
        keys.append(_request(platform).run_key)
        assert _request(platform).run_key == keys[-1], "a second evaluation is not a move"
    assert len(set(keys)) == 4
    assert [record.version for record in promotions_of(platform).history()] == [two, one, two, one]


def test_while_a_run_will_publish_anyway_the_sensor_waits(platform: Platform) -> None:
    move_alias(platform, register(platform))
    job = build().resolve_job_def("train")
    with DagsterInstance.get() as instance:
        unfinished = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
        assert f"by train {unfinished.run_id[:8]}" in str(_look(platform))
        assert publishing_runs(instance, datetime.now(UTC) + PRESUMED_KILLED) == []
        instance.report_run_failed(unfinished)
        partial = instance.create_run_for_job(
            job, status=DagsterRunStatus.STARTED, asset_selection=frozenset({AssetKey("positive_ratings")})
        )
        assert _request(platform).run_key
        instance.report_run_failed(partial)


# The tables follow


@pytest.mark.slow
def test_the_tables_follow_a_rollback_and_a_move_in_mlflow_which_is_noted_once(platform: Platform) -> None:
    one, two = register(platform, seed=1), register(platform, seed=2)
    promotions = promotions_of(platform)
    for number in (one, two):
        promotions.promote(number, "by hand", "me")
    assert _serve_as(_request(platform)).success
    assert set(promotions.served().values()) == {two}
    assert "carry champion" in str(_look(platform))

    promotions.rollback("two was bad", "me")
    request = _request(platform)
    assert request.tags[DECISION_TAG] == str(promotions.history()[0].id)
    assert _serve_as(request).success
    assert set(promotions.served().values()) == {one}

    move_alias(platform, two)
    assert _serve_as(_request(platform)).success
    assert set(promotions.served().values()) == {two}
    assert "carry champion" in str(_look(platform))
    outcomes = [record.outcome for record in promotions.history()]
    assert outcomes == ["manual", "rollback", "manual", "manual"]
    assert "moved to version" in promotions.history()[0].reason


def test_a_publication_that_fails_is_not_requested_again_at_once(platform: Platform) -> None:
    one = register(platform)
    move_alias(platform, one)
    request = _request(platform)
    shutil.rmtree(platform.settings.state / "versions")
    assert not _serve_as(request).success
    assert "did not succeed; it is tried again after" in str(_look(platform))
    assert set(promotions_of(platform).served().values()) == {None}
