"""The sensor by which the serving tables follow the champion.

Belongs here: when `publish` is requested for a champion. Does not: writing the tables (`recommendations`), changing the
champion (`promotion`, `promotion_jobs`), recommendations that are older than the movies (`catch_up`).

Dagster concept: https://docs.dagster.io/guides/automate/sensors
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterInstance,
    DagsterRun,
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from movierec_assets.defs.attempts import Attempt, Plan, When, named, next_attempt, tagged_attempts, unfinished_runs
from movierec_assets.defs.decision_metadata import noticed_event
from movierec_assets.defs.jobs import everything, publish, train
from movierec_assets.models.decisions import Promotions, Record
from movierec_assets.models.errors import PromotionBusyError, RegistryUnavailableError
from movierec_assets.models.version import CHAMPION, Version
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.tables.database import DatabaseUnavailableError

DECISION_TAG = "movierec/decision"
PUBLISHING_JOBS = (everything.name, train.name, publish.name)
_PUBLISHED = AssetKey("user_recommendations")


@sensor(
    job=publish,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Runs `publish` when the serving tables carry another version than the champion, and notes a move or a "
    "loss of the alias that no decision explains.",
)
def champion_sensor(
    context: SensorEvaluationContext, registry: RegistryResource, postgres: PostgresResource
) -> SensorResult | SkipReason:
    """Request `publish` when the serving tables carry another version than the champion."""
    events: list[AssetMaterialization | AssetObservation] = []
    now = datetime.now(UTC)
    try:
        promotions = Promotions(registry.open(), postgres.open())
        events += _note_outside_change(context, promotions)
        found = _publishable(promotions)
        if isinstance(found, str):
            return SensorResult(skip_reason=found, asset_events=events)
        champion, decision = found
        served = promotions.served()
    except (DatabaseUnavailableError, PromotionBusyError, RegistryUnavailableError) as error:
        return SkipReason(str(error))
    attempts = tagged_attempts(context.instance, DECISION_TAG, str(decision.id), now)
    plan = plan_publication(champion.number, decision.id, served, publishing_runs(context.instance, now), attempts, now)
    if plan.run_key is None:
        return SensorResult(skip_reason=plan.reason, asset_events=events)
    if (broken := promotions.broken_champion()) is not None:
        return SensorResult(skip_reason=f"{broken} Nothing is published.", asset_events=events)
    context.log.info(plan.reason)
    tags = {DECISION_TAG: str(decision.id), "movierec/champion": str(champion.number)}
    return SensorResult(run_requests=[RunRequest(run_key=plan.run_key, tags=tags)], asset_events=events)


def _note_outside_change(
    context: SensorEvaluationContext, promotions: Promotions
) -> list[AssetMaterialization | AssetObservation]:
    """Add a decision about a change of the alias in MLflow; returns it as an event."""
    noticed = promotions.note_outside_changes("champion_sensor", wait=1)
    if noticed is None:
        return []
    if not noticed.promoted:
        context.log.error(noticed.reason)
    return [noticed_event(noticed, promotions)]


def _publishable(promotions: Promotions) -> tuple[Version, Record] | str:
    """The champion and the decision that made it, or why there is nothing to publish."""
    champion, decision = promotions.registry.by_alias(CHAMPION), promotions.latest()
    if champion is None or decision is None:
        return str(promotions.loss() or f"No version carries the alias {CHAMPION}; the tables stay as they are.")
    other = promotions.other_data(champion)
    if other is not None:
        return f"{other} Nothing is published. `movierec run --job train` trains a champion for {other.loaded.name}."
    return champion, decision


def plan_publication(
    champion: int,
    decision_id: int,
    served: Mapping[str, int | None],
    under_way: Sequence[str],
    attempts: Sequence[Attempt],
    now: datetime,
) -> Plan:
    """Decide whether the serving tables have to be published.

    Parameters
    ----------
    champion : int
        Version that carries the alias.
    decision_id : int
        The decision that made it champion. It is part of the run key, so that the key is new when a version becomes
        champion again.
    served : mapping of str
        Version of each serving table, None when it has no rows.
    under_way : sequence of str
        Unfinished runs that will publish.
    attempts : sequence of Attempt
        Earlier publications that were requested for this decision.
    now : datetime
    """
    # One table may be without rows: without users there are no recommendations for users.
    carried = {table: version for table, version in served.items() if version is not None}
    stale = {table: version for table, version in carried.items() if version != champion}
    if carried and not stale:
        return Plan(f"The serving tables carry champion {champion}.")
    if under_way:
        return Plan(f"Champion {champion} is being published by {', '.join(under_way)}.")
    following = next_attempt(attempts, now)
    if following.when is When.UNDER_WAY:
        return Plan(f"The publication of champion {champion} is under way.")
    if following.when is When.NEVER:
        return Plan(
            f"Champion {champion} was published {len(attempts)} times, and the tables do not carry it. "
            "See why in the runs of `publish`, then run that job by hand.",
            given_up=True,
        )
    if following.due is not None:
        due = f"{following.due:%H:%M} UTC"
        return Plan(f"Publishing champion {champion} did not succeed; it is tried again after {due}.")
    listed = ", ".join(f"{table} {version}" for table, version in stale.items()) or "nothing"
    return Plan(f"Champion {champion}, the tables carry {listed}.", f"decision-{decision_id}-{len(attempts) + 1}")


def publishing_runs(instance: DagsterInstance, now: datetime) -> list[str]:
    """Unfinished runs that will write the serving tables, named by job and id."""
    return [named(run) for run in unfinished_runs(instance, now) if _publishes(run)]


def _publishes(run: DagsterRun) -> bool:
    if run.asset_selection:
        return _PUBLISHED in run.asset_selection
    return run.job_name in PUBLISHING_JOBS
