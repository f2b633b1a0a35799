"""The state of a platform at one moment: data, champion, runs, schedules, alerts, disk and backups.

Belongs here: reading it in one go, where a part that does not answer leaves the others readable. Does not: what Dagster
records (`automation_status`), text for people (`cli.status`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from movierec_assets.alerts.storage import Alert, told_alerts
from movierec_assets.backup.kept import backups_in
from movierec_assets.datasets.keep import absent_dataset
from movierec_assets.host.automation_status import Automation, automation_of
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION, Version
from movierec_assets.settings import Settings
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import loaded_dataset, loaded_from

_T = TypeVar("_T")


@dataclass(frozen=True)
class LoadedData:
    """What is in the tables.

    Attributes
    ----------
    dataset : str
    source : str
        Directory or archive it was loaded from.
    loaded_at : datetime
        When the ratings of the file were loaded.
    movies, ratings, users : int
        Of the file.
    rejected : int
        Rows of the files that did not load.
    app_ratings : int
        Rows that were posted in the app for this dataset.
    latest_app_rating : datetime or None
        When the last of them was posted.
    files_are_gone : bool
        Whether nothing new can be loaded: the files are gone, and no other dataset is chosen.
    """

    dataset: str
    source: str
    loaded_at: datetime
    movies: int
    ratings: int
    users: int
    rejected: int
    app_ratings: int
    latest_app_rating: datetime | None
    files_are_gone: bool


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
class Disk:
    """Bytes of the file system of the state directory, of the directory itself, and of the databases."""

    free: int
    total: int
    state: int
    databases: int


@dataclass(frozen=True)
class Backup:
    """The newest scheduled backup: its file, time and bytes, and how many are kept."""

    file: Path
    made: datetime
    size: int
    kept: int


@dataclass(frozen=True)
class Status:
    """Everything on the screen; alerts are those that are open, the newest first.

    A part that could not be read is None, and `unreadable` has the reason under its name.
    """

    at: datetime
    data: LoadedData | None
    champion: ChampionState | None
    automation: Automation | None
    alerts: list[Alert] | None
    disk: Disk | None
    backup: Backup | None
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
        data=read("data", lambda: _data(settings, database)),
        champion=read("champion", lambda: _champion(settings, database)),
        automation=read("automation", lambda: _automation(now)),
        alerts=read("alerts", lambda: [each for each in told_alerts(database) if each.over_at is None]),
        disk=read("disk", lambda: _disk(settings, database)),
        backup=read("backup", lambda: _backup(settings.backups)),
        unreadable=unreadable,
    )


def _data(settings: Settings, database: Database) -> LoadedData | None:
    dataset, load, movies = loaded_dataset(database), database.last_load("ratings"), database.last_load("movies")
    if dataset is None or load is None:
        return None
    rejected = sum(sum(each.details.get("rejected", {}).values()) for each in (load, movies) if each is not None)
    (loaded_at, films, users, posted, latest) = database.rows(
        f"""SELECT (SELECT loaded_at FROM {SCHEMA}.loads WHERE table_name = 'ratings'),
                   (SELECT count(*) FROM {SCHEMA}.movies), (SELECT count(*) FROM {SCHEMA}.user_totals),
                   count(*), max(rated_at)
            FROM {SCHEMA}.valid_app_ratings"""
    )[0]
    ratings = load.details.get("rows")
    if ratings is None:  # recorded by an earlier release
        ratings = database.scalar(f"SELECT coalesce(sum(ratings), 0)::bigint FROM {SCHEMA}.user_totals")
    gone = absent_dataset(settings, loaded_from(database)) is not None
    return LoadedData(str(dataset), load.source, loaded_at, films, ratings, users, rejected, posted, latest, gone)


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
    query = f"SELECT count(*) FROM {SCHEMA}.valid_app_ratings WHERE rating_id > %s"
    return int(database.scalar(query, [made_from["app_ratings"] or 0]))


def _automation(now: datetime) -> Automation:
    from dagster import DagsterInstance  # noqa: PLC0415

    with DagsterInstance.get() as instance:
        return automation_of(instance, now)


def _disk(settings: Settings, database: Database) -> Disk:
    usage = shutil.disk_usage(settings.state)
    databases = database.scalar(
        "SELECT coalesce(sum(pg_database_size(datname)), 0)::bigint FROM pg_database WHERE datname = ANY(%s)",
        [list(settings.databases.names)],
    )
    return Disk(usage.free, usage.total, _size_of(settings.state), databases)


def _size_of(directory: Path) -> int:
    """Bytes that a directory occupies; files that vanish or cannot be read count nothing."""
    found = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            try:
                found += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return found


def _backup(directory: Path) -> Backup | None:
    found = backups_in(directory)
    return Backup(found[0].path, found[0].made_at, found[0].bytes, len(found)) if found else None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
