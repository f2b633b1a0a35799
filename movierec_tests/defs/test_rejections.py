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
    build_sensor_context,
    materialize,
)

from movierec_assets.defs.rejections import note_rejection, rejected_challengers
from movierec_assets.models.errors import RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    promotions_of,
    register,
)

pytestmark = pytest.mark.slow  # every module has a real MLflow and Postgres


@pytest.mark.parametrize(("passed", "severity"), [(False, "ERROR"), (False, "WARN"), (True, "ERROR")])
def test_a_challenger_that_a_blocking_check_stopped_is_kept_as_rejected_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, passed: bool, severity: str
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
        context = build_sensor_context(instance)
        postgres, registry = PostgresResource(), RegistryResource()
        if not result.success:
            with monkeypatch.context() as away:
                away.setattr(RegistryResource, "open", _unavailable)
                with pytest.raises(RegistryUnavailableError):
                    rejected_challengers(context, postgres=postgres, registry=registry)
            assert context.cursor is None, "it looks at the run again"
        rejected_challengers(context, postgres=postgres, registry=registry)
        records = [each for each in promotions.history(10) if each.dagster_run_id == result.run_id]
        record = records[0] if records else None
        rejected_challengers(context, postgres=postgres, registry=registry)
        assert note_rejection(promotions, instance, result.run_id) is None
        assert len([each for each in promotions.history(10) if each.dagster_run_id == result.run_id]) == len(records)
    if passed or severity == "WARN":
        assert record is None
        return
    assert record is not None
    assert (record.version, record.previous, record.outcome, record.promoted) == (two, one, "rejected", False)
    assert record.reason == "Failed is_finite: 3 are not finite"
    assert record.dagster_run_id == result.run_id
    assert platform.registry.version(two).tags["promotion_outcome"] == "rejected"
    assert platform.champion().number == one


def _unavailable(_: RegistryResource) -> ModelRegistry:
    raise RegistryUnavailableError("MLflow is away")
