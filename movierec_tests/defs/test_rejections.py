"""A challenger that a blocking check stopped."""

from __future__ import annotations

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    DagsterInstance,
    MaterializeResult,
    asset,
    asset_check,
    materialize,
)

from movierec_assets.defs.rejections import note_rejection
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    promotions_of,
    register,
)

pytestmark = pytest.mark.slow  # every module has a real MLflow and Postgres


@pytest.mark.parametrize(("passed", "severity"), [(False, "ERROR"), (False, "WARN"), (True, "ERROR")])
def test_a_challenger_that_a_blocking_check_stopped_is_kept_as_rejected_once(
    platform: Platform, passed: bool, severity: str
) -> None:
    one, two = register(platform, seed=1), register(platform, seed=2)
    promotions = promotions_of(platform)
    promotions.promote(one, "the first one", "me")

    @asset
    def als_model() -> MaterializeResult[None]:
        return MaterializeResult(metadata={"model_version": two})

    @asset_check(asset=als_model, blocking=True)
    def is_finite() -> AssetCheckResult:
        return AssetCheckResult(passed=passed, severity=AssetCheckSeverity(severity), description="3 are not finite")

    with DagsterInstance.get() as instance:
        result = materialize([als_model, is_finite], instance=instance, raise_on_error=False)
        record = note_rejection(promotions, instance, result.run_id)
        assert note_rejection(promotions, instance, result.run_id) is None
    if passed or severity == "WARN":
        assert record is None
        return
    assert record is not None
    assert (record.version, record.previous, record.outcome, record.promoted) == (two, one, "rejected", False)
    assert record.reason == "Failed is_finite: 3 are not finite"
    assert record.dagster_run_id == result.run_id
    assert platform.registry.version(two).tags["promotion_outcome"] == "rejected"
    assert platform.champion().number == one
