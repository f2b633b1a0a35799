"""What is a cause, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.alerts.causes import (
    FORGOTTEN,
    KINDS,
    Cause,
    causes,
)
from movierec_assets.alerts.facts import Decided, EndedRun, Facts, FailedCheck, Ticks
from movierec_assets.datasets.keep import AbsentDataset

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STEPS = {
    "refresh": ("raw_ratings",),
    "train": ("als_model", "tables"),
    "everything": ("raw_ratings", "als_model", "tables"),
}


def run(job: str, number: int, failed: str | None = None, error: str = "", *, hours: float = 1) -> EndedRun:
    """A run that succeeded, failed at a step, or was broken off at its beginning."""
    planned = frozenset(STEPS[job])
    done = planned if failed is None and not error else frozenset[str]()
    if failed is not None:
        done = frozenset(STEPS[job][: STEPS[job].index(failed)])
    errors = {} if failed is None else {failed: "the disk is gone"}
    return EndedRun(f"run-{number}", job, NOW - timedelta(hours=hours), planned, done, errors, error=error)


def found(*runs: EndedRun) -> list[Cause]:
    """Causes of runs that are given in the order in which they ended."""
    return causes(Facts(runs=runs[::-1]), (), NOW)


def keys(*runs: EndedRun) -> list[str]:
    return [cause.key for cause in found(*runs)]


def test_nothing_is_wrong_with_an_empty_platform() -> None:
    assert causes(Facts(), (), NOW) == []


def test_a_failed_run_is_a_cause_that_names_run_step_reason_and_remedy() -> None:
    (cause,) = found(run("train", 1, failed="als_model"))
    assert (cause.kind, cause.run_id, cause.step, cause.reason) == ("run", "run-1", "als_model", "the disk is gone")
    assert cause.title == "train failed at als_model"
    assert "movierec run --job train" in cause.remedy


def test_failures_at_one_step_are_one_cause_whichever_job_failed() -> None:
    (cause,) = found(run("train", 1, failed="als_model"), run("everything", 2, failed="als_model"))
    assert cause.run_id == "run-2", "and the newest run is named"


def test_a_failure_is_over_when_its_step_has_succeeded_whichever_job_did_it() -> None:
    failure = run("train", 1, failed="als_model")
    assert keys(failure, run("refresh", 2)) == ["run:als_model"]
    assert keys(failure, run("everything", 2)) == []
    assert keys(failure, run("everything", 2, failed="tables")) == ["run:tables"], "it got further, to another cause"


def test_a_run_that_was_broken_off_is_over_when_its_steps_have_succeeded() -> None:
    broken = run("train", 1, error="The process was killed.")
    (cause,) = found(broken, run("refresh", 2))
    assert (cause.key, cause.step, cause.reason) == ("run:train", None, "The process was killed.")
    assert keys(broken, run("everything", 2)) == []


def test_a_run_without_a_plan_is_over_when_its_job_succeeds() -> None:
    broken = EndedRun("1", "train", NOW, frozenset(), frozenset(), error="It could not be launched.")
    assert keys(broken, run("refresh", 2)) == ["run:train"]
    assert keys(broken, run("train", 2)) == []


def test_a_run_that_a_check_stopped_is_told_by_the_check_only() -> None:
    stopped = EndedRun("1", "train", NOW, frozenset({"a", "b"}), frozenset({"a"}), checks_failed=True)
    check = FailedCheck("als_model", "factors_are_finite", "3 are not finite", "1")
    (cause,) = causes(Facts(runs=[stopped], checks=[check]), (), NOW)
    assert (cause.kind, cause.run_id, cause.reason) == ("check", "1", "3 are not finite")


def test_a_failure_that_nobody_repeats_is_forgotten() -> None:
    hours = FORGOTTEN.total_seconds() / 3600
    assert keys(run("train", 1, failed="als_model", hours=hours - 1)) == ["run:als_model"]
    assert keys(run("train", 1, failed="als_model", hours=hours + 1)) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 3)).map(
            lambda drawn: (drawn[0], STEPS[drawn[0]][drawn[1]] if drawn[1] < len(STEPS[drawn[0]]) else None)
        ),
        max_size=12,
    )
)
def test_no_cause_is_left_after_a_run_of_everything_that_succeeds_and_none_is_told_twice(
    drawn: Sequence[tuple[str, str | None]],
) -> None:
    runs = [run(job, number, failed) for number, (job, failed) in enumerate(drawn)]
    left = keys(*runs)
    assert len(left) == len(set(left))
    assert bool(left) == any(
        failed and not any(failed in later.done for later in runs[number + 1 :])
        for number, (_, failed) in enumerate(drawn)
    )
    assert keys(*runs, run("everything", 99)) == []


def decided(*outcomes: str) -> Facts:
    """Facts with decisions of these outcomes, oldest first."""
    return Facts(decisions=[Decided(number, each, "Not better.") for number, each in enumerate(outcomes)][::-1])


@pytest.mark.parametrize(
    ("outcomes", "wrong"),
    [
        (["kept", "rejected"], False),
        (["kept", "rejected", "kept"], True),
        (["improvement", "kept", "kept", "kept"], True),
        (["kept", "kept", "kept", "refresh"], False),
        (["kept", "manual", "kept", "kept"], False),
        (["kept", "kept", "kept", "kept"], True),
    ],
)
def test_three_challengers_in_a_row_that_are_not_promoted_are_a_cause(outcomes: list[str], wrong: bool) -> None:
    assert [cause.kind for cause in causes(decided(*outcomes), (), NOW)] == (["challengers"] if wrong else [])


def test_an_asset_is_stale_when_it_is_older_than_it_may_be_and_never_before_it_was_made() -> None:
    limit = {"user_recommendations": timedelta(hours=30), "popular_movies": timedelta(hours=30)}
    made = {"user_recommendations": NOW - timedelta(hours=31)}
    (cause,) = causes(Facts(made_at=made, fresh_for=limit), (), NOW)
    assert (cause.key, cause.title) == ("stale", "user_recommendations is stale")
    assert "user_recommendations 31" in cause.reason
    assert cause.patience > timedelta(0), "a run may be about to make it"
    assert causes(Facts(made_at=made, fresh_for=limit), (), NOW - timedelta(hours=1)) == []
    assert causes(Facts(made_at=made, fresh_for=limit), (), NOW - timedelta(days=9)) == [], "the clock was set back"


def test_assets_that_are_stale_together_are_one_cause() -> None:
    hours = {"raw_ratings": 51, "user_recommendations": 52, "popular_movies": 49}
    made = {asset: NOW - timedelta(hours=age) for asset, age in hours.items()}
    (cause,) = causes(Facts(made_at=made, fresh_for=dict.fromkeys(made, timedelta(hours=50))), (), NOW)
    assert cause.title == "user_recommendations and 1 more are stale"
    assert "popular_movies" not in cause.reason


def test_tables_of_another_version_than_the_champion_are_a_cause() -> None:
    assert causes(Facts(champion=2, served={"user_recommendations": 2, "popular_movies": None}), (), NOW) == []
    (cause,) = causes(Facts(champion=2, served={"user_recommendations": 1, "popular_movies": 2}), (), NOW)
    assert cause.kind == "tables"
    assert "user_recommendations 1" in cause.reason


def test_a_lost_champion_is_a_cause() -> None:
    (cause,) = causes(Facts(loss="The alias of version 3 was removed."), (), NOW)
    assert (cause.kind, cause.reason) == ("champion", "The alias of version 3 was removed.")


def test_a_disk_is_full_below_the_limit_and_free_again_only_well_above_it() -> None:
    directory = Path("/state")
    key = f"disk:{directory}"

    def full(free: int, *before: str) -> bool:
        return bool(causes(Facts(free={directory: free}, min_free=1_000_000), before, NOW))

    assert not full(1_000_000)
    assert full(999_999)
    assert full(1_050_000, key), "it would be told again with the next file"
    assert not full(1_050_000)
    assert not full(1_100_000, key)


def test_a_channel_that_does_not_work_is_not_told_on_itself() -> None:
    (cause,) = causes(Facts(channels={"webhook": "It cannot be reached."}), (), NOW)
    assert (cause.kind, cause.silent_on) == ("channel", "webhook")


@pytest.mark.parametrize(
    ("is_schedule", "errors", "wrong"),
    [
        (True, [], False),
        (True, ["no table"], True),
        (True, [None, "no table"], False),
        (False, ["no table"] * 2, False),
        (False, ["no table", None, "no table", "no table"], False),
        (False, ["no table", "no server", "no server"], True),
        (False, [None, "no table", "no table", "no table"], False),
    ],
)
def test_a_schedule_fails_with_one_tick_and_a_sensor_with_three_in_a_row(
    is_schedule: bool, errors: list[str | None], wrong: bool
) -> None:
    found = causes(Facts(ticks=[Ticks("one", is_schedule, errors), Ticks("other", is_schedule, [None])]), (), NOW)
    assert [cause.key for cause in found] == (["ticks:one"] if wrong else [])
    assert all((cause.reason, cause.patience > timedelta(0)) == ("no table", True) for cause in found)


@pytest.mark.parametrize(("replaced", "title"), [(False, "are gone"), (True, "another dataset")])
def test_files_of_the_loaded_dataset_that_are_gone_or_another_one_are_a_cause(replaced: bool, title: str) -> None:
    (cause,) = causes(Facts(absent=absent(replaced=replaced)), (), NOW)
    assert (cause.kind, cause.reason) == ("dataset", "mine is loaded, and its files are gone.")
    assert title in cause.title
    assert cause.patience > timedelta(0), "somebody may be exchanging them"


def absent(*, replaced: bool) -> AbsentDataset:
    return AbsentDataset("mine", Path("/data/mine"), "mine is loaded, and its files are gone.", replaced)


def test_every_kind_is_in_use() -> None:
    facts = Facts(
        runs=[run("train", 1, failed="als_model")],
        checks=[FailedCheck("als_model", "finite", "no", "1")],
        decisions=decided("kept", "kept", "kept").decisions,
        made_at={"a": NOW - timedelta(days=2)},
        fresh_for={"a": timedelta(hours=30)},
        champion=1,
        served={"a": 2},
        loss="gone",
        free={Path("/state"): 0},
        min_free=1,
        channels={"webhook": "down"},
        ticks=[Ticks("daily_train", is_schedule=True, errors=["no"])],
        absent=absent(replaced=False),
    )
    found = causes(facts, (), NOW)
    assert {cause.kind for cause in found} == set(KINDS)
    assert all(cause.title and cause.reason and cause.remedy and "\n" not in cause.title for cause in found)
