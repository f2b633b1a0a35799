"""Changes of the champion: one at a time, with a true history after every failure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from movierec_assets.models.decisions import Promotions, PromotionTransaction, Record
from movierec_assets.models.errors import (
    NoSuchVersionError,
    PromotionBusyError,
    PromotionError,
    RegistryUnavailableError,
)
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import MODEL_NAME
from movierec_assets.tables.database import Database
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    BETTER,
    CLOSED,
    FIRST,
    KEPT,
    BreakingRegistry,
    carry_out,
    champion_of,
    move_alias,
    probes_of,
    promote_in_order,
    promotions_of,
    register,
)

pytestmark = pytest.mark.slow  # every test has a real MLflow and Postgres


def _moves(platform: Platform) -> list[tuple[int | None, int, str]]:
    """Changes of the champion as the history has them, oldest first."""
    records = reversed(promotions_of(platform).history())
    return [(record.previous, record.version, record.outcome) for record in records if record.promoted]


# The history


def test_a_decision_is_kept_with_numbers_and_on_the_version(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    record = carry_out(platform, register(platform), KEPT, "run-3")
    assert (record.version, record.previous, record.outcome, record.promoted, record.state) == (
        *(second + 1, second),
        *("kept", False, "done"),
    )
    assert (record.numbers, record.dagster_run_id, record.decided_by) == (KEPT.numbers, "run-3", "test")
    assert champion_of(platform) == second
    assert _moves(platform) == [(None, first, "first"), (first, second, "improvement")]
    tags = platform.registry.version(second + 1).tags
    assert (tags["promotion_outcome"], tags["promotion_reason"]) == ("kept", KEPT.reason)


def test_a_promotion_by_hand_is_a_decision_with_its_reason(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    record = promotions_of(platform).promote(first, "It was nicer", "me")
    assert (record.outcome, record.reason, record.previous) == ("manual", "It was nicer", second)
    assert champion_of(platform) == first
    assert platform.registry.version(first).tags["promotion_outcome"] == "manual"


def test_no_version_and_the_champion_and_a_version_without_files_are_not_promoted(platform: Platform) -> None:
    (first,) = promote_in_order(platform, FIRST)
    broken = register(platform, loads=False)
    promotions = promotions_of(platform)
    with pytest.raises(NoSuchVersionError, match=f"no version 99: the newest are {broken}, {first}"):
        promotions.promote(99, "why not", "me")
    with pytest.raises(PromotionError, match=f"Version {first} is the champion already"):
        promotions.promote(first, "why not", "me")
    with pytest.raises(PromotionError, match=f"Version {broken} does not load"):
        promotions.promote(broken, "why not", "me")
    assert champion_of(platform) == first
    assert len(promotions.history()) == 1


def test_two_promotions_at_once_leave_one_champion_and_a_history_in_which_each_follows_the_one_before(
    platform: Platform,
) -> None:
    numbers = [register(platform, seed=seed) for seed in range(1, 7)]

    def promote(number: int) -> Record:
        return promotions_of(platform).promote(number, "at once", "me")

    with ThreadPoolExecutor(6) as threads:
        records = list(threads.map(promote, numbers))
    moves = _moves(platform)
    assert sorted(version for _, version, _ in moves) == numbers
    assert [previous for previous, _, _ in moves] == [None, *(version for _, version, _ in moves)][:-1]
    assert champion_of(platform) == moves[-1][1]
    assert len({record.id for record in records}) == 6


def test_a_transaction_that_waits_too_long_for_another_one_fails_and_changes_nothing(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    promotions = promotions_of(platform)
    with (
        promotions.transaction("slow"),
        pytest.raises(PromotionBusyError, match="under way"),
        promotions_of(platform).transaction("other", wait=0.1) as transaction,
    ):
        transaction.carry_out(first, FIRST)
    assert champion_of(platform) == second
    promotions.rollback("free again", "me")


# Rollback


def test_a_rollback_restores_the_previous_champion_and_another_one_goes_further_back(platform: Platform) -> None:
    first, second, third = promote_in_order(platform, FIRST, BETTER, BETTER)
    promotions = promotions_of(platform)
    assert promotions.rollback("third was bad", "me").version == second
    assert champion_of(platform) == second
    assert promotions.rollback("second as well", "me").version == first
    with pytest.raises(PromotionError, match=f"Nothing to roll back to: Version {first} is the champion"):
        promotions.rollback("and now", "me")
    assert _moves(platform)[-2:] == [(third, second, "rollback"), (second, first, "rollback")]


def test_a_rollback_passes_over_deleted_versions(platform: Platform) -> None:
    first, second, third = promote_in_order(platform, FIRST, BETTER, BETTER)
    platform.registry.client.delete_model_version(MODEL_NAME, str(second))
    promotions = promotions_of(platform)
    assert promotions.rollback("bad", "me").version == first
    assert _moves(platform)[-1] == (third, first, "rollback")


def test_when_all_earlier_champions_are_deleted_the_error_names_them(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    platform.registry.client.delete_model_version(MODEL_NAME, str(first))
    with pytest.raises(PromotionError, match=rf"deleted from the registry: {first}\)"):
        promotions_of(platform).rollback("bad", "me")
    assert champion_of(platform) == second


def test_when_the_champion_itself_was_deleted_a_rollback_restores_the_one_before(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    platform.registry.client.delete_model_version(MODEL_NAME, str(second))
    record = promotions_of(platform).rollback("it is gone", "me")
    assert (record.version, record.previous) == (first, None)


def test_without_a_champion_there_is_nothing_to_roll_back_to(platform: Platform) -> None:
    with pytest.raises(PromotionError, match="No version is the champion, and there is no earlier one"):
        promotions_of(platform).rollback("bad", "me")


# Changes made in MLflow


def test_a_move_of_the_alias_in_mlflow_is_noted_once(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    promotions = promotions_of(platform)
    assert promotions.note_outside_changes("sensor") is None
    move_alias(platform, first)
    noted = promotions.note_outside_changes("sensor")
    assert noted is not None
    assert (noted.previous, noted.version, noted.outcome, noted.promoted) == (second, first, "manual", True)
    assert f"moved to version {first} in MLflow, from version {second}" in noted.reason
    assert promotions.note_outside_changes("sensor") is None
    assert len(promotions.history()) == 3
    assert promotions.rollback("undo that", "me").version == second


def test_a_promotion_after_a_move_in_mlflow_follows_that_move(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    third = register(platform)
    move_alias(platform, first)
    promotions_of(platform).promote(third, "better", "me")
    assert _moves(platform)[1:] == [
        (first, second, "improvement"),
        (second, first, "manual"),
        (first, third, "manual"),
    ]


# Failures


@pytest.mark.parametrize(("breaks", "champion", "state"), [("alias", 1, "abandoned"), ("tags", 2, "done")])
def test_a_failure_at_any_step_leaves_a_valid_champion_and_a_history_that_agrees(
    platform: Platform, breaks: str, champion: int, state: str
) -> None:
    (first,) = promote_in_order(platform, FIRST)
    second = register(platform)
    registry = BreakingRegistry.of(platform.settings)
    registry.breaks = breaks
    with (
        pytest.raises(ConnectionError, match=breaks),
        Promotions(registry, platform.database).transaction("test", "run-2") as transaction,
    ):
        transaction.carry_out(second, BETTER)
    assert champion_of(platform) == [first, second][champion - 1]
    promotions = promotions_of(platform)
    with promotions.transaction("next"):
        pass
    latest = promotions.history()[0]
    assert (latest.version, latest.outcome, latest.state) == (second, "improvement", state)
    tags = platform.registry.version(second).tags
    assert tags.get("promotion_outcome") == ("improvement" if state == "done" else None)
    third = register(platform)
    promotions.promote(third, "the next one succeeds", "me")
    assert promotions.history()[0].previous == [first, second][champion - 1]


@pytest.mark.parametrize("moved", [False, True])
def test_a_decision_left_pending_is_settled_by_the_next_transaction(platform: Platform, moved: bool) -> None:
    first, second = promote_in_order(platform, FIRST)[0], register(platform)
    with platform.database.transaction() as cursor:
        cursor.execute(
            """INSERT INTO movierec.promotion_decisions
                   (model_version, previous_champion, outcome, promoted, reason, numbers, decided_by, state)
               VALUES (%s, %s, 'improvement', true, 'Better.', '{}', 'killed', 'pending')""",
            [second, first],
        )
    if moved:
        move_alias(platform, second)
    promotions = promotions_of(platform)
    assert not promotions.settled()
    assert promotions.note_outside_changes("sensor") is None
    assert promotions.settled()
    assert [record.state for record in promotions.history()] == ["done" if moved else "abandoned", "done"]
    latest = promotions.latest()
    assert latest is not None
    assert latest.version == champion_of(platform) == (second if moved else first)
    assert platform.registry.version(second).tags.get("promotion_outcome") == ("improvement" if moved else None)


def test_no_alias_moves_when_the_connection_that_holds_the_lock_is_lost(platform: Platform) -> None:
    (first,) = promote_in_order(platform, FIRST)
    second = register(platform)
    with pytest.raises(Exception, match=r"terminat|closed"), promotions_of(platform).transaction("test") as transaction:  # noqa: PT012
        _end_lock_holder(platform.database)
        transaction.carry_out(second, BETTER)
    assert champion_of(platform) == first
    assert len(promotions_of(platform).history()) == 1


def _end_lock_holder(database: Database) -> None:
    database.rows(
        """SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
           WHERE locktype = 'advisory' AND granted AND datname = current_database() AND pid <> pg_backend_pid()"""
    )


@pytest.mark.parametrize("uri", [CLOSED, "postgresql+psycopg2://u:secret@127.0.0.1:9/x_mlflow"])
def test_with_mlflow_away_each_operation_reports_it_after_one_request_and_changes_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    _, second = promote_in_order(platform, FIRST, BETTER)
    before = promotions_of(platform).history()
    away = Promotions(ModelRegistry.of(platform.settings, uri), platform.database)

    def transaction() -> PromotionTransaction:
        with away.transaction("test") as opened:
            return opened

    operations: list[Any] = [
        lambda: away.promote(1, "why", "me"),
        lambda: away.rollback("why", "me"),
        lambda: away.note_outside_changes("sensor"),
        transaction,
    ]
    for operation in operations:
        with (
            probes_of(9, monkeypatch) as timeouts,
            pytest.raises(RegistryUnavailableError, match=r"MLflow does not answer at .*127\.0\.0\.1:9") as error,
        ):
            operation()
        assert len(timeouts) == 1
        assert timeouts[0] <= 5
        assert "secret" not in str(error.value)
    assert champion_of(platform) == second
    assert promotions_of(platform).history() == before
