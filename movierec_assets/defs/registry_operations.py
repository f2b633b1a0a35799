"""Operations on the registry from Dagster: promote by hand, roll back, and publish what became champion.

Belongs here: the jobs `promote_version` and `rollback_champion`, the sensor that lets the serving tables follow the
champion whatever moved the alias, and the one that keeps why a challenger was rejected. How the champion changes is
`models.decisions`'; the assets that are published are in `recommendations`.

Dagster concepts: op jobs, https://docs.dagster.io/guides/build/jobs/op-jobs, sensors,
https://docs.dagster.io/guides/automate/sensors
"""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    Config,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    OpExecutionContext,
    RunRequest,
    RunsFilter,
    RunStatusSensorContext,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    job,
    op,
    run_status_sensor,
    sensor,
)
from pydantic import Field

from movierec_assets.defs.attempts import Attempt, When, next_attempt, tagged_attempts
from movierec_assets.defs.automation import everything, publish, train
from movierec_assets.defs.decision_metadata import CHAMPION_ASSET, EVALUATION_ASSET, champion_event, outside_event
from movierec_assets.models.decisions import PromotionBusyError, Promotions, Record
from movierec_assets.models.registry import RegistryUnavailableError
from movierec_assets.models.version import CHAMPION
from movierec_assets.recsys.promotion import Decision
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.tables.database import DatabaseUnavailableError

DECISION_TAG = "movierec/decision"
_FORCE = "Also a version of other data than is loaded; then nothing is published or served until that is loaded again."
FORGOTTEN = timedelta(hours=12)
"""A run that has been unfinished for so long was killed with whoever would have noted its end."""
PUBLISHING_JOBS = (everything.name, train.name, publish.name)
CANDIDATE_ASSETS = (AssetKey("als_model"), EVALUATION_ASSET)
"""Their blocking checks stand between a challenger and champion_model."""
_PUBLISHED = AssetKey("user_recommendations")
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class Promotion(Config):
    """What to promote."""

    version: int = Field(gt=0, description="Version of movierec-als that becomes the champion.")
    reason: str = Field(min_length=1, description="Why; it is kept with the decision.")
    force: bool = Field(default=False, description=_FORCE)


class Rollback(Config):
    """Why to roll back."""

    reason: str = Field(min_length=1, description="Why; it is kept with the decision.")
    force: bool = Field(default=False, description=_FORCE)


@op(description="Makes a version the champion.")
def promote(
    context: OpExecutionContext, config: Promotion, registry: RegistryResource, postgres: PostgresResource
) -> None:
    """Move the alias, keep the decision, and say so in the history of champion_model."""
    promotions = Promotions(registry.open(), postgres.open())
    record = promotions.promote(config.version, config.reason, _who(context), context.run_id, force=config.force)
    _tell(context, record, promotions)


@op(description="Makes the previous champion the champion again.")
def roll_back(
    context: OpExecutionContext, config: Rollback, registry: RegistryResource, postgres: PostgresResource
) -> None:
    """Move the alias back, keep the decision, and say so in the history of champion_model."""
    promotions = Promotions(registry.open(), postgres.open())
    record = promotions.rollback(config.reason, _who(context), context.run_id, force=config.force)
    _tell(context, record, promotions)


def _who(context: OpExecutionContext) -> str:
    return f"job {context.job_name} ({getpass.getuser()})"


def _tell(context: OpExecutionContext, record: Record, promotions: Promotions) -> None:
    before = f"instead of {record.previous}" if record.previous else "and the first one"
    other = promotions.other_data(promotions.registry.version(record.version))
    follows = "champion_sensor requests `publish`" if other is None else other.consequence
    context.log.info(f"Version {record.version} is the champion, {before}; {follows}. {record.reason}")
    context.log_event(champion_event(record, promotions))


@job(description="Make a version the champion; the recommendations follow within a minute, by champion_sensor.")
def promote_version() -> None:
    """Promote by hand."""
    promote()


@job(description="Return to the previous champion; the recommendations follow within a minute, by champion_sensor.")
def rollback_champion() -> None:
    """Undo the last promotion."""
    roll_back()


@dataclass(frozen=True)
class Step:
    """What the sensor does: request the publication with this key, or wait for the reason given."""

    run_key: str | None
    reason: str


def next_step(
    champion: int,
    decision_id: int,
    served: Mapping[str, int | None],
    under_way: Sequence[str],
    attempts: Sequence[Attempt],
    now: datetime,
) -> Step:
    """Decide whether the serving tables have to be published.

    Parameters
    ----------
    champion : int
        Version that carries the alias.
    decision_id : int
        The decision that made it champion. Every move of the alias has another one, so that a key made of it is new
        when the champion goes back and forth.
    served : mapping of str
        Version of each serving table, None when it has no rows.
    under_way : sequence of str
        Runs that will publish anyway.
    attempts : sequence of Attempt
        Publications that were requested for this decision already.
    now : datetime

    Returns
    -------
    Step
    """
    # A table without rows beside others that have some has nothing to show, as when there are no users.
    carried = {table: version for table, version in served.items() if version is not None}
    stale = {table: version for table, version in carried.items() if version != champion}
    if carried and not stale:
        return Step(None, f"The serving tables carry champion {champion}.")
    if under_way:
        return Step(None, f"Champion {champion} is being published by {', '.join(under_way)}.")
    following = next_attempt(attempts, now)
    if following.when is When.UNDER_WAY:
        return Step(None, f"The publication of champion {champion} is under way.")
    if following.when is When.NEVER:
        return Step(
            None,
            f"Champion {champion} was published {len(attempts)} times without the tables carrying it afterwards. "
            "See why in the runs of `publish`, then run that job by hand.",
        )
    if following.due is not None:
        due = f"{following.due:%H:%M} UTC"
        return Step(None, f"Publishing champion {champion} did not work out; tried again after {due}.")
    listed = ", ".join(f"{table} {version}" for table, version in stale.items()) or "nothing"
    return Step(f"decision-{decision_id}-{len(attempts) + 1}", f"Champion {champion}, the tables carry {listed}.")


