"""The state of the platform for its operators: data, champion, automation, disk and backups, and alerts.

Belongs here: the routes, and reading all parts at once, where one that does not answer leaves the others readable.
Does not: reading one part (`tables`, `backup`, `alerts`, `automation`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from movierec_assets.alerts.storage import not_delivered, told_alerts
from movierec_assets.backup.kept import backup_state
from movierec_assets.serving.api.automation import automation_of
from movierec_assets.serving.api.fields import ListLength, TrueOrFalse
from movierec_assets.serving.api.roles import OPERATOR
from movierec_assets.serving.api.worker import Worker, worker_of
from movierec_assets.serving.online.registry_view import RegistryView
from movierec_assets.tables.database import Database
from movierec_assets.tables.disk_use import disk_use
from movierec_assets.tables.loaded_data import app_ratings_after, loaded_data
from movierec_assets.tables.served import served_versions

router = APIRouter(tags=["operations"])

_T = TypeVar("_T")


class AlertState(BaseModel):
    """Something that is or was wrong."""

    alert_id: int = Field(examples=[3])
    cause: str = Field(description="The same for as long as it is the same cause.", examples=["run:train:als_model"])
    kind: str = Field(examples=["run"])
    title: str = Field(examples=["train failed at als_model"])
    reason: str
    remedy: str
    run_id: str | None
    step: str | None
    since: datetime
    told_at: datetime | None
    over_at: datetime | None = Field(description="Null while it is open.")
    not_delivered: dict[str, str] = Field(
        description="Channels that did not tell it, with the error of the latest try; empty text before a try."
    )


class Alerts(BaseModel):
    """Alerts, the newest first."""

    alerts: list[AlertState]


class DataState(BaseModel):
    """What is loaded."""

    dataset: str = Field(examples=["ml-latest-small (dataset 1)"])
    source: str = Field(description="Directory or archive that it was loaded from.")
    loaded_at: datetime
    movies: int = Field(examples=[9742])
    ratings: int = Field(examples=[100836])
    users: int = Field(examples=[610])
    rejected: int = Field(description="Rows of the files that did not load.")
    app_ratings: int = Field(description="Ratings that people posted for this dataset.")
    latest_app_rating: datetime | None


class ServedChampion(BaseModel):
    """The version that is served."""

    version: int | None
    outcome: str | None = Field(description="Of the decision that made it champion.", examples=["improvement"])
    since: datetime | None = Field(description="Time of that decision.")
    trained: datetime | None
    ndcg_at_10: float | None = Field(description="In the sitting, as it was evaluated.", examples=[0.067])
    new_ratings: int | None = Field(description="Posted ratings that it was not trained on; null: not recorded.")
    served: dict[str, int | None] = Field(description="Version of each table of recommendations; null without rows.")
    problem: str = Field(description="Why there is no champion.")


class ScheduleNow(BaseModel):
    """A schedule."""

    name: str = Field(examples=["daily_train"])
    job: str = Field(examples=["train"])
    on: bool
    next_tick: datetime | None = Field(description="Nothing starts then while it is off, or no daemon is up.")


class SensorNow(BaseModel):
    """A sensor."""

    name: str = Field(examples=["champion_sensor"])
    on: bool
    problem: str = Field(description="First line of the error of its latest tick, if that failed.")


class LatestRun(BaseModel):
    """The latest run of a job."""

    job: str = Field(examples=["train"])
    run_id: str
    status: str = Field(examples=["success"])
    at: datetime = Field(description="Its end; while it is unfinished its start, or else when it was created.")
    seconds: float | None = Field(description="Between start and end.")
    problem: str = Field(description="First line of the error of a failed run.")


class AutomationNow(BaseModel):
    """What Dagster has recorded of everything that starts runs."""

    daemon_seen: datetime | None = Field(description="Latest sign of life of the daemon.")
    daemon_up: bool
    schedules: list[ScheduleNow] = Field(description="The next tick first.")
    sensors: list[SensorNow]
    runs: list[LatestRun] = Field(description="The latest run of each job, newest first.")


class DiskState(BaseModel):
    """Bytes."""

    free: int = Field(description="Of the file system of the state directory.")
    total: int
    state: int = Field(description="Of the state directory.")
    databases: int
    postgres_free: int | None = Field(
        description="Of the file system of the embedded Postgres. Null for a server elsewhere, whose disk is not seen."
    )


class BackupNow(BaseModel):
    """The newest scheduled backup."""

    file: str
    made: datetime
    size: int = Field(description="Bytes.")
    kept: int = Field(description="Number of backups that are there.")


class PlatformState(BaseModel):
    """Everything that `movierec status` shows. A part that cannot be read is null, with the reason in `unreadable`."""

    at: datetime
    data: DataState | None = Field(description="Null before anything was loaded.")
    champion: ServedChampion | None
    automation: AutomationNow | None
    open_alerts: int | None = Field(examples=[0])
    disk: DiskState | None
    backup: BackupNow | None = Field(description="Null before the first one.")
    unreadable: dict[str, str] = Field(examples=[{}])


@router.get("/alerts", **OPERATOR)
async def list_alerts(
    request: Request,
    everything: Annotated[
        bool, Query(alias="all", description="Also those of the last 90 days that are over."), TrueOrFalse
    ] = False,
    n: ListLength = 20,
) -> Alerts:
    """What is wrong now, with reason and remedy, as `movierec alert list` shows it."""

    def read(database: Database) -> list[AlertState]:
        missing = not_delivered(database)
        found = [each for each in told_alerts(database) if everything or each.over_at is None]
        return [AlertState(**vars(each), not_delivered=missing.get(each.alert_id, {})) for each in found[:n]]

    return Alerts(alerts=await worker_of(request).queries.run(read))


@router.get("/status", **OPERATOR)
async def show_status(request: Request) -> PlatformState:
    """Data, champion, automation, alerts, disk and backups, as `movierec status` shows them."""
    worker, unreadable = worker_of(request), dict[str, str]()

    async def read(name: str, part: Awaitable[_T]) -> _T | None:
        try:
            return await part
        except Exception as error:  # noqa: BLE001
            # One broken part, such as Dagster's webserver, must not hide the others.
            unreadable[name] = str(error).strip() or type(error).__name__
            return None

    run, settings = worker.queries.run, worker.settings
    data, champion, automation, alerts, disk, backup = await asyncio.gather(
        read("data", run(loaded_data)),
        read("champion", _champion(worker)),
        read("automation", automation_of(worker.dagster)),
        read("open_alerts", run(lambda database: sum(each.over_at is None for each in told_alerts(database)))),
        read("disk", run(lambda database: disk_use(settings, database))),
        read("backup", asyncio.to_thread(backup_state, settings.backups)),
    )
    return PlatformState(
        at=datetime.now(UTC),
        data=DataState(**vars(data)) if data else None,
        champion=champion,
        automation=AutomationNow.model_validate(automation, from_attributes=True) if automation else None,
        open_alerts=alerts,
        disk=DiskState(**vars(disk)) if disk else None,
        backup=BackupNow(**(vars(backup) | {"file": str(backup.file)})) if backup else None,
        unreadable=unreadable,
    )


async def _champion(worker: Worker) -> ServedChampion:
    view = RegistryView.read(worker.settings)
    if view is None:
        raise LookupError("The registry was not read yet; the keeper of `movierec api` does so when it starts.")
    version = next((each for each in view.versions if each["version"] == view.champion), None)
    made_from = json.loads((version or {}).get("provenance", {}).get("made_from", "{}"))

    def read(database: Database) -> tuple[dict[str, int | None], int | None]:
        known = "app_ratings" in made_from
        return served_versions(database), app_ratings_after(database, made_from["app_ratings"] or 0) if known else None

    served, newer = await worker.queries.run(read)
    promotion = _promotion_of(version) if version else {}
    return ServedChampion(
        version=view.champion,
        outcome=promotion.get("outcome"),
        since=promotion.get("decided_at"),
        trained=version["created"] if version else None,
        ndcg_at_10=version["metrics"].get("ndcg_at_10") if version else None,
        new_ratings=newer,
        served=served,
        problem=view.no_champion or "",
    )


def _promotion_of(version: dict[str, Any]) -> dict[str, Any]:
    """The decision that made a version champion; empty where nobody recorded it."""
    own = (each for each in version["decisions"] if each["model_version"] == version["version"])
    return next((each for each in own if each["promoted"] and each["state"] == "done"), {})
