"""Champions by the history of decisions, on plain values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from movierec_assets.models.decision_history import (
    MODEL_DELETED,
    History,
    Loss,
    Record,
    tags_to_keep,
)
from movierec_assets.models.version import (
    DATASET,
    DATASET_ID,
    POSITIVE_THRESHOLD,
    LearningProblem,
    OtherData,
    Version,
    other_data,
)
from movierec_assets.recsys.promotion import standing
from movierec_assets.tables.known_datasets import UNKNOWN_DATASET, DatasetRef

OURS, OTHERS = DatasetRef(1, "ours"), DatasetRef(2, "others")
ANYTHING = LearningProblem()


def _version(number: int, dataset: DatasetRef | None = None, threshold: float | None = None, run: str = "") -> Version:
    tags = {} if dataset is None else {DATASET_ID: str(dataset.id), DATASET: dataset.name}
    if threshold is not None:
        tags[POSITIVE_THRESHOLD] = str(threshold)
    return Version(number, run or f"run-{number}", "", tags)


def _events(*moves: tuple[Version, str], deleted_at: int | None = None) -> list[Record]:
    """Events in this order; `deleted_at` is the index of the loss with which the model was deleted."""
    return [
        Record(
            id=index + 1,
            decided_at=datetime(2026, 5, 1, tzinfo=UTC),
            version=version.number,
            previous=None,
            outcome=outcome,
            promoted=outcome != "lost",
            reason="",
            numbers={MODEL_DELETED: 1.0} if index == deleted_at else {},
            dagster_run_id=None,
            decided_by="test",
            state="done",
            version_tags=tags_to_keep(version),
        )
        for index, (version, outcome) in enumerate(moves)
    ]


def _number(version: Version | None) -> int | None:
    return None if version is None else version.number


def test_a_version_without_a_recorded_dataset_or_threshold_belongs_to_every_problem() -> None:
    assert LearningProblem(1, 4.0).includes(_version(1))
    assert LearningProblem(1, 4.0).includes(_version(1, OURS))
    assert LearningProblem(None, None).includes(_version(1, OURS, 3.5))
    assert not LearningProblem(1, 4.0).includes(_version(1, OURS, 3.5))
    assert not LearningProblem(2, 4.0).includes(_version(1, OURS, 4.0))


def test_the_incumbent_is_the_champion_of_this_problem_or_the_last_one_that_stands() -> None:
    one, two, three = _version(1, OURS, 4.0), _version(2, OURS, 4.0), _version(3, OTHERS, 4.0)
    history = History(_events((one, "first"), (two, "refresh"), (three, "first")), [one, two, three])
    assert _number(history.incumbent(three, LearningProblem(2, 4.0))) == 3
    assert _number(history.incumbent(three, LearningProblem(1, 4.0))) == 2
    assert history.incumbent(three, LearningProblem(1, 3.0)) is None
    without_history = History(_events(), [one])
    assert _number(without_history.incumbent(one, LearningProblem(1, 4.0))) == 1


def test_a_rollback_on_one_dataset_takes_no_champion_of_another_one_away() -> None:
    one, two, three, four = _version(1, OTHERS), _version(2, OURS), _version(3, OTHERS), _version(4, OURS)
    moves = [(one, "first"), (two, "first"), (three, "refresh"), (four, "refresh"), (two, "rollback")]
    history = History(_events(*moves), [one, two, three, four])
    assert _number(history.incumbent(two, LearningProblem(2))) == 3
    assert _number(history.incumbent(two, LearningProblem(1))) == 2


def test_a_version_that_was_rolled_back_or_deleted_is_no_incumbent() -> None:
    one, two, three, other = _version(1, OURS), _version(2, OURS), _version(3, OURS), _version(4, OTHERS)
    moves = [(one, "first"), (two, "refresh"), (three, "refresh"), (two, "rollback"), (other, "first")]
    assert _number(History(_events(*moves), [one, two, three, other]).incumbent(other, LearningProblem(1))) == 2
    assert _number(History(_events(*moves), [one, three, other]).incumbent(other, LearningProblem(1))) == 1


def test_a_lost_champion_is_no_incumbent_until_another_promotion_and_other_problems_keep_theirs() -> None:
    one, two, three = _version(1, OURS), _version(2, OTHERS), _version(3, OURS)
    moves = [(one, "first"), (two, "first"), (two, "lost")]
    lost = History(_events(*moves), [one, two, three])
    assert lost.incumbent(None, LearningProblem(2)) is None
    assert _number(lost.incumbent(None, LearningProblem(1))) == 1
    found = History(_events(*moves, (two, "manual"), (three, "refresh")), [one, two, three])
    assert _number(found.incumbent(three, LearningProblem(2))) == 2


def test_a_loss_that_nobody_noted_yet_counts_for_its_problem() -> None:
    one, two = _version(1, OTHERS), _version(2, OURS)
    history = History(_events((one, "first"), (two, "first")), [one, two])
    assert history.incumbent(None, LearningProblem(1)) is None
    assert _number(history.incumbent(None, LearningProblem(2))) == 1


def test_decisions_before_the_model_was_deleted_do_not_count_for_new_versions_of_the_same_numbers() -> None:
    old, new = _version(1, OURS), _version(1, OURS, run="another")
    marked = History(_events((old, "first"), (old, "lost"), deleted_at=1), [new])
    assert marked.standing(ANYTHING) == []
    unmarked = History(_events((old, "first")), [new])
    assert unmarked.returnable(ANYTHING) == [], "recognized by the MLflow run"
    assert not _events((old, "first"))[0].is_about(new)
    assert replace(_events((old, "first"))[0], version_tags={}).is_about(new), "rows of earlier releases have no run"


def test_a_loss_names_the_removed_thing_and_the_remedy() -> None:
    one, two = _version(1, OURS), _version(2, OURS)
    events = _events((one, "first"), (two, "refresh"), (two, "lost"))

    def loss(versions: list[Version], problem: LearningProblem = ANYTHING, *, exists: bool = True) -> Loss:
        return History(events, versions).loss(events[-1], problem, model_exists=exists)

    assert loss([one, two]) == Loss(2, "alias", 2)
    assert loss([one]) == Loss(2, "version", 1)
    assert loss([]) == Loss(2, "version", None)
    assert loss([], exists=False) == Loss(2, "model", None)
    assert loss([_version(1, OURS, run="another")]) == Loss(2, "model", None)
    assert loss([one, two], LearningProblem(2)) == Loss(2, "alias", None), "promoting it would be refused"
    assert "`movierec model promote 2` makes version 2 the champion again" in str(loss([one, two]))
    assert "`movierec model promote 1` makes version 1 the champion." in str(loss([one]))
    assert "`movierec run --job train`" in str(loss([]))


@pytest.mark.parametrize(("trained", "loaded"), [(None, OURS), (OURS, None), (OURS, OURS)])
def test_a_version_is_of_other_data_only_when_both_are_known(
    trained: DatasetRef | None, loaded: DatasetRef | None
) -> None:
    assert other_data(_version(1, trained), loaded) is None


def test_other_data_are_named_with_the_loaded_data() -> None:
    found = other_data(_version(1, OURS), OTHERS)
    assert found == OtherData(1, OURS, OTHERS)
    assert str(found).startswith("Version 1 was trained on ours (dataset 1), and others (dataset 2) is loaded")
    assert found is not None
    assert found.command == "`movierec run --job refresh --dataset ...`, with its name or directory"
    unknown = other_data(_version(1, UNKNOWN_DATASET), OTHERS)
    assert unknown is not None
    assert str(unknown).startswith("Version 1 was trained on an unknown dataset, and others (dataset 2)")
    assert unknown.command == found.command
    assert "until its dataset is loaded again" in unknown.consequence


@pytest.mark.parametrize(
    ("moves", "remaining"),
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
def test_rollbacks_in_a_row_go_further_back(moves: list[tuple[int, bool]], remaining: list[int]) -> None:
    assert standing(moves) == remaining
