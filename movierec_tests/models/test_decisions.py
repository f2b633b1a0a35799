"""Changes of the champion: one at a time, with a true history, whatever breaks off in between."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from movierec_assets.models.decisions import PromotionBusyError, PromotionError, Promotions, Record, Turn
from movierec_assets.models.registry import ModelRegistry, NoChampionError, NoSuchVersionError, RegistryUnavailableError
from movierec_assets.models.version import CHAMPION, MODEL_NAME
from movierec_assets.recsys.promotion import Decision, standing
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import DatasetRef
from movierec_tests.defs.harness import Platform, own_platform
from movierec_tests.models.harness import (
    load_again,
    load_as,
    lose_champion,
    move_alias,
    probes_of,
    promotions_of,
    register,
    reset,
)

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

    def record(self, number: int, decision: Decision) -> None:
        self._maybe("alias")
        super().record(number, decision)

    def note(self, number: int, outcome: str, reason: str) -> None:
        self._maybe("tags")
        super().note(number, outcome, reason)


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
    assert (tags["promotion_outcome"], tags["promotion_reason"]) == ("kept", KEPT.reason)


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


# Holds


def test_a_rollback_holds_back_the_recipe_it_went_back_from_on_its_data(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    promotions = promotions_of(platform)
    assert promotions.holds() == []
    record = promotions.rollback("the lists are bad", "me")
    (hold,) = promotions.holds()
    assert (hold.version, hold.decision_id, hold.reason, hold.held_by) == (second, record.id, "the lists are bad", "me")
    recipe = platform.registry.version(second).recipe
    assert hold.covers(recipe, "2" * 8)
    assert hold.covers(replace(recipe, seed=77), "2" * 8), "a seed makes no other recipe"
    assert hold.covers_recipe(recipe)
    assert not hold.covers(recipe, "newer")
    assert not hold.covers(replace(recipe, factors=5), "2" * 8)
    assert not hold.covers_version(platform.registry.version(first))
    with promotions.turn("test") as turn:
        assert turn.holds() == [hold]


def test_a_promotion_by_hand_and_a_move_in_mlflow_hold_back_what_they_replace_and_decisions_of_the_gate_nothing(
    platform: Platform,
) -> None:
    first, second, third = _champions(platform, FIRST, BETTER, BETTER)
    promotions = promotions_of(platform)
    _carry_out(platform, register(platform), KEPT)
    assert promotions.holds() == []
    promotions.promote(first, "it was nicer", "me")
    move_alias(platform, second)
    promotions.note_outside_changes("sensor")
    assert [hold.version for hold in promotions.holds()] == [third, first]
    assert "moved to version 2 in MLflow" in promotions.holds()[1].reason


def test_what_is_held_back_already_is_not_held_twice_and_a_promotion_by_hand_ends_the_hold(platform: Platform) -> None:
    one, other, again = (register(platform, seed=seed, data="same") for seed in (1, 2, 3))
    two = register(platform, data="newer")
    promotions = promotions_of(platform)
    for number in (one, two):
        _carry_out(platform, number, BETTER)
    promotions.rollback("two is bad", "me")
    _carry_out(platform, two, BETTER)
    promotions.rollback("two is still bad", "me")
    assert [(hold.version, hold.reason) for hold in promotions.holds()] == [(two, "two is bad")]
    promotions.promote(two, "two is good after all", "me")
    assert [hold.version for hold in promotions.holds()] == [one]
    promotions.promote(other, "the same as one but for the seed", "me")
    assert [hold.version for hold in promotions.holds()] == [two]
    promotions.release("me")
    promotions.promote(again, "a third seed", "me")
    assert promotions.holds() == [], "it replaced the recipe and data that it has itself"


def test_holds_are_released_all_or_by_version_or_by_a_version_that_they_cover(platform: Platform) -> None:
    first, second, third = _champions(platform, FIRST, BETTER, BETTER)
    promotions = promotions_of(platform)
    for reason in ("third", "second"):
        promotions.rollback(reason, "me")
    assert promotions.release("me", first) == []
    twin = register(platform, seed=9, data="2" * 8)
    assert [hold.version for hold in promotions.release("me", twin)] == [second]
    with pytest.raises(NoSuchVersionError):
        promotions.release("me", 99)
    assert [hold.version for hold in promotions.release("you")] == [third]
    assert promotions.release("me") == promotions.holds() == []
    rows = platform.database.rows("SELECT model_version, released_by FROM movierec.promotion_holds ORDER BY hold_id")
    assert rows == [(third, "you"), (second, "me")]


def test_a_hold_is_written_with_the_decision_also_when_a_killed_process_left_that_pending(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    registry = _Breaks(platform.registry.uri, platform.settings.artifacts)
    registry.breaks = "tags"
    with pytest.raises(ConnectionError), Promotions(registry, platform.database).turn("me") as turn:
        turn.carry_out(first, Decision(True, "rollback", "bad"))
    assert promotions_of(platform).holds() == []
    with promotions_of(platform).turn("next") as turn:
        assert [(hold.version, hold.reason) for hold in turn.holds()] == [(second, "bad")]


def test_a_hold_outlives_the_version(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    recipe = platform.registry.version(second).recipe
    move_alias(platform, first)
    platform.registry.client.delete_model_version(MODEL_NAME, str(second))
    promotions = promotions_of(platform)
    promotions.note_outside_changes("sensor")
    (hold,) = promotions.holds()
    assert hold.covers(recipe, "2" * 8)


# A champion that was lost


@pytest.mark.parametrize(
    ("how", "happened", "remedy"),
    [
        ("alias", "The alias champion was removed from version 2 in MLflow", "`movierec model promote 2`"),
        ("version", "Version 2, the champion, was deleted in MLflow", "`movierec model promote 1`"),
        ("model", "The model movierec-als was deleted in MLflow", "`movierec run --job train`"),
    ],
)
def test_a_lost_champion_is_noted_once_with_what_happened_and_the_remedy(
    platform: Platform, how: str, happened: str, remedy: str
) -> None:
    _, second = _champions(platform, FIRST, BETTER)
    lose_champion(platform, how, second)
    promotions = promotions_of(platform)
    assert not promotions.settled()
    noted = promotions.note_outside_changes("sensor")
    assert noted is not None
    assert (noted.version, noted.outcome, noted.promoted, noted.state) == (second, "lost", False, "done")
    assert noted.reason.startswith(happened)
    assert remedy in noted.reason
    assert promotions.settled()
    assert promotions.note_outside_changes("sensor") is None
    assert promotions.latest() is None
    assert promotions.history()[0] == noted
    with pytest.raises(NoChampionError, match=happened) as error:
        promotions.champion()
    assert remedy in str(error.value)
    with promotions.turn("test") as turn:
        assert turn.champion is None
        assert turn.incumbent(None, None) is None


def test_a_promotion_after_a_loss_ends_it(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    lose_champion(platform, "alias", second)
    promotions = promotions_of(platform)
    promotions.note_outside_changes("sensor")
    record = promotions.promote(second, "back", "me")
    assert (record.previous, promotions.champion().number, promotions.loss()) == (None, second, None)
    assert promotions.holds() == [], "nothing was replaced"
    assert promotions.settled()
    lose_champion(platform, "alias", second)
    move_alias(platform, first)
    noted = promotions.note_outside_changes("sensor")
    assert noted is not None
    assert (noted.outcome, noted.previous) == ("manual", second)


def test_without_a_history_there_is_no_loss(platform: Platform) -> None:
    register(platform)
    promotions = promotions_of(platform)
    assert promotions.settled()
    assert promotions.loss() is None
    with pytest.raises(NoChampionError, match="movierec run"):
        promotions.champion()


def test_the_remedy_is_the_one_of_today(platform: Platform) -> None:
    first, second = _champions(platform, FIRST, BETTER)
    lose_champion(platform, "alias", second)
    promotions = promotions_of(platform)
    promotions.note_outside_changes("sensor")
    lose_champion(platform, "version", second)
    loss = promotions.loss()
    assert loss is not None
    assert (loss.cause, loss.remedy) == ("version", first)


@pytest.mark.parametrize("noted", [True, False])
def test_after_the_model_was_deleted_new_versions_have_nothing_to_do_with_old_ones(
    platform: Platform, noted: bool
) -> None:
    _champions(platform, FIRST, BETTER)
    lose_champion(platform, "model", 2)
    promotions = promotions_of(platform)
    if noted:
        promotions.note_outside_changes("sensor")
    one, two = register(platform, seed=11), register(platform, seed=12)
    assert (one, two) == (1, 2)
    assert promotions.incumbent(None, None) is None
    with pytest.raises(PromotionError, match="No version is the champion, and there is no earlier one"):
        promotions.rollback("what was before", "me")
    assert "was deleted in MLflow" in promotions.history()[0].reason
    _carry_out(platform, two, FIRST)
    assert [record.outcome for record in promotions.history(version=two)] == ["first"]
    with pytest.raises(PromotionError, match="there is no earlier one"):
        promotions.rollback("what was before", "me")
    move_alias(platform, one)
    promotions.note_outside_changes("sensor")
    assert promotions.rollback("undo", "me").version == two


def test_a_new_version_of_the_champions_number_is_told_from_it(platform: Platform) -> None:
    (first,) = _champions(platform, FIRST)
    lose_champion(platform, "model", first)
    assert register(platform, seed=5) == first
    move_alias(platform, first)
    promotions = promotions_of(platform)
    assert not promotions.settled()
    promotions.note_outside_changes("sensor")
    assert [(each.outcome, each.previous) for each in promotions.history()[:2]] == [("manual", None), ("lost", first)]
    assert promotions.settled()


# Other data


def test_a_version_of_other_data_is_promoted_only_by_force(platform: Platform) -> None:
    demo = load_as(platform, "demo")
    one = register(platform, seed=1, dataset=demo)
    latest = load_as(platform, "ml-latest-small")
    two = register(platform, seed=2, dataset=latest)
    promotions = promotions_of(platform)
    promotions.promote(two, "of the loaded data", "me")
    with pytest.raises(PromotionError) as error:
        promotions.promote(one, "try it", "me")
    assert str(error.value) == (
        "Version 1 was trained on demo (dataset 1), and ml-latest-small (dataset 2) is loaded; its movies are others. "
        "Load demo first (`movierec run --job refresh --dataset ...`, with its name or directory), or use --force: "
        "then the alias moves, the "
        "tables of recommendations stay as they are, and nothing is served until demo is loaded again."
    )
    assert _champion(platform) == two
    record = promotions.promote(one, "try it", "me", force=True)
    assert record.reason.startswith("try it. Version 1 was trained on demo (dataset 1), and ml-latest-small")
    assert _champion(platform) == one
    assert promotions.holds() == [], "the champion of other data was not replaced because it is bad"


def test_a_rollback_stays_with_the_loaded_data_and_says_what_it_passed_over(platform: Platform) -> None:
    demo = load_as(platform, "demo")
    one, two = (register(platform, seed=seed, dataset=demo) for seed in (1, 2))
    other = load_as(platform, "other")
    three = register(platform, seed=3, dataset=other)
    for number, decision in ((one, FIRST), (three, FIRST), (two, BETTER)):
        _carry_out(platform, number, decision)
    load_again(platform, demo)
    promotions = promotions_of(platform)
    record = promotions.rollback("two is bad", "me")
    assert (record.version, record.reason) == (
        one,
        "two is bad. Passed over: version 3, trained on other (dataset 2).",
    )
    with pytest.raises(PromotionError, match=r"Version 3 was trained on other \(dataset 2\), and demo \(dataset 1\)"):
        promotions.rollback("further", "me")
    assert promotions.rollback("further", "me", force=True).version == three


def test_another_definition_of_a_like_is_allowed_and_told(platform: Platform) -> None:
    demo = load_as(platform, "demo")
    one = register(platform, dataset=demo, threshold=3.5)
    record = promotions_of(platform).promote(one, "try it", "me")
    assert record.reason == "try it. Version 1 counts 3.5 stars and more as likes; the setting is 4."


def test_the_incumbent_is_of_the_learning_problem(platform: Platform) -> None:
    demo, other = load_as(platform, "demo"), load_as(platform, "other")
    one, two, three = (
        register(platform, seed=seed, dataset=dataset, threshold=4.0)
        for seed, dataset in enumerate((demo, demo, other), start=1)
    )
    for number in (one, two, three):
        _carry_out(platform, number, BETTER)
    promotions = promotions_of(platform)

    def incumbent(dataset: DatasetRef, threshold: float) -> int | None:
        looked = promotions.incumbent(dataset.id, threshold)
        with promotions.turn("test") as turn:
            assert turn.incumbent(dataset.id, threshold) == looked
        return looked.number if looked else None

    assert incumbent(other, 4.0) == three
    assert incumbent(demo, 4.0) == two
    assert incumbent(demo, 3.0) is None
    platform.registry.client.delete_model_version(MODEL_NAME, str(two))
    assert incumbent(demo, 4.0) == one


# What breaks off


@pytest.mark.parametrize(("breaks", "champion", "state"), [("alias", 1, "abandoned"), ("tags", 2, "done")])
def test_a_failure_in_between_leaves_a_valid_champion_and_a_history_that_agrees(
    platform: Platform, breaks: str, champion: int, state: str
) -> None:
    (first,) = _champions(platform, FIRST)
    second = register(platform)
    registry = _Breaks(platform.registry.uri, platform.settings.artifacts)
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
    away = Promotions(ModelRegistry(uri, platform.settings.artifacts), platform.database)

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
