"""Promotion and rollback by a person, as Dagster jobs."""

from __future__ import annotations

import pytest
from dagster import (
    DagsterInstance,
    ExecuteInProcessResult,
)

from movierec_assets.definitions import build
from movierec_tests.defs.harness import Platform, failures_of, metadata_of
from movierec_tests.models.harness import (
    load_as,
    promotions_of,
    register,
)

pytestmark = pytest.mark.slow  # every module has a real MLflow and Postgres


def _operate(job: str, op: str, **config: object) -> ExecuteInProcessResult:
    with DagsterInstance.get() as instance:
        return (
            build()
            .resolve_job_def(job)
            .execute_in_process(instance=instance, raise_on_error=False, run_config={"ops": {op: {"config": config}}})
        )


def test_a_promotion_and_a_rollback_as_jobs_leave_decisions_and_events(platform: Platform) -> None:
    one, two = register(platform, seed=1), register(platform, seed=2)
    promotions_of(platform).promote(one, "first", "me")
    promoted = _operate("promote_version", "promote", version=two, reason="it is nicer")
    assert promoted.success
    shown = metadata_of(promoted)["champion_model"]
    assert (shown["champion_version"], shown["previous_champion"], shown["reason"]) == (two, str(one), "it is nicer")
    rolled_back = _operate("rollback_champion", "roll_back", reason="it was not")
    assert rolled_back.success
    assert platform.champion().number == one
    records = promotions_of(platform).history()
    assert [record.outcome for record in records] == ["rollback", "manual", "manual"]
    assert [record.dagster_run_id for record in records[:2]] == [rolled_back.run_id, promoted.run_id]
    assert "job rollback_champion" in records[0].decided_by
    again = _operate("rollback_champion", "roll_back", reason="further")
    assert not again.success
    assert "Nothing to roll back to" in failures_of(again)["roll_back"]


def test_the_jobs_refuse_a_version_of_other_data_unless_forced(platform: Platform) -> None:
    demo = load_as(platform, "demo")
    one = register(platform, seed=1, dataset=demo)
    two = register(platform, seed=2, dataset=load_as(platform, "other"))
    promotions = promotions_of(platform)
    for number in (one, two):
        promotions.promote(number, "by hand", "me", force=True)
    for job, op, config in (
        ("promote_version", "promote", {"version": one, "reason": "x"}),
        ("rollback_champion", "roll_back", {"reason": "x"}),
    ):
        refused = _operate(job, op, **config)
        assert "demo (dataset 1), and other (dataset 2) is loaded" in failures_of(refused)[op]
        assert platform.champion().number == two
        assert _operate(job, op, **config, force=True).success
        assert platform.champion().number == one
        promotions.promote(two, "by hand", "me")
