"""Runs in Dagster's database that nothing needs any more.

Belongs here: which finished runs stay, and the removal of the others with their event logs. Does not: when that happens
(`maintenance`), files of runs (`maintenance.old_files`).

Dagster removes a run with its event log, and so with the materializations that the pages of assets plot. A run stays
while it holds one of the latest materializations of an asset, is the latest run of its job, or is named by an alert, by
a registered version, or by a decision about one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from dagster import AssetKey, DagsterInstance, RunRecord, RunsFilter
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.tags import ROOT_RUN_ID_TAG

from movierec_assets.alerts import storage
from movierec_assets.defs.alerting import check_keys
from movierec_assets.defs.metric_history import SHOWN
from movierec_assets.models.decisions import Promotions
from movierec_assets.progress import Log
from movierec_assets.tables.database import Database

REMOVED_AT_ONCE = 2000
"""Most runs that one removal removes; the next one goes on."""
_PAGE = 500
_SAID_EVERY = 100


def remove_old_runs(instance: DagsterInstance, needed: Collection[str], before: datetime, log: Log) -> int:
    """Remove runs that ended before a time and that nothing needs, the oldest first, with their event logs.

    It may be interrupted at any moment: the next removal goes on.

    Parameters
    ----------
    instance : DagsterInstance
    needed : collection of str
        Runs that stay; and so do the latest run of each job, and a run whose later attempt stays.
    before : datetime
    log : callable

    Returns
    -------
    int
        Number of runs that were removed.
    """
    old, latest = list[str](), dict[str, str]()
    for record in _ended_before(instance, before):
        run = record.dagster_run
        if run.job_name not in latest:
            latest[run.job_name] = instance.get_runs(RunsFilter(job_name=run.job_name), limit=1)[0].run_id
        if run.run_id not in needed and run.run_id != latest[run.job_name]:
            old.append(run.run_id)
        if len(old) == REMOVED_AT_ONCE:
            break
    removable = _without_later_attempts(instance, old)
    for count, run_id in enumerate(removable, start=1):
        instance.delete_run(run_id)
        if count % _SAID_EVERY == 0 or count == len(removable):
            log(f"Removed {count} of {len(removable)} old runs with their event logs")
    return len(removable)


def _ended_before(instance: DagsterInstance, before: datetime) -> Iterator[RunRecord]:
    """Finished runs that changed last before a time, the oldest first."""
    filters, cursor = RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before), None
    while page := instance.get_run_records(filters, limit=_PAGE, cursor=cursor, ascending=True):
        yield from page
        cursor = page[-1].dagster_run.run_id


def _without_later_attempts(instance: DagsterInstance, old: list[str]) -> list[str]:
    """Those runs of which no later attempt stays: Dagster's page of an attempt needs the first one."""
    attempts = instance.get_runs(RunsFilter(tags={ROOT_RUN_ID_TAG: old})) if old else []
    going = set(old)
    roots = {run.tags[ROOT_RUN_ID_TAG] for run in attempts if run.run_id not in going}
    return [run_id for run_id in old if run_id not in roots]


def needed_runs(instance: DagsterInstance, promotions: Promotions, database: Database) -> set[str]:
    """Runs that people or the platform may ask for.

    Raises
    ------
    RegistryUnavailableError
    """
    return runs_named(promotions, database) | runs_shown(instance)


def runs_named(promotions: Promotions, database: Database) -> set[str]:
    """Runs that alerts, registered versions, and decisions about those name."""
    with promotions.registry.reachable():
        versions = promotions.registry.versions()
    numbers = {version.number for version in versions}
    alerts = [*storage.open_alerts(database), *storage.told_alerts(database)]
    return {
        *(alert.run_id for alert in alerts if alert.run_id is not None),
        *(version.provenance["dagster_run_id"] for version in versions if "dagster_run_id" in version.provenance),
        *(each.dagster_run_id for each in promotions.history() if each.dagster_run_id and each.version in numbers),
    }


def runs_shown(instance: DagsterInstance) -> set[str]:
    """Runs of the latest materializations and observation of each asset, and of the latest result of each check."""
    runs = {run_id for asset in instance.get_asset_keys() for run_id in _runs_of(instance, asset)}
    for key in check_keys():
        latest = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        runs |= {record.run_id for record in latest}
    return runs


def _runs_of(instance: DagsterInstance, asset: AssetKey) -> set[str]:
    made = instance.fetch_materializations(asset, limit=SHOWN).records
    seen = instance.fetch_observations(asset, limit=1).records
    return {record.run_id for record in (*made, *seen)}
