"""The end of a restore: runs that the backup shows as going on, and whether the champion loads.

Belongs here: what is done in the restored databases after they are up to date. Does not: restoring (`restoring`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from movierec_assets.backup.making import settings_to_keep
from movierec_assets.backup.manifest import Manifest
from movierec_assets.datasets.keep import absent_dataset
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import loaded_from

if TYPE_CHECKING:
    from dagster import DagsterInstance


@dataclass(frozen=True)
class Restored:
    """A restore that has ended.

    Attributes
    ----------
    manifest : Manifest
    ended : list of str
        Dagster runs that went on when the backup was made; they are canceled now.
    champion : int or None
    fault : str or None
        Why the champion does not load.
    settings : dict of str to (str, str or None)
        Settings of the backup that differ: their value there and here.
    dataset_elsewhere : str or None
        Name of the loaded dataset when its files are not on this machine.
    """

    manifest: Manifest
    ended: list[str]
    champion: int | None
    fault: str | None
    settings: Mapping[str, tuple[str, str | None]]
    dataset_elsewhere: str | None


def finish(settings: Settings, manifest: Manifest) -> Restored:
    """End runs that nobody executes any more, and load the champion.

    Parameters
    ----------
    settings : Settings
        Of the restored databases, which are up to date.
    manifest : Manifest
    """
    from dagster import DagsterInstance  # noqa: PLC0415

    registry = ModelRegistry.of(settings)
    with DagsterInstance.get() as instance:
        ended = end_runs(instance, registry)
    champion = registry.by_alias(CHAMPION)
    fault = None if champion is None else registry.fault_of(champion)
    here = settings_to_keep(settings)
    differing = {name: (value, here.get(name)) for name, value in manifest.settings.items() if here.get(name) != value}
    return Restored(manifest, ended, champion.number if champion else None, fault, differing, _elsewhere(settings))


def _elsewhere(settings: Settings) -> str | None:
    absent = absent_dataset(settings, loaded_from(Database(settings.databases.ratings)))
    return None if absent is None else absent.name


def end_runs(instance: DagsterInstance, registry: ModelRegistry) -> list[str]:
    """Cancel unfinished runs, with their MLflow runs; returns the ids of the Dagster runs.

    They are not marked as failed, because nothing failed and nobody should be told. The sensors request what is
    missing, as after every run that broke off.
    """
    from dagster import DagsterRunStatus, RunsFilter  # noqa: PLC0415

    ends = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
    unfinished = [status for status in DagsterRunStatus if status not in ends]
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=unfinished)):
        instance.report_run_canceled(run, "This run went on when the backup was made, and was ended by the restore.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        for mlflow_run_id in registry.runs_of(run.run_id):
            registry.end_run(mlflow_run_id, "KILLED")
        ended.append(run.run_id)
    return ended
