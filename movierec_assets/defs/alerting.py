"""The sensor that tells people what goes wrong, and when it is over.

Belongs here: reading runs, checks, decisions, tables and disks. Does not: which of these is a cause, and how it is told
(`alerts`).

It compares states, not events, so a restart of the daemon loses no cause, and tells none twice.

Dagster concept: sensors, https://docs.dagster.io/guides/automate/sensors
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RepositoryDefinition,
    RunRecord,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    load_asset_checks_from_modules,
    sensor,
)
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.execution.stats import StepEventStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG

from movierec_assets.alerts import storage
from movierec_assets.alerts.causes import CHAMPION, DISK, STREAK, causes
from movierec_assets.alerts.channels import channels_of
from movierec_assets.alerts.delivery import deliver, deliver_beside
from movierec_assets.alerts.facts import Decided, EndedRun, Facts, FailedCheck
from movierec_assets.datasets.keep import absent_dataset
from movierec_assets.defs import backtest, charts, checks, list_checks
from movierec_assets.defs.attempts import ended
from movierec_assets.defs.failures import root_cause
from movierec_assets.defs.freshness import FRESH_FOR
from movierec_assets.defs.jobs import JOBS
from movierec_assets.defs.latest_ticks import latest_ticks
from movierec_assets.defs.run_limits import will_be_retried
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.resources.configurable import PostgresResource
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import DatabaseUnavailableError
from movierec_assets.tables.disk_use import postgres_directory
from movierec_assets.tables.known_datasets import loaded_from

RUNS = 200
"""Latest runs that are looked at: more than a month of nights."""
UNWATCHED = timedelta(minutes=10)
"""Without a tick for so long, the daemon was away or the machine slept."""
RETRIED_WITHIN = timedelta(minutes=30)
"""Time in which Dagster starts a run again whose process was killed, also on a busy machine."""

_COMPLETED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


@sensor(
    name="alerts",
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Tells failed runs, checks and sensors, challengers that do not become champion, stale assets, a lost "
    "champion and a full disk by webhook, e-mail and log, each cause once, and when it is over.",
)
def alerts(context: SensorEvaluationContext, postgres: PostgresResource) -> SkipReason:
    """Tell what is wrong now and was not told."""
    now = datetime.now(UTC)
    watched = watched_since(context.last_tick_completion_time, now)
    return evaluate(context.instance, postgres, get_settings(), now, context.repository_def, watched=watched)


def watched_since(last: float | None, now: datetime) -> bool:
    """Whether the tick before, which ended at `last` (Unix seconds), is no longer ago than UNWATCHED."""
    return last is None or now - datetime.fromtimestamp(last, UTC) < UNWATCHED


def evaluate(
    instance: DagsterInstance,
    postgres: PostgresResource,
    settings: Settings,
    now: datetime,
    repository: RepositoryDefinition | None = None,
    *,
    watched: bool = True,
) -> SkipReason:
    """Evaluate the sensor at a given time, for the schedules and sensors of a repository, or for all.

    `watched` is as for `storage.update`.
    """
    try:
        database = postgres.open()
    except DatabaseUnavailableError as error:
        return SkipReason(str(error))
    channels = channels_of(settings)
    names = [channel.name for channel in channels]
    promotions = Promotions(ModelRegistry.of(settings), database)
    facts, unknown = read_facts(instance, promotions, settings, storage.failing_channels(database, names), now)
    facts = replace(
        facts,
        ticks=latest_ticks(instance, repository),
        absent=absent_dataset(settings, loaded_from(database)),
    )
    open_keys = {alert.cause for alert in storage.open_alerts(database)}
    change = storage.update(database, causes(facts, open_keys, now), names, now, unknown, watched=watched)
    due = storage.due_channels(database)
    log, *others = channels
    if log.name in due:
        deliver(database, log, settings.dagster_pages, lambda: now)
    deliver_beside(database, [channel for channel in others if channel.name in due], settings.dagster_pages)
    said = [*(f"told: {key}" for key in change.told), *(f"over: {key}" for key in change.over)]
    return SkipReason("; ".join(said) or f"Nothing new to tell. Open: {', '.join(sorted(open_keys)) or 'nothing'}.")


def read_facts(
    instance: DagsterInstance, promotions: Promotions, settings: Settings, failing: dict[str, str], now: datetime
) -> tuple[Facts, set[str]]:
    """The facts of now, and the kinds of cause about which nothing could be read."""
    unknown = set[str]()
    try:
        lost = promotions.loss()
    except RegistryUnavailableError:
        lost = None
        unknown.add(CHAMPION)
    free = _free(settings)
    if not free:
        unknown.add(DISK)
    made = instance.get_latest_materialization_events([AssetKey(asset) for asset in FRESH_FOR])
    latest = promotions.latest()
    facts = Facts(
        runs=ended_runs(instance, now),
        checks=failed_checks(instance),
        decisions=_decisions(promotions),
        made_at={
            key.to_user_string(): datetime.fromtimestamp(event.timestamp, UTC)
            for key, event in made.items()
            if event is not None
        },
        fresh_for=FRESH_FOR,
        champion=None if latest is None or lost is not None else latest.version,
        served=promotions.served(),
        loss=None if lost is None else str(lost),
        free=free,
        min_free=settings.min_free_disk,
        channels=failing,
    )
    return facts, unknown


def ended_runs(instance: DagsterInstance, now: datetime) -> list[EndedRun]:
    """The latest runs that succeeded or failed, the latest end first; without failures that Dagster retries itself.

    Besides the latest runs of all these are the latest failures and the latest success of each job: a failed run of a
    job that runs rarely stays known, however many others end. By the order in which Dagster wrote that they had ended:
    a run that waited in the queue may end after later ones, and clocks may be set back.
    """
    failed, succeeded = DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS
    failures = instance.get_run_records(RunsFilter(statuses=[failed]), limit=RUNS)
    if not failures:
        return []
    records = [*failures, *instance.get_run_records(RunsFilter(statuses=[succeeded, failed]), limit=RUNS)]
    for job in {*(job.name for job in JOBS), *(record.dagster_run.job_name for record in failures)}:
        records += instance.get_run_records(RunsFilter(job_name=job, statuses=[succeeded]), limit=1)
    each_once = {record.dagster_run.run_id: record for record in records}
    ends = _ends(instance, each_once)
    latest_first = sorted(each_once, key=lambda run_id: -ends[run_id])
    plans: dict[str, frozenset[str]] = {}
    return [
        _ended_run(instance, each_once[run_id], plans)
        for run_id in latest_first
        if not _left_to_dagster(each_once[run_id], now)
    ]


def _ends(instance: DagsterInstance, run_ids: Iterable[str]) -> dict[str, int]:
    """Place of each run's end in the log of all events; 0 where it has none."""
    kinds = {DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE}
    ends: dict[str, int] = {}
    for kind in kinds:
        for event in instance.fetch_run_status_changes(kind, limit=2 * RUNS).records:
            ends[event.run_id] = max(event.storage_id, ends.get(event.run_id, 0))
    for run_id in run_ids:
        if run_id not in ends:  # of a job that runs rarely
            found = instance.get_records_for_run(run_id, of_type=kinds, limit=1, ascending=False).records
            ends[run_id] = found[0].storage_id if found else 0
    return ends


