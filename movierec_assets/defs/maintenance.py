"""The weekly maintenance: versions, files and runs that nothing needs, old days and ticks, and the databases.

Belongs here: the job and its ops, and which files are old. Does not: which versions and runs nothing needs
(`models.retention`, `old_runs`).

Dagster concept: https://docs.dagster.io/guides/build/ops
"""

import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, MetadataValue, OpExecutionContext, job, op

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.defs import old_runs
from movierec_assets.defs.run_limits import POOL, limits
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.retention import remove_unneeded
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.feedback import drop_old
from movierec_assets.tables.insights import remove_insights
from movierec_assets.tables.upkeep import vacuum

UNFINISHED_DAYS = 1
"""Age in days from which a file that was never renamed into place belongs to a process that was killed."""


@op(pool=POOL, description="Removes versions, and files of models, that no alias, rollback or young decision needs.")
def remove_old_models(context: OpExecutionContext, registry: RegistryResource, postgres: PostgresResource) -> None:
    """Remove what `models.retention` finds, and insights about versions that are gone."""
    before = datetime.now(UTC) - timedelta(days=get_settings().keep_days)
    versions, database = registry.open(), postgres.open()
    removed = remove_unneeded(Promotions(versions, database), before, context.log.info)
    with versions.reachable():
        left = [version.number for version in versions.versions()]
    context.add_output_metadata(
        {
            "versions": MetadataValue.json(removed.versions),
            "models": MetadataValue.int(removed.models),
            "runs": MetadataValue.int(removed.runs),
            "insights": MetadataValue.int(remove_insights(database, left, before)),
        }
    )


@op(pool=POOL, description="Removes logs of old runs, and files that a killed process left unfinished.")
def remove_old_files(context: OpExecutionContext) -> None:
    """Remove what `old_files` finds."""
    freed = 0
    for path in old_files(get_settings(), datetime.now(UTC)):
        freed += size_of(path)
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        context.log.info(f"Removed {path}")
    context.add_output_metadata({"freed_mb": MetadataValue.float(round(freed / 1e6, 3))})


@op(pool=POOL, description="Removes runs with their event logs that ended long ago and that nothing needs.")
def remove_old_runs(context: OpExecutionContext, registry: RegistryResource, postgres: PostgresResource) -> None:
    """Remove what `old_runs` finds."""
    database = postgres.open()
    before = datetime.now(UTC) - timedelta(days=get_settings().keep_runs_days)
    needed = old_runs.needed_runs(context.instance, Promotions(registry.open(), database), database)
    removed = old_runs.remove_old_runs(context.instance, needed, before, context.log.info)
    context.add_output_metadata({"runs": MetadataValue.int(removed)})


@op(pool=POOL, description="Drops days of the API's log that are older than MOVIEREC_SERVED_DAYS; their figures stay.")
def drop_old_days(context: OpExecutionContext, postgres: PostgresResource) -> None:
    """Drop days that are too old; figures that the job `feedback` has not made are made before."""
    settings = get_settings()
    dropped = drop_old(
        postgres.open(), settings.served_days, settings.positive_threshold, datetime.now(UTC), context.log.info
    )
    context.add_output_metadata({"days": MetadataValue.int(len(dropped))})


@op(pool=POOL, description="Removes ticks that are older than dagster.yaml keeps them, also of sensors that are gone.")
def remove_old_ticks(context: OpExecutionContext) -> None:
    """Apply the retention of dagster.yaml to every schedule and sensor that there ever was."""
    purge_ticks(context.instance, datetime.now(UTC))


@op(pool=POOL, description="Vacuums and analyzes the databases of ratings, Dagster and MLflow.")
def vacuum_databases(context: OpExecutionContext, postgres: PostgresResource) -> None:
    """Vacuum each database of the platform on its server."""
    urls = get_settings().databases
    databases = {
        "ratings": postgres.open(),
        "dagster": Database(DatabaseUrls.libpq(urls.dagster)),
        "mlflow": Database(DatabaseUrls.libpq(urls.mlflow)),
    }
    sizes = {f"{name}_mb": MetadataValue.float(round(vacuum(each) / 1e6, 1)) for name, each in databases.items()}
    context.add_output_metadata(sizes)


@job(
    tags=limits(timedelta(hours=4), priority=-1),
    description="Remove versions, files, runs, days and ticks that nothing needs any more, and vacuum the databases.",
)
def maintenance() -> None:
    """Steps that do not need each other: after one that failed the others are done."""
    remove_old_models()
    remove_old_files()
    remove_old_runs()
    drop_old_days()
    remove_old_ticks()
    vacuum_databases()


def old_files(settings: Settings, now: datetime) -> Iterator[Path]:
    """Files and directories of the state directory that nothing needs any more.

    These are logs of runs that are older than `keep_days`, and unfinished files of matrices that are older than a day.
    """
    before = now - timedelta(days=settings.keep_days)
    dagster, logs, storage = settings.state / "dagster", settings.state / "logs", settings.local_storage
    yield from _older(_inside(dagster, "*"), before)
    yield from _older(_inside(logs, "*.log"), before)
    if storage is not None:
        yield from _older(_inside(storage, ".*"), now - timedelta(days=UNFINISHED_DAYS))


def _inside(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern)) if directory.is_dir() else []


def _older(paths: Iterable[Path], before: datetime) -> Iterator[Path]:
    for path in paths:
        if latest_change(path) < before:
            yield path


def latest_change(path: Path) -> datetime:
    """When a file, or anything in a directory, was written last."""
    times = [each.lstat().st_mtime for each in (path, *path.rglob("*"))]
    return datetime.fromtimestamp(max(times), UTC)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    return sum(each.lstat().st_size for each in (path, *path.rglob("*")) if not each.is_dir())


def purge_ticks(instance: DagsterInstance, now: datetime) -> None:
    """Remove ticks that are older than the instance keeps them."""
    for state in instance.all_instigator_state():
        for status, days in instance.get_tick_retention_settings(state.instigator_type).items():
            if days > 0:
                before = (now - timedelta(days=days)).timestamp()
                instance.purge_ticks(state.instigator_origin_id, state.selector_id, before, [status])
