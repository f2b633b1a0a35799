"""The trainings that the next one continues: the champion's, and that of a challenger that was kept since."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from movierec_assets.models.predecessor import kept_after, log_training_state, training_to_continue
from movierec_assets.models.version import DATASET_ID, MODEL_NAME, POSITIVE_THRESHOLD
from movierec_assets.recsys.promotion import Decision
from movierec_assets.recsys.training_state import KnownLikes, TrainingState
from movierec_assets.tables.known_datasets import DatasetRef
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import FIRST, KEPT, carry_out, load_as, move_alias, promotions_of, register

pytestmark = pytest.mark.slow

REJECTED = Decision(False, "rejected", "A check failed.")


def _version(
    platform: Platform, dataset: DatasetRef, decision: Decision | None, *, seed: int = 1, threshold: float = 4.0
) -> int:
    """A version with a training state, whose `warm_in_a_row` is its number."""
    number = register(platform, dataset=dataset, threshold=threshold, seed=seed)
    nobody, pairs, factors = np.empty(0, np.int64), np.empty((0, 2), np.int64), np.zeros((0, 4), np.float32)
    known = KnownLikes(pairs, nobody)
    state = TrainingState(nobody, factors, factors, None, nobody, known, known, pairs, None, number)
    run = platform.registry.version(number).run_id
    to_run = SimpleNamespace(log_artifact=lambda path: platform.registry.client.log_artifact(run, path))
    log_training_state(to_run, state)
    if decision is not None:
        carry_out(platform, number, decision)
    return number


def unfinished(platform: Platform, like: int) -> int:
    """A version with the files of another one, whose training was killed before it wrote the tags."""
    source = platform.registry.version(like)
    return int(platform.registry.client.create_model_version(MODEL_NAME, source.source, source.run_id).version)


def test_an_unfinished_version_that_was_made_the_champion_is_not_compared_with(platform: Platform) -> None:
    dataset = load_as(platform, "films")
    first = _version(platform, dataset, FIRST)
    assert promotions_of(platform).incumbent(dataset.id, 4.0) is not None
    broken_off = unfinished(platform, first)
    for tag, value in ((DATASET_ID, str(dataset.id)), (POSITIVE_THRESHOLD, "4")):
        platform.registry.client.set_model_version_tag(MODEL_NAME, str(broken_off), tag, value)
    move_alias(platform, broken_off)
    assert promotions_of(platform).incumbent(dataset.id, 4.0) is None
    with promotions_of(platform).transaction("test") as transaction:
        problem = platform.registry.version(broken_off).learned
        assert "it records no recipe" in str(transaction.incumbent(problem).why_unusable)


def test_the_latest_version_like_the_champion_counts_if_it_was_kept(platform: Platform) -> None:
    dataset = load_as(platform, "films")
    registry, promotions = platform.registry, promotions_of(platform)
    champion = registry.version(_version(platform, dataset, FIRST))

    def kept() -> int | None:
        found = kept_after(registry, promotions, champion)
        return None if found is None else found.number

    assert kept() is None
    second = _version(platform, dataset, KEPT)
    _version(platform, dataset, KEPT, seed=2)
    _version(platform, dataset, KEPT, threshold=3.0)
    assert kept() == second, "another recipe and another definition of a like do not count"
    found = training_to_continue(registry, promotions, champion)
    assert found is not None
    assert found.kept is not None
    assert (found.state.warm_in_a_row, found.kept.state.warm_in_a_row) == (champion.number, second)
    assert found.warm_in_a_row == second
    _version(platform, dataset, REJECTED)
    assert kept() is None, "the latest one is not fit to be continued"
    third = _version(platform, dataset, KEPT)
    assert kept() == third
    broken_off = unfinished(platform, third)
    assert kept() == third, "a training that was killed between the version and its tags is in nobody's way"
    registry.client.delete_model_version(MODEL_NAME, str(broken_off))
    registry.client.delete_model_version(MODEL_NAME, str(third))
    assert kept() is None
    _version(platform, dataset, None)
    assert kept() is None, "nothing was decided about it"
