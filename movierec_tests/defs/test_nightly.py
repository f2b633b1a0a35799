"""The training of a day follows that day's refresh: whether it starts, waits, or is skipped."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    SensorResult,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorTick, TickData, TickStatus
from dagster_shared.error import SerializableErrorInfo
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.definitions import build
from movierec_assets.defs import nightly
from movierec_assets.defs.attempts import Attempt
from movierec_assets.defs.nightly import PATIENCE, Verdict, day_of, decide
from movierec_assets.defs.run_limits import DAY_TAG
from movierec_tests.defs.watch import ErrorLog, fail, launched

DAY = date(2026, 3, 29)
DUE = datetime(2026, 3, 29, 2, tzinfo=UTC)
SUCCEEDED, FAILED, UNDER_WAY = (
    Attempt(True, DUE, True, "good"),
    Attempt(True, DUE, False, "bad"),
    Attempt(False, DUE, False, "running"),
)


def _decide(*refreshes: Attempt, trainings: tuple[Attempt, ...] = (), minutes: float = 0) -> Verdict:
    return decide(DAY, refreshes, trainings, DUE, DUE + timedelta(minutes=minutes))


def test_a_training_follows_a_refresh_that_succeeded() -> None:
    assert _decide(SUCCEEDED).action == "train"
    assert _decide(FAILED, SUCCEEDED).action == "train", "at the second attempt"


def test_a_refresh_that_runs_is_waited_for_until_its_end() -> None:
    assert _decide(UNDER_WAY, minutes=10_000).action == "wait"
    assert _decide(FAILED, UNDER_WAY).action == "wait"


def test_a_refresh_that_failed_skips_the_training_with_its_run_and_the_remedy() -> None:
    found = _decide(FAILED)
    assert found.action == "skip"
    assert "its refresh did not succeed: run bad" in found.reason
    assert "execute that run again: the training follows" in found.reason


def test_a_refresh_that_has_not_begun_is_waited_for_an_hour() -> None:
    assert _decide(minutes=PATIENCE.total_seconds() / 60 - 0.1).action == "wait"
    late = _decide(minutes=PATIENCE.total_seconds() / 60)
    assert late.action == "skip"
    assert "`daily_refresh` started no run" in late.reason


@given(
    st.lists(st.sampled_from([SUCCEEDED, FAILED, UNDER_WAY])),
    st.lists(st.sampled_from([SUCCEEDED, FAILED, UNDER_WAY]), min_size=1),
    st.floats(0, 1e6),
)
def test_a_day_is_never_trained_twice(refreshes: list[Attempt], trainings: list[Attempt], minutes: float) -> None:
    assert _decide(*refreshes, trainings=tuple(trainings), minutes=minutes).action == "none"


@given(st.lists(st.sampled_from([FAILED, UNDER_WAY])), st.floats(0, 1e6))
def test_nothing_is_trained_before_a_refresh_succeeded(refreshes: list[Attempt], minutes: float) -> None:
    assert _decide(*refreshes, minutes=minutes).action in ("wait", "skip")


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), date(2026, 3, 29)),  # 02:00 does not exist: 03:00
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC), date(2026, 10, 25)),  # the second 02:00
        ("America/Los_Angeles", datetime(2026, 3, 8, 10, tzinfo=UTC), date(2026, 3, 8)),
        ("Asia/Tokyo", datetime(2026, 1, 1, 17, tzinfo=UTC), date(2026, 1, 2)),
    ],
)
def test_the_day_of_a_tick_is_that_of_the_time_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, at: datetime, day: date
) -> None:
    monkeypatch.setenv("MOVIEREC_TIMEZONE", zone)
    assert day_of(at) == day


# With runs in an instance


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp() as local:  # a schedule does not see an ephemeral one
        yield local


def _run(instance: DagsterInstance, job: str, status: DagsterRunStatus, **tags: str) -> str:
    return launched(instance, job, status, {DAY_TAG: str(DAY), **tags})


def _tick(instance: DagsterInstance) -> RunRequest | SkipReason:
    """Evaluate the schedule at 02:00."""
    context = build_schedule_context(instance=instance, scheduled_execution_time=DUE)
    found = build().resolve_schedule_def("daily_train").evaluate_tick(context)
    return found.run_requests[0] if found.run_requests else SkipReason(found.skip_message)


class Look:
    """The sensor, evaluated after a tick of the schedule."""

    def __init__(self, instance: DagsterInstance, status: TickStatus = TickStatus.SKIPPED) -> None:
        self._instance = instance
        started: list[str] | None = [] if status is TickStatus.SUCCESS else None
        at = DUE.timestamp()
        data = TickData(
            *("origin", "daily_train", InstigatorType.SCHEDULE, status, at),
            run_ids=started,
            error=SerializableErrorInfo("broken", [], None) if status is TickStatus.FAILURE else None,
            end_timestamp=at,
        )
        self._tick = InstigatorTick(1, data)
        self._cursor: str | None = None
        self.errors: list[str] = []
        self.skipped = ""

    def at(self, now: datetime) -> list[RunRequest]:
        context = build_sensor_context(instance=self._instance, cursor=self._cursor)
        context.log.addHandler(ErrorLog(self.errors))
        logging.getLogger("dagster").setLevel(logging.INFO)
        found = nightly.evaluate(context, self._tick, now)
        if isinstance(found, SkipReason):
            self.skipped = str(found.skip_message)
            return []
        assert isinstance(found, SensorResult)
        self._cursor = found.cursor
        self.skipped = str(found.skip_reason.skip_message) if found.skip_reason else ""
        return list(found.run_requests or [])


def test_the_schedule_starts_the_training_of_its_day(instance: DagsterInstance) -> None:
    _run(instance, "refresh", DagsterRunStatus.SUCCESS)
    asked = _tick(instance)
    assert isinstance(asked, RunRequest)
    assert (asked.run_key, asked.tags[DAY_TAG]) == ("2026-03-29", "2026-03-29")


def test_runs_of_another_day_and_of_another_job_do_not_count(instance: DagsterInstance) -> None:
    _run(instance, "refresh", DagsterRunStatus.SUCCESS, **{DAY_TAG: "2026-03-28"})
    _run(instance, "everything", DagsterRunStatus.SUCCESS)
    assert isinstance(_tick(instance), SkipReason)


def test_a_late_refresh_is_followed_once(instance: DagsterInstance) -> None:
    run_id = _run(instance, "refresh", DagsterRunStatus.STARTED)
    skipped = _tick(instance)
    assert isinstance(skipped, SkipReason)
    assert "waits for the end of its refresh" in str(skipped.skip_message)
    look = Look(instance)
    assert look.at(DUE + timedelta(hours=3)) == []
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_canceling(run)
    instance.report_run_canceled(run)
    _run(instance, "refresh", DagsterRunStatus.SUCCESS)  # somebody executed it again
    (asked,) = look.at(DUE + timedelta(hours=4))
    assert asked.run_key == "2026-03-29"
    _run(instance, "train", DagsterRunStatus.QUEUED)
    assert look.at(DUE + timedelta(hours=4, minutes=1)) == []
    assert "started already" in look.skipped


def test_a_failed_refresh_is_reported_once(instance: DagsterInstance) -> None:
    fail(instance, _run(instance, "refresh", DagsterRunStatus.STARTED))
    skipped = _tick(instance)
    assert isinstance(skipped, SkipReason)
    assert "its refresh did not succeed" in str(skipped.skip_message)
    look = Look(instance)
    assert look.at(DUE) == look.at(DUE + timedelta(hours=1)) == []
    assert len(look.errors) == 1
    assert "The training of 2026-03-29 is skipped" in look.errors[0]


def test_a_crashed_refresh_that_dagster_starts_again_is_waited_for(instance: DagsterInstance) -> None:
    crashed = _run(instance, "refresh", DagsterRunStatus.STARTED, **{"dagster/will_retry": "true"})
    end = fail(instance, crashed)
    look = Look(instance)
    assert look.at(end) == []
    assert "waits for the end of its refresh" in look.skipped
    instance.add_run_tags(crashed, {"dagster/auto_retry_run_id": "the next one"})
    _run(instance, "refresh", DagsterRunStatus.SUCCESS)
    assert len(look.at(end)) == 1


def test_a_tick_that_failed_is_made_up_for_once(instance: DagsterInstance) -> None:
    look = Look(instance, TickStatus.FAILURE)
    assert look.at(DUE) == []
    assert "waits for its refresh" in look.skipped
    _run(instance, "refresh", DagsterRunStatus.SUCCESS)
    (asked,) = look.at(DUE + timedelta(minutes=1))
    assert (asked.run_key, asked.tags[DAY_TAG]) == ("2026-03-29", "2026-03-29")
    _run(instance, "train", DagsterRunStatus.QUEUED)
    assert look.at(DUE + timedelta(minutes=2)) == []


def test_nothing_is_started_after_a_tick_that_started_the_training(instance: DagsterInstance) -> None:
    _run(instance, "refresh", DagsterRunStatus.SUCCESS)
    look = Look(instance, TickStatus.SUCCESS)
    assert look.at(DUE) == []
    assert look.skipped == "No training waits for a refresh."
