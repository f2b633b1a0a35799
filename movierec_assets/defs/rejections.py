"""Challengers that a blocking check stopped before `champion_model`.

Belongs here: finding such a challenger in the events of a run, and the sensor that writes the decision `rejected`. Does
not: the checks (`checks`), decisions of `champion_model` (`promotion`).

Dagster concept: https://docs.dagster.io/guides/automate/sensors/run-status-sensors
"""

from dataclasses import dataclass, field

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunStatusSensorContext,
    SkipReason,
    run_status_sensor,
)

from movierec_assets.defs.decision_metadata import CHAMPION_ASSET, EVALUATION_ASSET, RETURN_ASSET
from movierec_assets.models.decisions import Promotions, Record
from movierec_assets.recsys.promotion import Decision
from movierec_assets.resources.configurable import PostgresResource, RegistryResource

CANDIDATE_ASSETS = (AssetKey("als_model"), RETURN_ASSET, EVALUATION_ASSET)
"""Assets whose blocking checks stand before champion_model."""


@dataclass(frozen=True)
class Rejection:
    """A challenger that blocking checks of a run stopped.

    Attributes
    ----------
    version : int
    reason : str
        The failed checks and what they found.
    numbers : dict of str to float
        The numbers in the metadata of the failed checks.
    """

    version: int
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)


@run_status_sensor(
    run_status=DagsterRunStatus.FAILURE,
    default_status=DefaultSensorStatus.RUNNING,
    description="Keeps the decision `rejected` about a challenger that a blocking check stopped.",
)
def rejected_challengers(context: RunStatusSensorContext) -> SkipReason | None:
    """Write the decision about a challenger that did not reach champion_model."""
    promotions = Promotions(RegistryResource().open(), PostgresResource().open())
    record = note_rejection(promotions, context.instance, context.dagster_run.run_id)
    return SkipReason("No check of a challenger failed.") if record is None else None


def note_rejection(promotions: Promotions, instance: DagsterInstance, run_id: str) -> Record | None:
    """Write the decision about the challenger that a check of this run stopped, once for each run."""
    found = rejection_of(instance, run_id)
    if found is None:
        return None
    with promotions.transaction("check", run_id) as transaction:
        if any(record.dagster_run_id == run_id for record in promotions.history(version=found.version)):
            return None
        return transaction.carry_out(found.version, Decision(False, "rejected", found.reason, found.numbers))


def rejection_of(instance: DagsterInstance, run_id: str) -> Rejection | None:
    """The challenger that a blocking check of a run stopped; None when no check did."""
    version: int | None = None
    failed: list[str] = []
    numbers: dict[str, float] = {}
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            if materialization.asset_key == CHAMPION_ASSET:
                return None
            if materialization.asset_key in CANDIDATE_ASSETS and "model_version" in materialization.metadata:
                version = int(str(materialization.metadata["model_version"].value))
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if _stops_a_candidate(check):
                failed.append(f"{check.check_name}: {check.description}")
                found = {name: value.value for name, value in check.metadata.items()}
                numbers |= {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    return Rejection(version, f"Failed {'; '.join(failed)}", numbers) if version is not None and failed else None


def _stops_a_candidate(check: AssetCheckEvaluation) -> bool:
    blocks = bool(check.blocking) and check.severity is AssetCheckSeverity.ERROR
    return blocks and not check.passed and check.asset_key in CANDIDATE_ASSETS
