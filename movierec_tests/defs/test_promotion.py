"""The decision of champion_model."""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_assets.models.gate import require_compared_with
from movierec_assets.models.version import MODEL_NAME
from movierec_assets.recsys.errors import RecsysError
from movierec_tests.defs.harness import RETRAIN, failures_of, metadata_of, run
from movierec_tests.first_day import FirstDay
from movierec_tests.models.harness import (
    move_alias,
    promotions_of,
)

pytestmark = pytest.mark.slow  # every module has a real MLflow and Postgres


def test_an_evaluation_beside_another_champion_decides_nothing() -> None:
    require_compared_with(3, 3)
    require_compared_with(None, None)
    with pytest.raises(RecsysError, match="Version 3 is the champion now, and model_evaluation was made beside champ"):
        require_compared_with(3, 2)
    with pytest.raises(RecsysError, match="made when there was no champion"):
        require_compared_with(3, None)
    with pytest.raises(RecsysError, match="There is no champion any more"):
        require_compared_with(None, 3)


@pytest.mark.slow
def test_champion_model_decides_once_and_not_on_a_comparison_with_another_champion(
    first_day: FirstDay, tmp_path: Path
) -> None:
    with first_day.copied(tmp_path) as platform:
        promotions = promotions_of(platform)
        (record,) = promotions.history()
        assert (record.outcome, record.promoted, record.decided_by) == ("first", True, "champion_model")
        again = run("train", "champion_model")
        assert metadata_of(again)["champion_model"]["decision_id"] == record.id
        assert len(promotions.history()) == 1, "a step that is tried again finds its work done"

        assert run("train", config=RETRAIN).success
        kept = promotions.history()[0]
        assert (kept.outcome, kept.previous) == ("kept", record.version)
        assert {"difference_low", "difference_high", "refresh_margin", "champion_ndcg_at_10"} <= set(kept.numbers)

        source = platform.registry.version(record.version)
        other = platform.registry.client.create_model_version(MODEL_NAME, source.source, source.run_id)
        move_alias(platform, int(other.version))
        refused = run("train", "champion_model")
        assert f"made beside champion {record.version}" in failures_of(refused)["champion_model"]
        assert platform.champion().number == int(other.version)
        assert [each.outcome for each in promotions.history()] == ["manual", "kept", "first"]
