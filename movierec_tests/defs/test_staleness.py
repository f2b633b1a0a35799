"""Stale levels and when they are made again, on plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.defs.attempts import ATTEMPTS, PAUSE, Attempt, Plan, When, next_attempt
from movierec_assets.defs.staleness import GRACE, Facts, Posted, Stale, first_stale, plan
from movierec_assets.resources.provenance import FINGERPRINT, POSITIVES, SOURCES, SPLIT, SPLIT_PARTS

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LOADS = {"ratings": "r1", "movies": "m1"}
MADE_FROM = {**LOADS, "app_ratings": 7, "positive_threshold": 4.0}
PART = {SPLIT: "s1", POSITIVES: "p1"}
WELL = Facts(
    files="stamp",
    loaded=True,
    loaded_at="noon",
    sources={**LOADS, "positive_threshold": 4.0},
    records={
        "eligible_users": {SOURCES: MADE_FROM},
        "positive_ratings": {SOURCES: MADE_FROM, FINGERPRINT: "p1"},
        **dict.fromkeys(SPLIT_PARTS, PART),
        "als_model": {SPLIT: "s1", "model_version": 3},
        "model_evaluation": {"model_version": 3},
        "champion_model": {"challenger_version": 3},
        "user_recommendations": {SOURCES: MADE_FROM},
    },
    decided=True,
    latest_decision=9,
    champion=3,
    served={"user_recommendations": 3, "similar_movies": 3, "popular_movies": 3},
)
UNDECIDED = {"decided": False, "champion_model": {"challenger_version": 2}}


def _with(facts: Facts = WELL, /, **changed: Any) -> Facts:
    """Facts with other values, and with other values in the records of assets."""
    records = {
        name: None if values is None else {**facts.records.get(name, {}), **values}
        for name, values in changed.items()
        if name not in vars(facts)
    }
    kept = {name: values for name, values in {**facts.records, **records}.items() if values is not None}
    return replace(facts, records=kept, **{name: value for name, value in changed.items() if name in vars(facts)})


def _stale(**changed: Any) -> Stale:
    found = first_stale(_with(**changed))
    assert found is not None
    return found


# Levels


def test_nothing_is_stale_where_every_level_is_made_from_the_one_before() -> None:
    assert first_stale(WELL) is None


@pytest.mark.parametrize(
    ("changed", "level", "why"),
    [
        ({"loaded": False}, "files", "something else than the dataset's files"),
        ({"eligible_users": None}, "eligible_users", "the current load of ratings and load of movies"),
        ({"eligible_users": {SOURCES: MADE_FROM | {"ratings": "r0"}}}, "eligible_users", "current load of ratings"),
        ({"positive_ratings": None}, "positive_ratings", "positive_ratings was not made from the current"),
        ({"positive_ratings": {SOURCES: MADE_FROM | {"movies": "m0"}}}, "positive_ratings", "load of movies"),
        (
            {"positive_ratings": {SOURCES: MADE_FROM | {"positive_threshold": 3.5}}},
            "positive_ratings",
            "current positive threshold",
        ),
        ({"positive_ratings": {FINGERPRINT: "p2"}}, "split_matrices", "current positive_ratings"),
        ({"test_matrix": {SPLIT: "s0"}}, "split_matrices", "current positive_ratings"),
        ({"id_maps": None}, "split_matrices", "current positive_ratings"),
        ({part: {SPLIT: "s2"} for part in SPLIT_PARTS}, "als_model", "trained on the current split"),
        ({"als_model": None}, "als_model", "trained on the current split"),
        (UNDECIDED | {"model_evaluation": {"model_version": 2}}, "decision", "version 3, which was not evaluated"),
        (UNDECIDED, "decision", "Nothing was decided about version 3"),
        ({"user_recommendations": {SOURCES: MADE_FROM | {"ratings": "r0"}}}, "user_recommendations", "load of ratings"),
        ({"user_recommendations": {SOURCES: None}}, "user_recommendations", "load of ratings"),
    ],
)
def test_a_level_older_than_the_one_before_is_found(changed: dict[str, Any], level: str, why: str) -> None:
    found = _stale(**changed)
    assert (found.level, found.job) == (level, "publish" if level == "user_recommendations" else "everything")
    assert why in found.why


def test_a_run_that_breaks_off_later_and_later_leaves_one_level_after_the_other() -> None:
    new = {SOURCES: MADE_FROM | {"ratings": "r2"}}
    facts = _with(loaded=False)
    levels = [first_stale(facts)]
    steps: list[dict[str, Any]] = [
        {"loaded": True, "loaded_at": "one", "sources": {**WELL.sources, "ratings": "r2"}},
        {"eligible_users": new},
        {"positive_ratings": new | {FINGERPRINT: "p2"}},
        {part: {SPLIT: "s2", POSITIVES: "p2"} for part in SPLIT_PARTS},
        {"als_model": {SPLIT: "s2", "model_version": 4}, "decided": False},
        {"model_evaluation": {"model_version": 4}},
        {"champion_model": {"challenger_version": 4}, "decided": True},
        {"user_recommendations": new},
    ]
    for step in steps:
        facts = _with(facts, **step)
        levels.append(first_stale(facts))
    assert [found.level if found else None for found in levels] == [
        "files",
        "eligible_users",
        "positive_ratings",
        "split_matrices",
        "als_model",
        "decision",
        "decision",
        "user_recommendations",
        None,
    ]


def test_ratings_posted_in_the_app_alone_make_nothing_stale() -> None:
    posted = {SOURCES: MADE_FROM | {"app_ratings": 99}}
    assert first_stale(_with(eligible_users=posted)) is None
    assert first_stale(_with(positive_ratings=posted)) is None
    assert first_stale(_with(user_recommendations=posted)) is None


@pytest.mark.parametrize(
    ("count", "hours", "due"),
    [(0, 0, False), (999, 23.9, False), (1000, 0, True), (1, 24, True), (0, 24, False)],
)
def test_ratings_of_the_app_make_the_likes_stale_by_number_or_by_age(count: int, hours: float, due: bool) -> None:
    found = first_stale(_with(posted=Posted(7, count, hours)))
    assert (found is not None) is due
    if found is not None:
        assert (found.level, found.job) == ("positive_ratings", "everything")
        more = _stale(posted=Posted(7, count + 1, hours + 1))
        assert more.cause == found.cause, "until they are trained on"
        assert _stale(posted=Posted(8, count, hours)).cause != found.cause


def test_a_challenger_that_a_check_rejected_before_its_evaluation_is_decided_about() -> None:
    rejected = {"als_model": {"model_version": 4}, "decided": True}
    assert first_stale(_with(**rejected)) is None
    old = {"user_recommendations": {SOURCES: MADE_FROM | {"ratings": "r0"}}}
    assert _stale(**rejected, **old).job == "publish"


def test_a_record_of_champion_model_is_a_decision() -> None:
    assert first_stale(_with(decided=False)) is None


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"champion": None},
        {"champion": 4},
        {"served": dict.fromkeys(WELL.served)},
        {"served": {**WELL.served, "similar_movies": 2}},
    ],
)
def test_tables_of_another_version_than_the_champion_are_left_to_its_sensor(elsewhere: dict[str, Any]) -> None:
    old = {"user_recommendations": {SOURCES: MADE_FROM | {"ratings": "r0"}}}
    assert first_stale(_with(**old, **elsewhere)) is None
    assert _stale(**old, served={**WELL.served, "similar_movies": None}).level == "user_recommendations"


# Causes


def test_a_cause_is_the_same_after_an_attempt_that_did_not_get_further() -> None:
    files = _stale(loaded=False).cause
    assert _stale(loaded=False, sources={**WELL.sources, "movies": "m2"}).cause == files, "only the movies were loaded"
    decision = _stale(**UNDECIDED).cause
    again = UNDECIDED | {"als_model": {"model_version": 5}, "model_evaluation": {"model_version": 5}}
    assert _stale(**again).cause == decision, "trained again and not decided again"
    model = _stale(als_model={SPLIT: "s0"}).cause
    posted = {part: {SPLIT: "s2"} for part in SPLIT_PARTS} | {"als_model": {SPLIT: "s0"}}
    assert _stale(**posted).cause == model, "split again with newly posted ratings, and not trained"


def test_new_files_a_new_load_a_new_threshold_and_another_level_are_new_causes() -> None:
    old = {"als_model": {SPLIT: "s0"}}
    eligible = {"eligible_users": {SOURCES: MADE_FROM | {"ratings": "r0"}}}
    made_from_others = {"positive_threshold": 3.0}
    causes = [
        _stale(loaded=False).cause,
        _stale(loaded=False, files="another").cause,
        _stale(loaded=False, loaded_at="later").cause,
        _stale(**eligible).cause,
        _stale(**eligible, loaded_at="later").cause,
        _stale(**old).cause,
        _stale(**old, loaded_at="later").cause,
        _stale(als_model={SPLIT: "s-1"}).cause,
        _stale(sources={**WELL.sources, **made_from_others}).cause,
        _stale(**UNDECIDED).cause,
        _stale(**UNDECIDED, latest_decision=10).cause,
    ]
    assert len(set(causes)) == len(causes)


# When a run is requested

STALE = Stale("als_model", "als_model was not trained on the current split", "everything", "c0ffee")


def _failed(*minutes: float) -> list[Attempt]:
    return [Attempt(True, NOW + timedelta(minutes=at), False, f"run-{index}") for index, at in enumerate(minutes)]


def _plan(attempts: Sequence[Attempt] = (), minutes: float = 0, refreshed: float | None = None) -> Plan:
    since = None if refreshed is None else NOW + timedelta(minutes=refreshed)
    return plan(STALE, since, attempts, NOW + timedelta(minutes=minutes))


def test_a_new_cause_is_acted_on_at_once() -> None:
    assert _plan() == Plan(f"{STALE.why}.", "c0ffee-after-nothing")


def test_a_run_that_is_not_over_is_waited_for() -> None:
    found = _plan([Attempt(False, NOW)])
    assert found.run_key is None
    assert "under way" in found.reason


def test_a_cause_that_failed_is_tried_again_after_growing_pauses() -> None:
    assert PAUSE.total_seconds() == 300
    for attempts, before, due in ((_failed(0), 4.9, 5), (_failed(0, 6), 15.9, 16)):
        waiting, going = _plan(attempts, before), _plan(attempts, due)
        assert waiting.run_key is None
        assert f"tried again after {NOW + timedelta(minutes=due):%H:%M} UTC" in waiting.reason
        assert going.run_key == f"c0ffee-after-run-{len(attempts) - 1}"


def test_after_three_failures_the_reason_names_the_runs_and_a_remedy() -> None:
    found = _plan(_failed(0, 6, 17), minutes=10_000)
    assert ATTEMPTS == 3
    assert (found.run_key, found.given_up) == (None, True)
    assert "3 times" in found.reason
    assert "run-0, run-1, run-2" in found.reason
    assert "not tried again until the dataset's files change. Correct the files" in found.reason
    assert found.reason.endswith("then run `everything` by hand.")


def test_a_success_starts_afresh_under_a_new_key() -> None:
    attempts = [*_failed(0, 6, 17), Attempt(True, NOW + timedelta(minutes=30), True, "cured")]
    assert _plan(attempts, 60).run_key == "c0ffee-after-cured"
    failed_again = [*attempts, Attempt(True, NOW + timedelta(minutes=70), False, "again")]
    assert _plan(failed_again, 74).run_key is None
    assert _plan(failed_again, 75).run_key == "c0ffee-after-again"


def test_the_order_in_which_runs_are_listed_does_not_matter() -> None:
    attempts = [*_failed(0, 6), Attempt(True, NOW + timedelta(minutes=30), True, "cured")]
    assert _plan(attempts[::-1], 60) == _plan(attempts, 60)


def test_successes_that_do_not_help_are_not_repeated_for_ever() -> None:
    attempts = [Attempt(True, NOW + timedelta(minutes=at), True, f"run-{at}") for at in (0, 6, 17)]
    assert _plan(attempts[:1], 1).run_key is None
    assert _plan(attempts, 10_000).given_up


def test_levels_after_a_refresh_are_left_to_the_daily_training_for_ten_minutes() -> None:
    assert GRACE.total_seconds() == 600
    found = _plan(minutes=9.9, refreshed=0)
    assert found.run_key is None
    assert "daily_train" in found.reason
    assert _plan(minutes=10, refreshed=0).run_key


@pytest.mark.parametrize("level", ["files", "eligible_users"])
def test_levels_of_a_refresh_itself_are_not_left_to_the_training(level: str) -> None:
    assert plan(replace(STALE, level=level), NOW, [], NOW).run_key


# The clock is set back


@given(
    ends=st.lists(st.integers(-10_000, 10_000), max_size=4),
    succeeded=st.booleans(),
    minutes=st.integers(-10_000, 10_000),
)
def test_whatever_the_clock_does_nothing_waits_longer_than_the_longest_pause(
    ends: list[int], succeeded: bool, minutes: int
) -> None:
    attempts = [
        Attempt(True, NOW + timedelta(minutes=at), succeeded, f"run-{number}", number) for number, at in enumerate(ends)
    ]
    now = NOW + timedelta(minutes=minutes)
    found = next_attempt(attempts, now)
    if len(attempts) >= ATTEMPTS:
        assert found.when is When.NEVER
    elif found.when is When.LATER:
        assert found.due is not None
        assert found.due <= now + PAUSE * 2 ** (len(attempts) - 1)
    else:
        assert found.when is When.NOW


def test_a_run_key_is_new_although_the_clock_was_set_back_between_the_runs() -> None:
    cured = Attempt(True, NOW + timedelta(days=1), True, "cured", number=1)
    failed = Attempt(True, NOW, False, "failed", number=2)
    assert _plan([cured, failed], 4).run_key is None
    assert _plan([cured, failed], 5).run_key == "c0ffee-after-failed"


def test_a_refresh_before_the_clock_was_set_back_keeps_nothing_waiting() -> None:
    assert _plan(minutes=0, refreshed=60 * 24).run_key
