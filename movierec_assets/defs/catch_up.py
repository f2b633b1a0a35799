"""The sensor that requests a run when tables or assets are older than their sources, as after a run that failed.

Belongs here: reading the state of files, tables, assets and champion, and requesting runs. Does not: which level is
stale, and when to try again (`staleness`).

Dagster concept: sensors, https://docs.dagster.io/guides/automate/sensors
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    EventLogEntry,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.keep import AbsentDataset
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.locate import Located
from movierec_assets.defs.attempts import Attempt, ended, named, tagged_attempts, unfinished_runs
from movierec_assets.defs.decision_metadata import CHAMPION_ASSET
from movierec_assets.defs.failures import failures_of
from movierec_assets.defs.half_written import QUIET, being_written, stamp_of
from movierec_assets.defs.jobs import everything, publish, refresh
from movierec_assets.defs.rejections import rejection_of
from movierec_assets.defs.staleness import GRACE, RECORDED, Facts, Posted, Stale, first_stale, plan
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION
from movierec_assets.resources.configurable import DatasetResource, PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SOURCES, metadata_of
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA, Database, DatabaseUnavailableError
from movierec_assets.tables.loading import LOADER_VERSION, is_loaded

CAUSE_TAG, FILES_TAG = "movierec/cause", "movierec/files"
RECENT = timedelta(hours=12)
"""Failures for the same files that are younger than this count as attempts, whichever level they were for."""


@dataclass(frozen=True)
class Memory:
    """The sensor's cursor.

    Attributes
    ----------
    compared : str
        Stamp of the files and tables that were last compared, because reading large files takes seconds.
    loaded : bool
        Whether the tables held the content of the files.
    reported : str
        Cause that was given up and logged as an error.
    seen : str
        Stamp of the files at the latest evaluation.
    since : float
        Unix seconds of the first evaluation that found this stamp.
    """

    compared: str = ""
    loaded: bool = False
    reported: str = ""
    seen: str = ""
    since: float = 0.0

    @classmethod
    def of(cls, cursor: str | None) -> Memory:
        """Read a cursor; the empty memory for text in another form."""
        found = json.loads(cursor) if cursor else None
        if not isinstance(found, dict) or not {"compared", "loaded", "told"} <= found.keys():
            return cls()
        return cls(found["compared"], found["loaded"], found["told"], found.get("seen", ""), found.get("since", 0.0))

    def cursor(self) -> str:
        """Text that `of` reads."""
        names = ("compared", "loaded", "told", "seen", "since")
        return json.dumps(dict(zip(names, vars(self).values(), strict=True)))

    def looked(self, stamp: str, now: datetime) -> Memory:
        """The memory after an evaluation that found this stamp."""
        # A first evaluation in the future is one before the clock was set back.
        known = stamp == self.seen and self.since <= now.timestamp()
        return self if known else replace(self, seen=stamp, since=now.timestamp())


@sensor(
    jobs=[everything, publish],
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Compares the tables, the matrices, the model and the recommendations with their sources. "
    "Runs `everything` after new files, after enough new ratings of the app, and after a run that broke off, `publish` "
    "where only the recommendations are old. Leaves files alone that are still being written. Never downloads.",
)
def dataset_file_sensor(
    context: SensorEvaluationContext, dataset: DatasetResource, postgres: PostgresResource, registry: RegistryResource
) -> SensorResult | SkipReason:
    """Request a run when tables or assets are older than their sources."""
    return evaluate(context, dataset, postgres, registry, datetime.now(UTC))


def evaluate(
    context: SensorEvaluationContext,
    dataset: DatasetResource,
    postgres: PostgresResource,
    registry: RegistryResource,
    now: datetime,
    quiet: timedelta = QUIET,
) -> SensorResult | SkipReason:
    """Evaluate the sensor at a given time; files count as complete when they did not change for `quiet`."""
    instance = context.instance
    try:
        database = postgres.open()
        located = dataset.locate_present(database)
    except (DatasetError, DatabaseUnavailableError) as error:
        return SkipReason(f"No dataset to watch: {error}" if isinstance(error, DatasetError) else str(error))
    present = located.files if isinstance(located, Located) else None
    stamp = stamp_of(present)
    memory = Memory.of(context.cursor).looked(stamp, now)
    waiting = being_written(present, datetime.fromtimestamp(memory.since, UTC), now, quiet)
    # Only one run executes at a time, so waiting costs no time, and the state is known only after its end.
    if under_way := unfinished_runs(instance, now):
        waiting = f"Waiting for the end of {', '.join(map(named, under_way))}."
    if waiting is not None:
        return SensorResult(skip_reason=waiting, cursor=memory.cursor())
    try:
        if present is not None:
            memory = compare(database, present, memory)
        loaded = present is None or memory.loaded
        facts = facts_of(instance, database, registry.open(), stamp, loaded, now)
    except (DatasetError, DatabaseUnavailableError, RegistryUnavailableError) as error:
        return SkipReason(str(error))
    stale = first_stale(facts)
    if stale is None:
        reason = f"{_all_made(located)}{facts.posted.waiting}"
        return SensorResult(skip_reason=reason, cursor=memory.cursor())
    files = hashlib.sha256(stamp.encode()).hexdigest()[:16]
    attempts = attempts_for(instance, stale, files, now)
    planned = plan(stale, refreshed(instance, now), attempts, now)
    if planned.given_up and memory.reported != stale.cause:
        context.log.error(f"{planned.reason}{_last_failure(instance, attempts)}")
        memory = replace(memory, reported=stale.cause)
    if planned.run_key is None:
        return SensorResult(skip_reason=planned.reason, cursor=memory.cursor())
    context.log.info(planned.reason)
    tags = {CAUSE_TAG: stale.cause, FILES_TAG: files, "movierec/why": stale.why, "movierec/dataset": located.name}
    request = RunRequest(run_key=planned.run_key, job_name=stale.job, tags=tags)
    return SensorResult(run_requests=[request], cursor=memory.cursor())


def _all_made(located: Located | AbsentDataset) -> str:
    if isinstance(located, Located):
        return f"{located.files.source} is loaded, and everything is made from it."
    return f"{located.reason} Everything is made from them."


def _last_failure(instance: DagsterInstance, attempts: Sequence[Attempt]) -> str:
    """Errors of the latest run, one a line; empty where no step failed."""
    latest = max(attempts, key=lambda attempt: attempt.order, default=None)
    failures = [] if latest is None else failures_of(instance, latest.run_id)
    return "".join(f"\n{step}: {cause}" for step, cause in failures)


def attempts_for(instance: DagsterInstance, stale: Stale, files: str, now: datetime) -> list[Attempt]:
    """Runs that were requested for a cause, and failed runs for the same files since the latest success for them.

    A run that fails at a later step than the one before leaves another level stale, but counts as an attempt as well.
    Only `publish` has a count of its own, because a decision has been made before it.
    """
    own = tagged_attempts(instance, CAUSE_TAG, stale.cause, now)
    if stale.job == publish.name:
        return own
    of_files = sorted(tagged_attempts(instance, FILES_TAG, files, now), key=lambda attempt: attempt.order, reverse=True)
    failed = takewhile(lambda attempt: not attempt.succeeded and attempt.ended > now - RECENT, of_files)
    known = {attempt.run_id for attempt in own}
    return [*own, *(attempt for attempt in failed if attempt.run_id not in known)]


def compare(database: Database, files: MovieLensFiles, memory: Memory) -> Memory:
    """Compare files and tables, unless neither changed since the last comparison."""
    loads = [version for version, _ in _loads(database).values()]
    compared = json.dumps([stamp_of(files), LOADER_VERSION, loads])
    if compared == memory.compared:
        return memory
    return replace(memory, compared=compared, loaded=is_loaded(database, files))


def facts_of(
    instance: DagsterInstance, database: Database, versions: ModelRegistry, files: str, loaded: bool, now: datetime
) -> Facts:
    """Read the state, given the stamp of the files and whether the tables hold their content.

    Raises
    ------
    DatabaseUnavailableError, RegistryUnavailableError
    """
    loads = _loads(database)
    found = instance.get_latest_materialization_events([AssetKey(asset) for asset in RECORDED])
    events = {key.to_user_string(): event for key, event in found.items() if event is not None}
    records = {asset: metadata_of(event) for asset, event in events.items()}
    promotions = Promotions(versions, database)
    decisions = promotions.history(1)
    with versions.reachable():
        champion = versions.by_alias(CHAMPION)
    return Facts(
        files=files,
        loaded=loaded,
        loaded_at=loads["ratings"][1],
        sources={name: version for name, (version, _) in loads.items()}
        | {"positive_threshold": get_settings().positive_threshold},
        records=records,
        decided=_decided(instance, promotions, records.get("als_model", {}).get("model_version"), events),
        latest_decision=decisions[0].id if decisions else None,
        champion=champion.number if champion else None,
        served=promotions.served(),
        posted=posted_since(database, (records.get("positive_ratings", {}).get(SOURCES) or {}).get("app_ratings"), now),
    )


def posted_since(database: Database, read: int | None, now: datetime) -> Posted:
    """Ratings of the app that the likes were not read with, given the last one that they were read with."""
    count, oldest = database.rows(
        f"SELECT count(*), min(rated_at) FROM {SCHEMA}.valid_app_ratings WHERE rating_id > %s", [read or 0]
    )[0]
    settings = get_settings()
    hours = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds() / 3600)
    return Posted(read, count, hours, settings.new_ratings_to_train, settings.new_ratings_max_hours)


def refreshed(instance: DagsterInstance, now: datetime) -> datetime | None:
    """End of the latest whole run of `refresh` that succeeded; None when it is older than GRACE."""
    succeeded = RunsFilter(job_name=refresh.name, statuses=[DagsterRunStatus.SUCCESS], updated_after=now - GRACE)
    whole = [record for record in instance.get_run_records(succeeded) if not record.dagster_run.asset_selection]
    return max(map(ended, whole), default=None)


def _loads(database: Database) -> dict[str, tuple[str | None, str]]:
    """Version and time of the load of each table."""
    found = {
        table: (version, at)
        for table, version, at in database.rows(
            f"SELECT table_name, version, extract(epoch FROM loaded_at)::text FROM {SCHEMA}.loads"
        )
    }
    return {table: found.get(table, (None, "")) for table in ("ratings", "movies")}


def _decided(
    instance: DagsterInstance, promotions: Promotions, version: int | None, events: Mapping[str, EventLogEntry]
) -> bool:
    """Whether there is a decision about a version, or a failed check whose rejection is not in the history yet.

    A version that is the challenger again needs a new decision, because another version may have become champion.
    """
    if version is None:
        return False
    candidates = [events[asset] for asset in ("als_model", "return_evaluation", "model_evaluation") if asset in events]
    runs, since = {event.run_id for event in candidates}, events["als_model"].timestamp
    if any(
        each.version == version
        and each.state != "abandoned"
        and (each.dagster_run_id in runs or each.decided_at.timestamp() >= since)
        for each in promotions.history(version=version)
    ):
        return True
    # Where nothing has changed, champion_model records that an earlier decision is still valid.
    fetched = instance.fetch_materializations(AssetRecordsFilter(CHAMPION_ASSET, after_timestamp=since), limit=20)
    shown = [record.asset_materialization for record in fetched.records]
    if any(each is not None and _challenger_of(each) == version for each in shown):
        return True
    rejections = [rejection_of(instance, run_id) for run_id in runs]
    return any(rejection is not None and rejection.version == version for rejection in rejections)


def _challenger_of(champion: AssetMaterialization) -> object:
    """Challenger in the metadata of a materialization of champion_model; None without one."""
    found = champion.metadata.get("challenger_version")
    return None if found is None else found.value
