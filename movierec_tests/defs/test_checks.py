"""Checks that are asked without a run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dagster import AssetCheckResult

from movierec_assets.defs.checks import not_worse_on_return, signal_does_no_harm, somebody_can_be_evaluated
from movierec_assets.defs.list_checks import carry_champion
from movierec_assets.defs.return_figures import METRICS
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.evaluation import HEADLINE
from movierec_assets.recsys.rankers import CHAMPION, MODEL, WITHOUT_SIGNAL
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import leave_latest_out
from movierec_assets.resources.configurable import RegistryResource


def scores(**of_ranker: float) -> pd.DataFrame:
    """Scores of 50 users that differ between rankers by a constant."""
    own = np.linspace(0, 0.5, 50)
    return pd.concat([pd.DataFrame({"ranker": name, HEADLINE: own + add}) for name, add in of_ranker.items()])


def asked(evaluation: pd.DataFrame) -> AssetCheckResult:
    result = signal_does_no_harm(evaluation)
    assert isinstance(result, AssetCheckResult)
    return result


@pytest.mark.parametrize("gain", [-0.1, 0.0, 0.1])
def test_a_signal_that_does_harm_is_told_with_the_remedy(gain: float) -> None:
    result = asked(scores(**{MODEL: gain, WITHOUT_SIGNAL: 0.0}))
    assert result.passed == (gain >= 0)
    assert ("job `search`" in str(result.description)) == (gain < 0)


def test_a_recipe_without_a_signal_does_no_harm_by_it() -> None:
    assert asked(scores(**{MODEL: 0.0})).passed


def returned(**of_ranker: float) -> pd.DataFrame:
    """Scores of 50 users who came back in one window; NDCG@10 is about 0.25 times a factor of the ranker."""
    own = np.linspace(0.1, 0.4, 50)
    return pd.concat(
        [
            pd.DataFrame({"ranker": name, "window": 1, "user_id": range(50), **dict.fromkeys(METRICS, own * factor)})
            for name, factor in of_ranker.items()
        ]
    )


@pytest.mark.parametrize(
    ("margin", "loss", "passed"),
    [("0.005", 0.03, False), ("0.1", 0.03, False), ("1", 0.006, False), ("1", 0.004, True), ("0.001", 0.004, False)],
)
def test_a_larger_margin_for_improvements_allows_no_larger_loss_on_return(
    margin: str, loss: float, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_IMPROVEMENT_MARGIN", margin)
    factors = Factors(np.ones((50, 2)), np.ones((9, 2)), Confidence("binary", np.ones(9), 1.0))
    refit = Challenger(3, "run", Recipe(), factors, {}, np.ones(50, dtype=bool))
    beside = ChampionFit(1, Recipe(), False, True, factors, np.ones(50, dtype=bool), refit)
    result = not_worse_on_return(returned(**{MODEL: 1 - loss, CHAMPION: 1.0}), beside, RegistryResource())
    assert isinstance(result, AssetCheckResult)
    assert result.passed is passed
    assert "MOVIEREC_IMPROVEMENT_MARGIN, but never more than 0.5%" in str(result.description)


@pytest.mark.parametrize("equal", [True, False])
def test_likes_without_an_order_are_said_to_switch_the_signal_off_before_anything_is_trained(equal: bool) -> None:
    users, likes = np.repeat(np.arange(1, 9), 6), np.tile(np.arange(1, 7), 8)
    times = 10**9 + likes * (not equal)
    split, _ = leave_latest_out(RatingColumns.cast(users, likes, np.full(len(users), 4.0), times))
    result = somebody_can_be_evaluated(split.train, split.validation, split.test)
    assert isinstance(result, AssetCheckResult)
    assert not result.passed
    assert ("The next-movie signal is off" in str(result.description)) is equal


def test_tables_of_another_version_than_the_champion_are_told_with_the_remedy() -> None:
    result = carry_champion(4, {"user_recommendations": 4, "similar_movies": 3, "popular_movies": 4})
    assert not result.passed
    assert "Champion 4; the tables carry: user_recommendations 4, similar_movies 3," in str(result.description)
    assert "movierec run --job publish" in str(result.description)
    assert carry_champion(4, {"user_recommendations": None, "similar_movies": 4, "popular_movies": 4}).passed
    assert not carry_champion(4, {"user_recommendations": None}).passed
    assert not carry_champion(None, {"user_recommendations": 4}).passed
