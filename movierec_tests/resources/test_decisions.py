"""Changes of the champion: one at a time, with a true history, whatever breaks off in between."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from movierec_assets.recsys.promotion import Decision, standing
from movierec_assets.resources.database import Database
from movierec_assets.resources.decisions import PromotionBusyError, PromotionError, Promotions, Record, Turn
from movierec_assets.resources.registry import (
    CHAMPION,
    MODEL_NAME,
    ModelRegistry,
    NoSuchVersionError,
    RegistryUnavailableError,
)
from movierec_tests.defs.harness import Platform, own_platform
from movierec_tests.registry_harness import move_alias, probes_of, promotions_of, register, reset

pytestmark = pytest.mark.slow  # a minute of real servers and runs, all told

FIRST = Decision(True, "first", "No champion yet.")
BETTER = Decision(True, "improvement", "Better.", {"difference_low": 0.01})
KEPT = Decision(False, "kept", "Not better.", {"difference_low": -0.01})
CLOSED = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def _platform(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("decisions")
    with own_platform(server_url, directory, directory) as platform:
        yield platform


@pytest.fixture
def platform(_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with an empty registry and no history."""
    _platform.enter(monkeypatch)
    reset(_platform)
    return _platform


def _carry_out(platform: Platform, number: int, decision: Decision, run_id: str | None = None) -> Record:
    with promotions_of(platform).turn("test", run_id) as turn:
        return turn.carry_out(number, decision)


def _champions(platform: Platform, *decisions: Decision) -> list[int]:
    """Versions that became champion one after the other."""
    numbers = [register(platform, seed=seed) for seed in range(1, len(decisions) + 1)]
    for number, decision in zip(numbers, decisions, strict=True):
        _carry_out(platform, number, decision)
    return numbers


def _champion(platform: Platform) -> int | None:
    found = platform.registry.by_alias(CHAMPION)
    return found.number if found else None


def _moves(platform: Platform) -> list[tuple[int | None, int, str]]:
    """Changes of the champion as the history has them, oldest first."""
    records = reversed(promotions_of(platform).history())
    return [(record.previous, record.version, record.outcome) for record in records if record.promoted]


class _Breaks(ModelRegistry):
    """A registry that goes away at one of its writes."""

    breaks = ""

    def _maybe(self, name: str) -> None:
        if self.breaks == name:
            raise ConnectionError(f"MLflow went away at {name}")

    def record(self, number: int, decision: Decision, dagster_run_id: str | None) -> None:
        self._maybe("alias")
        super().record(number, decision, dagster_run_id)

    def note(self, number: int, outcome: str, reason: str, dagster_run_id: str | None) -> None:
        self._maybe("tags")
        super().note(number, outcome, reason, dagster_run_id)


# The rule of rollback


@pytest.mark.parametrize(
    ("moves", "stands"),
    [
        ([], []),
        ([(1, False)], [1]),
        ([(1, False), (2, False), (3, False)], [1, 2, 3]),
        ([(1, False), (2, False), (3, False), (2, True)], [1, 2]),
        ([(1, False), (2, False), (3, False), (2, True), (1, True)], [1]),
        ([(1, False), (2, False), (1, True), (3, False)], [1, 3]),
        ([(1, False), (2, False), (1, False)], [1, 2, 1]),
        ([(1, False), (2, False), (3, False), (1, True)], [1]),
    ],
)
def test_rollbacks_in_a_row_go_further_back(moves: list[tuple[int, bool]], stands: list[int]) -> None:
    assert standing(moves) == stands


# The history


