"""A champion whose alias, version or model was removed in MLflow."""

from __future__ import annotations

import pytest

from movierec_assets.models.errors import (
    NoChampionError,
    PromotionError,
)
from movierec_assets.models.version import LearningProblem
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    BETTER,
    FIRST,
    carry_out,
    lose_champion,
    move_alias,
    promote_in_order,
    promotions_of,
    register,
)

pytestmark = pytest.mark.slow  # every test has a real MLflow and Postgres


@pytest.mark.parametrize(
    ("how", "happened", "remedy"),
    [
        ("alias", "The alias champion was removed from version 2 in MLflow", "`movierec model promote 2`"),
        ("version", "Version 2, the champion, was deleted in MLflow", "`movierec model promote 1`"),
        (
            "version, but not its alias",
            "Version 2, the champion, was deleted in MLflow",
            "`movierec model promote 1`",
        ),
        ("model", "The model movierec-als was deleted in MLflow", "`movierec run --job train`"),
    ],
)
def test_a_lost_champion_is_noted_once_with_the_cause_and_the_remedy(
    platform: Platform, how: str, happened: str, remedy: str
) -> None:
    _, second = promote_in_order(platform, FIRST, BETTER)
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
    with promotions.transaction("test") as transaction:
        assert transaction.champion is None
        assert transaction.incumbent(LearningProblem()).version is None


def test_a_promotion_after_a_loss_ends_it(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
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
    first, second = promote_in_order(platform, FIRST, BETTER)
    lose_champion(platform, "alias", second)
    promotions = promotions_of(platform)
    promotions.note_outside_changes("sensor")
    lose_champion(platform, "version", second)
    loss = promotions.loss()
    assert loss is not None
    assert (loss.cause, loss.remedy) == ("version", first)


@pytest.mark.parametrize("noted", [True, False])
def test_after_the_model_was_deleted_new_versions_do_not_count_as_old_ones(platform: Platform, noted: bool) -> None:
    promote_in_order(platform, FIRST, BETTER)
    lose_champion(platform, "model", 2)
    promotions = promotions_of(platform)
    if noted:
        promotions.note_outside_changes("sensor")
    one, two = register(platform, seed=11), register(platform, seed=12)
    assert (one, two) == (1, 2)
    assert promotions.incumbent(None, None) is None
    with pytest.raises(PromotionError, match="No version is the champion, and there is no earlier one"):
        promotions.rollback("back to the champion before", "me")
    assert "was deleted in MLflow" in promotions.history()[0].reason
    carry_out(platform, two, FIRST)
    assert [record.outcome for record in promotions.history(version=two)] == ["first"]
    with pytest.raises(PromotionError, match="there is no earlier one"):
        promotions.rollback("back to the champion before", "me")
    move_alias(platform, one)
    promotions.note_outside_changes("sensor")
    assert promotions.rollback("undo", "me").version == two


def test_a_new_version_of_the_champions_number_is_not_taken_for_it(platform: Platform) -> None:
    (first,) = promote_in_order(platform, FIRST)
    lose_champion(platform, "model", first)
    assert register(platform, seed=5) == first
    move_alias(platform, first)
    promotions = promotions_of(platform)
    assert not promotions.settled()
    promotions.note_outside_changes("sensor")
    assert [(each.outcome, each.previous) for each in promotions.history()[:2]] == [("manual", None), ("lost", first)]
    assert promotions.settled()