@sensor(
    job=publish,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Sees that the champion is another version than the serving tables carry, whatever moved the alias; "
    "notes a move or a loss that no decision explains, and runs `publish`.",
)
def champion_sensor(
    context: SensorEvaluationContext, registry: RegistryResource, postgres: PostgresResource
) -> SensorResult | SkipReason:
    """Let the tables follow the champion."""
    events: list[AssetMaterialization | AssetObservation] = []
    try:
        versions = registry.open()
        promotions = Promotions(versions, postgres.open())
        noticed = promotions.note_outside_changes("champion_sensor", wait=1)
        if noticed is not None:
            events.append(outside_event(noticed, promotions))
            if not noticed.promoted:
                context.log.error(noticed.reason)
        champion = versions.by_alias(CHAMPION)
        decision = promotions.latest()
        if champion is None or decision is None:
            why = promotions.loss() or f"No version carries the alias {CHAMPION}; the tables stay as they are."
            return SensorResult(skip_reason=str(why), asset_events=events)
        other = promotions.other_data(champion)
        if other is not None:
            why = f"{other} Nothing is published. `movierec run --job train` trains a champion for {other.loaded.name}."
            return SensorResult(skip_reason=why, asset_events=events)
        served = promotions.served()
    except (DatabaseUnavailableError, PromotionBusyError, RegistryUnavailableError) as error:
        return SkipReason(str(error))
    now = datetime.now(UTC)
    step = next_step(
        champion.number,
        decision.id,
        served,
        publishing_runs(context.instance, now),
        attempts_of(context.instance, decision.id),
        now,
    )
    if step.run_key is None:
        return SensorResult(skip_reason=step.reason, asset_events=events)
    if (broken := promotions.broken_champion()) is not None:
        return SensorResult(skip_reason=f"{broken} Nothing is published.", asset_events=events)
    context.log.info(step.reason)
    tags = {DECISION_TAG: str(decision.id), "movierec/champion": str(champion.number)}
    return SensorResult(run_requests=[RunRequest(run_key=step.run_key, tags=tags)], asset_events=events)


def publishing_runs(instance: DagsterInstance, now: datetime) -> list[str]:
    """Unfinished runs that will write the serving tables, named by job and id."""
    return [named(run) for run in unfinished_runs(instance, now) if _publishes(run)]


def unfinished_runs(instance: DagsterInstance, now: datetime) -> Sequence[DagsterRun]:
    """Runs that wait for their turn or execute."""
    return instance.get_runs(RunsFilter(statuses=_UNFINISHED, created_after=now - FORGOTTEN))


def named(run: DagsterRun) -> str:
    """A run by its job and the beginning of its id."""
    return f"{run.job_name} {run.run_id[:8]}"


def _publishes(run: DagsterRun) -> bool:
    if run.asset_selection:
        return _PUBLISHED in run.asset_selection
    return run.job_name in PUBLISHING_JOBS


def attempts_of(instance: DagsterInstance, decision_id: int) -> list[Attempt]:
    """Publications that were requested for a decision."""
    return tagged_attempts(instance, DECISION_TAG, str(decision_id))


def rejection_of(instance: DagsterInstance, run_id: str) -> tuple[int, str] | None:
    """Challenger that a blocking check of a run kept from promotion, and what the check said; None without one."""
    version: int | None = None
    failed: list[str] = []
    for record in instance.all_logs(run_id):
        event = record.dagster_event
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
            gate = check.asset_key in CANDIDATE_ASSETS and check.blocking
            if gate and not check.passed and check.severity is AssetCheckSeverity.ERROR:
                failed.append(f"{check.check_name}: {check.description}")
    return (version, f"Failed {'; '.join(failed)}") if version is not None and failed else None


def note_rejection(promotions: Promotions, instance: DagsterInstance, run_id: str) -> Record | None:
    """Keep the decision that a failed check was; once for each run."""
    found = rejection_of(instance, run_id)
    if found is None:
        return None
    version, reason = found
    with promotions.turn("check", run_id) as turn:
        if any(record.dagster_run_id == run_id for record in promotions.history(version=version)):
            return None
        return turn.carry_out(version, Decision(False, "rejected", reason))


@run_status_sensor(
    run_status=DagsterRunStatus.FAILURE,
    default_status=DefaultSensorStatus.RUNNING,
    description="Keeps the decision `rejected` about a challenger that a blocking check stopped.",
)
def rejected_challengers(context: RunStatusSensorContext) -> SkipReason | None:
    """Note why a challenger did not get as far as champion_model."""
    promotions = Promotions(RegistryResource().open(), PostgresResource().open())
    record = note_rejection(promotions, context.instance, context.dagster_run.run_id)
    return SkipReason("No check of a challenger failed.") if record is None else None


JOBS = [promote_version, rollback_champion]
SENSORS = [champion_sensor, rejected_challengers]