def test_a_decision_is_kept_with_numbers_and_on_the_version(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    record = _carry_out(platform, register(platform), KEPT, "run-3")
    assert (record.version, record.previous, record.outcome, record.promoted, record.state) == (
        *(second + 1, second),
        *("kept", False, "done"),
    )
    assert (record.numbers, record.dagster_run_id, record.decided_by) == (KEPT.numbers, "run-3", "test")
    assert _champion(platform) == second
    assert _moves(platform) == [(None, first, "first"), (first, second, "improvement")]
    tags = platform.registry.version(second + 1).tags
    assert (tags["promotion_outcome"], tags["promotion_dagster_run_id"]) == ("kept", "run-3")


def test_a_promotion_by_hand_is_a_decision_with_its_reason(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    record = promotions_of(platform).promote(first, "It was nicer", "me")
    assert (record.outcome, record.reason, record.previous) == ("manual", "It was nicer", second)
    assert _champion(platform) == first
    assert platform.registry.version(first).tags["promotion_outcome"] == "manual"


def test_what_is_no_version_or_champion_already_or_does_not_load_is_not_promoted(platform: Platform) -> None:
    (first,) = _champions(platform, FIRST)
    broken = register(platform, loads=False)
    promotions = promotions_of(platform)
    with pytest.raises(NoSuchVersionError, match=f"no version 99: the newest are {broken}, {first}"):
        promotions.promote(99, "why not", "me")
    with pytest.raises(PromotionError, match=f"Version {first} is the champion already"):
        promotions.promote(first, "why not", "me")
    with pytest.raises(PromotionError, match=f"Version {broken} does not load"):
        promotions.promote(broken, "why not", "me")
    assert _champion(platform) == first
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
    assert _champion(platform) == moves[-1][1]
    assert len({record.id for record in records}) == 6


def test_who_cannot_have_a_turn_in_time_is_told_and_changes_nothing(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    promotions = promotions_of(platform)
    with (
        promotions.turn("slow"),
        pytest.raises(PromotionBusyError, match="under way"),
        promotions_of(platform).turn("other", wait=0.1) as turn,
    ):
        turn.carry_out(first, FIRST)
    assert _champion(platform) == second
    promotions.rollback("free again", "me")


# Rollback


def test_a_rollback_restores_the_previous_champion_and_another_one_goes_further_back(platform: Platform) -> None:
    first, second, third = _champions(platform, FIRST, BETTER, BETTER)
    promotions = promotions_of(platform)
    assert promotions.rollback("third was bad", "me").version == second
    assert _champion(platform) == second
    assert promotions.rollback("second as well", "me").version == first
    with pytest.raises(PromotionError, match=f"Nothing to roll back to: Version {first} is the champion"):
        promotions.rollback("and now", "me")
    assert _moves(platform)[-2:] == [(third, second, "rollback"), (second, first, "rollback")]


def test_a_rollback_passes_over_deleted_versions(platform: Platform) -> None:
    first, second, third = _champions(platform, FIRST, BETTER, BETTER)
    platform.registry.client.delete_model_version(MODEL_NAME, str(second))
    promotions = promotions_of(platform)
    assert promotions.rollback("bad", "me").version == first
    assert _moves(platform)[-1] == (third, first, "rollback")


def test_when_all_earlier_champions_are_deleted_the_error_names_them(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    platform.registry.client.delete_model_version(MODEL_NAME, str(first))
    with pytest.raises(PromotionError, match=rf"deleted from the registry: {first}\)"):
        promotions_of(platform).rollback("bad", "me")
    assert _champion(platform) == second


def test_when_the_champion_itself_was_deleted_a_rollback_restores_the_one_before(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    platform.registry.client.delete_model_version(MODEL_NAME, str(second))
    record = promotions_of(platform).rollback("it is gone", "me")
    assert (record.version, record.previous) == (first, None)


def test_without_a_champion_there_is_nothing_to_roll_back_to(platform: Platform) -> None:
    with pytest.raises(PromotionError, match="No version is the champion, and there is no earlier one"):
        promotions_of(platform).rollback("bad", "me")


# Changes made by other means


def test_a_move_of_the_alias_in_mlflow_is_noted_once(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
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
    first, second = _champions(platform, FIRST, BETTER)
    third = register(platform)
    move_alias(platform, first)
    promotions_of(platform).promote(third, "better", "me")
    assert _moves(platform)[1:] == [
        (first, second, "improvement"),
        (second, first, "manual"),
        (first, third, "manual"),
    ]


# What breaks off


@pytest.mark.parametrize(("breaks", "champion", "state"), [("alias", 1, "abandoned"), ("tags", 2, "done")])
def test_a_failure_in_between_leaves_a_valid_champion_and_a_history_that_agrees(
    platform: Platform, breaks: str, champion: int, state: str
) -> None:
    (first,) = _champions(platform, FIRST)
    second = register(platform)
    registry = _Breaks(platform.registry.uri, platform.settings.state / "mlartifacts")
    registry.breaks = breaks
    with (
        pytest.raises(ConnectionError, match=breaks),
        Promotions(registry, platform.database).turn("test", "run-2") as turn,
    ):
        turn.carry_out(second, BETTER)
    assert _champion(platform) == [first, second][champion - 1]
    promotions = promotions_of(platform)
    with promotions.turn("next"):
        pass
    latest = promotions.history()[0]
    assert (latest.version, latest.outcome, latest.state) == (second, "improvement", state)
    tags = platform.registry.version(second).tags
    assert tags.get("promotion_outcome") == ("improvement" if state == "done" else None)
    third = register(platform)
    promotions.promote(third, "the next one succeeds", "me")
    assert promotions.history()[0].previous == [first, second][champion - 1]


@pytest.mark.parametrize("moved", [False, True])
def test_what_a_killed_process_left_pending_is_settled_by_the_next_turn(platform: Platform, moved: bool) -> None:
    first, second = _champions(platform, FIRST)[0], register(platform)
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
    assert latest.version == _champion(platform) == (second if moved else first)
    assert platform.registry.version(second).tags.get("promotion_outcome") == ("improvement" if moved else None)


def test_no_alias_moves_when_the_connection_that_holds_the_lock_is_lost(platform: Platform) -> None:
    (first,) = _champions(platform, FIRST)
    second = register(platform)
    with pytest.raises(Exception, match=r"terminat|closed"), promotions_of(platform).turn("test") as turn:  # noqa: PT012
        _end_lock_holder(platform.database)
        turn.carry_out(second, BETTER)
    assert _champion(platform) == first
    assert len(promotions_of(platform).history()) == 1


def _end_lock_holder(database: Database) -> None:
    database.rows(
        """SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
           WHERE locktype = 'advisory' AND granted AND datname = current_database() AND pid <> pg_backend_pid()"""
    )


@pytest.mark.parametrize("uri", [CLOSED, "postgresql+psycopg2://u:secret@127.0.0.1:9/x_mlflow"])
def test_with_mlflow_away_each_operation_says_so_after_one_look_and_leaves_everything(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    _, second = _champions(platform, FIRST, BETTER)
    before = promotions_of(platform).history()
    away = Promotions(ModelRegistry(uri, platform.settings.state / "mlartifacts"), platform.database)

    def turn() -> Turn:
        with away.turn("test") as turn:
            return turn

    operations: list[Any] = [
        lambda: away.promote(1, "why", "me"),
        lambda: away.rollback("why", "me"),
        lambda: away.note_outside_changes("sensor"),
        turn,
    ]
    for operation in operations:
        with (
            probes_of(9, monkeypatch) as patience,
            pytest.raises(RegistryUnavailableError, match=r"MLflow does not answer at .*127\.0\.0\.1:9") as error,
        ):
            operation()
        assert len(patience) == 1
        assert patience[0] <= 5
        assert "secret" not in str(error.value)
    assert _champion(platform) == second
    assert promotions_of(platform).history() == before
