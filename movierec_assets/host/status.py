"""The state of a platform at one moment: data, champion, runs, schedules, alerts, disk and backups.

Belongs here: reading it in one go, where a part that does not answer leaves the others readable. Does not: what Dagster
records (`automation_status`), text for people (`cli.status`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from movierec_assets.alerts.storage import Alert, told_alerts
from movierec_assets.backup.kept import BackupState, backup_state
from movierec_assets.datasets.keep import absent_dataset
from movierec_assets.host.automation_status import automation_of
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION, Version
from movierec_assets.serving.automation import Automation
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.disk_use import DiskUse, disk_use
from movierec_assets.tables.known_datasets import loaded_from
from movierec_assets.tables.loaded_data import LoadedData, app_ratings_after, loaded_data

_T = TypeVar("_T")


@dataclass(frozen=True)
class ChampionState:
    """The version that is served.

    Attributes
    ----------
    version : int or None
        None without a champion; `problem` says why.
    outcome : str or None
        Of the decision that made it champion.
    since : datetime or None
        Time of that decision.
    trained : datetime or None
    ndcg_at_10 : float or None
        In the sitting, as it was evaluated.
    new_ratings : int or None
        Ratings of the app that were posted after those it was trained on; None where that is not recorded.
    served : dict
        Version of each serving table; None for a table without rows.
    problem : str
    """

    version: int | None
    outcome: str | None
    since: datetime | None
    trained: datetime | None
    ndcg_at_10: float | None
    new_ratings: int | None
    served: dict[str, int | None]
    problem: str


@dataclass(frozen=True)
class Status:
    """Everything on the screen; alerts are those that are open, the newest first.

    A part that could not be read is None, and `unreadable` has the reason under its name. `files_are_gone` says that
    nothing new can be loaded: the files of the dataset are gone or are another one, and no other one is chosen.
    """

    at: datetime
    data: LoadedData | None
    files_are_gone: bool | None
    champion: ChampionState | None
    automation: Automation | None
    alerts: list[Alert] | None
    disk: DiskUse | None
    backup: BackupState | None
    unreadable: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def status_of(settings: Settings, now: datetime) -> Status:
    """Read the state of the platform; needs the ratings database.

    Raises
    ------
    DatabaseUnavailableError
    """
    database = Database(settings.databases.ratings)
    database.scalar("SELECT 1")
    unreadable: dict[str, str] = {}

    def read(name: str, part: Callable[[], _T]) -> _T | None:
        try:
            return part()
        except Exception as error:  # noqa: BLE001
            # One broken part, such as MLflow's server, must not hide the others.
            unreadable[name] = str(error).strip() or type(error).__name__
            return None

    return Status(
        at=now,
        data=read("data", lambda: loaded_data(database)),
        files_are_gone=read("files", lambda: absent_dataset(settings, loaded_from(database)) is not None),
        champion=read("champion", lambda: _champion(settings, database)),
        automation=read("automation", lambda: _automation(now)),
        alerts=read("alerts", lambda: [each for each in told_alerts(database) if each.over_at is None]),
        disk=read("disk", lambda: disk_use(settings, database)),
        backup=read("backup", lambda: backup_state(settings.backups)),
        unreadable=unreadable,
    )


def _champion(settings: Settings, database: Database) -> ChampionState:
    registry = ModelRegistry.of(settings)
    promotions = Promotions(registry, database)
    decision, served = promotions.latest(), promotions.served()
    try:
        with registry.reachable():
            version = registry.by_alias(CHAMPION)
            metrics = registry.metrics(version) if version else {}
            loss = promotions.loss()
    except RegistryUnavailableError as error:
        number, outcome, since = (decision.version, decision.outcome, decision.decided_at) if decision else (None,) * 3
        return ChampionState(number, outcome, since, None, None, None, served, str(error))
    if version is None:
        return ChampionState(None, None, None, None, None, None, served, str(loss) if loss else "")
    explained = decision is not None and decision.is_about(version)
    other = promotions.other_data(version)
    return ChampionState(
        version=version.number,
        outcome=decision.outcome if decision and explained else None,
        since=decision.decided_at if decision and explained else None,
        trained=version.created,
        ndcg_at_10=metrics.get("ndcg_at_10"),
        new_ratings=_newer_than(version, database),
        served=served,
        problem=str(other) if other else "",
    )


def _newer_than(version: Version, database: Database) -> int | None:
    """Rows of the app after the last one that a version was trained on; None where that was not recorded."""
    made_from = json.loads(version.provenance.get("made_from", "{}"))
    if "app_ratings" not in made_from:
        return None
    return app_ratings_after(database, made_from["app_ratings"] or 0)


def _automation(now: datetime) -> Automation:
    from dagster import DagsterInstance  # noqa: PLC0415

    with DagsterInstance.get() as instance:
        return automation_of(instance, now)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