def _left_to_dagster(record: RunRecord, now: datetime) -> bool:
    """Whether a failed run was started again by Dagster, or will be within RETRIED_WITHIN."""
    run = record.dagster_run
    return AUTO_RETRY_RUN_ID_TAG in run.tags or (will_be_retried(run) and now - ended(record) < RETRIED_WITHIN)


def _ended_run(instance: DagsterInstance, record: RunRecord, plans: dict[str, frozenset[str]]) -> EndedRun:
    run, planned = record.dagster_run, _planned(instance, record, plans)
    if run.status is DagsterRunStatus.SUCCESS:
        return EndedRun(run.run_id, run.job_name, ended(record), planned, planned)
    steps = instance.get_run_step_stats(run.run_id)
    done = frozenset(step.step_key for step in steps if step.status is StepEventStatus.SUCCESS)
    kinds = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    failed, reason, checks_failed = dict[str, str](), "", False
    for entry in instance.all_logs(run.run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None:
            continue
        if not event.is_step_failure:
            reason = str(event.message or entry.user_message)
        elif _stopped_by_check(event.step_failure_data):
            checks_failed = True
        elif event.step_key is not None and event.step_key not in done:
            failed[event.step_key] = root_cause(event)
    error = "" if failed or checks_failed else reason or "The run failed without a word."
    return EndedRun(run.run_id, run.job_name, ended(record), planned, done, failed, checks_failed, error)


def _stopped_by_check(failure: StepFailureData) -> bool:
    return failure.error is not None and failure.error.cls_name == "DagsterAssetCheckFailedError"


def _planned(instance: DagsterInstance, record: RunRecord, plans: dict[str, frozenset[str]]) -> frozenset[str]:
    """Steps of a run; runs of one job share their plan."""
    plan = record.dagster_run.execution_plan_snapshot_id
    if plan is None:
        return frozenset()
    if plan not in plans:
        plans[plan] = frozenset(instance.get_execution_plan_snapshot(plan).step_keys_to_execute)
    return plans[plan]


@cache
def check_keys() -> tuple[AssetCheckKey, ...]:
    """Keys of all checks of the platform."""
    found = load_asset_checks_from_modules([checks, list_checks, charts, backtest])
    return tuple(key for definition in found for key in definition.check_keys)


def failed_checks(instance: DagsterInstance) -> list[FailedCheck]:
    """Blocking checks whose latest evaluation failed; an evaluation under way does not count yet."""
    found = []
    for key in check_keys():
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=_COMPLETED)
        evaluation = history[0].evaluation if history else None
        if evaluation is not None and _blocks(evaluation) and not evaluation.passed:
            asset, name = key.asset_key.to_user_string(), key.name
            found.append(FailedCheck(asset, name, evaluation.description or "", history[0].run_id))
    return found


def _blocks(evaluation: AssetCheckEvaluation) -> bool:
    return bool(evaluation.blocking) and evaluation.severity is AssetCheckSeverity.ERROR


def _decisions(promotions: Promotions) -> Sequence[Decided]:
    """The latest decisions about challengers that were carried out; by hand, too, because they end a row."""
    made = [record for record in promotions.history(10 * STREAK, since_deletion=True) if record.state == "done"]
    return [Decided(record.version, record.outcome, record.reason) for record in made]


def _free(settings: Settings) -> dict[Path, int]:
    """Free bytes of the state directory, of backups, matrices and the embedded Postgres; each file system once."""
    directories = [settings.state, settings.backups, settings.local_storage, postgres_directory(settings)]
    found: dict[int, tuple[Path, int]] = {}
    for directory in filter(None, directories):
        with suppress(OSError):  # it does not exist yet, or belongs to another user
            found.setdefault(directory.stat().st_dev, (directory, shutil.disk_usage(directory).free))
    return dict(found.values())
