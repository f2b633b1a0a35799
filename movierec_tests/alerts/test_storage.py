"""One alert for each cause, from its first sight to its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movierec_assets.alerts.causes import Cause
from movierec_assets.alerts.storage import KEPT, Change, open_alerts, told_alerts, update
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.defs.harness import empty

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def cause(key: str = "run:als_model", *, patience: timedelta = timedelta(0), reason: str = "no memory") -> Cause:
    return Cause(key, "run", "train failed", reason, "Try again.", "run-1", "als_model", patience)


def see(
    database: Database, *causes: Cause, minutes: float = 0, unknown: Sequence[str] = (), watched: bool = True
) -> Change:
    return update(database, causes, ["log", "webhook"], NOW + minutes * MINUTE, unknown, watched=watched)


def due(database: Database) -> list[tuple[str, str]]:
    return database.rows(f"SELECT channel, due FROM {SCHEMA}.alert_deliveries WHERE due IS NOT NULL ORDER BY channel")


def test_a_cause_is_told_once_and_its_end_once(database: Database) -> None:
    assert see(database, cause()) == Change(told=("run:als_model",))
    assert see(database, cause(reason="no memory, again"), minutes=1) == Change()
    (found,) = open_alerts(database)
    assert (found.since, found.told_at, found.reason) == (NOW, NOW, "no memory, again"), "the newest run is shown"
    assert see(database, minutes=2) == Change(over=("run:als_model",))
    assert see(database, minutes=3) == Change()
    assert open_alerts(database) == []
    assert [alert.over_at for alert in told_alerts(database)] == [NOW + 2 * MINUTE]


def test_a_cause_that_comes_back_is_a_new_alert(database: Database) -> None:
    see(database, cause())
    see(database, minutes=1)
    assert see(database, cause(), minutes=2).told == ("run:als_model",)
    assert [alert.over_at is None for alert in told_alerts(database)] == [True, False]


def test_a_cause_that_may_pass_by_itself_is_told_when_it_has_lasted(database: Database) -> None:
    patient = cause(patience=30 * MINUTE)
    assert see(database, patient) == Change()
    assert see(database, patient, minutes=29) == Change()
    assert told_alerts(database) == []
    assert see(database, patient, minutes=30).told == (patient.key,)
    assert see(database, patient, minutes=31) == Change()


def test_a_cause_that_passed_by_itself_is_never_told(database: Database) -> None:
    see(database, cause(patience=30 * MINUTE))
    assert see(database, minutes=29) == Change()
    assert see(database, cause(patience=30 * MINUTE), minutes=31) == Change(), "its time begins anew"
    assert due(database) == []


def test_time_in_which_nobody_looked_is_no_time_in_which_a_cause_lasted(database: Database) -> None:
    patient = cause(patience=30 * MINUTE)
    see(database, patient)
    assert see(database, patient, minutes=480, watched=False) == Change(), "the machine slept"
    assert see(database, patient, minutes=509) == Change()
    assert see(database, patient, minutes=510).told == (patient.key,)
    (told,) = open_alerts(database)
    see(database, patient, minutes=960, watched=False)
    assert open_alerts(database) == [told], "what was told stays as it is"


def test_a_clock_that_was_set_back_keeps_nothing_silent(database: Database) -> None:
    see(database, cause(patience=30 * MINUTE))
    assert see(database, cause(patience=30 * MINUTE), minutes=-600).told == ("run:als_model",)


def test_an_alert_stays_open_while_nothing_is_known_about_its_kind(database: Database) -> None:
    see(database, cause())
    assert see(database, unknown=["run"], minutes=1) == Change()
    assert see(database, minutes=2).over == ("run:als_model",)


def test_every_channel_has_to_tell_an_alert_but_the_one_that_it_is_about(database: Database) -> None:
    see(database, cause("channel:webhook"), Cause("channel:log", "channel", "t", "r", "m", silent_on="log"))
    assert due(database) == [("log", "open"), ("webhook", "open"), ("webhook", "open")]


def test_what_a_channel_did_not_tell_is_told_with_the_end_in_one_message(database: Database) -> None:
    see(database, cause())
    see(database, minutes=1)
    assert due(database) == [("log", "over"), ("webhook", "over")]


def test_a_channel_that_is_not_set_up_any_more_has_nothing_to_tell(database: Database) -> None:
    see(database, cause())
    update(database, [cause()], ["log"], NOW)
    assert due(database) == [("log", "open")]


def test_alerts_that_are_over_for_long_are_removed_with_their_deliveries(database: Database) -> None:
    see(database, cause())
    see(database, minutes=1)
    update(database, [], ["log"], NOW + KEPT + 2 * MINUTE)
    assert told_alerts(database) == []
    assert due(database) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sets(st.sampled_from(["a", "b", "c"])), max_size=6))
def test_told_and_over_take_turns_for_each_cause(shared_database: Database, seen: list[set[str]]) -> None:
    empty(shared_database)
    before = set[str]()
    for minute, keys in enumerate(seen):
        change = see(shared_database, *map(cause, sorted(keys)), minutes=minute)
        assert (set(change.told), set(change.over)) == (keys - before, before - keys)
        assert {alert.cause for alert in open_alerts(shared_database)} == keys
        before = keys
