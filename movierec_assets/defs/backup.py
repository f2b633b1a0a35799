"""The job `backup`: a backup in the directory of backups, and the removal of old ones.

Belongs here: the job, its op and what the UI shows. Does not: making backups (`movierec_assets.backup`), the schedule
(`automation`).

Dagster concept: https://docs.dagster.io/guides/build/ops
"""

from datetime import UTC, datetime, timedelta

from dagster import MetadataValue, OpExecutionContext, job, op

from movierec_assets.backup.kept import drop_expired, new_path
from movierec_assets.backup.making import Made, make
from movierec_assets.defs.execution import beside_other_runs
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.run_limits import limits
from movierec_assets.settings import get_settings


@op(description="Backs up the whole state, and removes the oldest of more backups than MOVIEREC_BACKUPS_KEPT.")
def make_backup(context: OpExecutionContext) -> None:
    """Write a backup into the directory of backups; earlier ones are dropped only after it was verified."""
    settings = get_settings()
    path = new_path(settings.backups, datetime.now(UTC))
    made: Made = report_progress(context.log, "Backing up", lambda log: make(settings, path, log))
    dropped = drop_expired(settings.backups, settings.backups_kept, path)
    context.log.info(f"{path}: {made.manifest.summary}")
    context.add_output_metadata(
        {
            "path": MetadataValue.path(str(path)),
            "size_mb": round(made.bytes / 1e6, 1),
            "seconds": round(made.seconds, 1),
            "champion": made.manifest.champion.version if made.manifest.champion else 0,
            "ratings": made.manifest.ratings,
            "app_ratings": made.manifest.app_ratings,
            "dropped": [backup.path.name for backup in dropped],
        }
    )


@job(
    name="backup",
    tags=limits(timedelta(hours=4)),
    executor_def=beside_other_runs,
    description="Back up databases, matrices and models into MOVIEREC_BACKUP_DIR; keeps the latest.",
)
def backup_job() -> None:
    """Back up the whole state."""
    make_backup()
