"""Checks that are asked without a run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dagster import AssetCheckResult

from movierec_assets.defs.checks import signal_does_no_harm
from movierec_assets.defs.list_checks import carry_champion
from movierec_assets.recsys.evaluation import HEADLINE
from movierec_assets.recsys.rankers import MODEL, WITHOUT_SIGNAL


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


def test_tables_of_another_version_than_the_champion_are_told_with_the_remedy() -> None:
    result = carry_champion(4, {"user_recommendations": 4, "similar_movies": 3, "popular_movies": 4})
    assert not result.passed
    assert "Champion 4; the tables carry: user_recommendations 4, similar_movies 3," in str(result.description)
    assert "movierec run --job publish" in str(result.description)
    assert carry_champion(4, {"user_recommendations": None, "similar_movies": 4, "popular_movies": 4}).passed
    assert not carry_champion(4, {"user_recommendations": None}).passed
    assert not carry_champion(None, {"user_recommendations": 4}).passed
