"""`movierec status`: one screen about a real platform, in every state that a person may meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from dagster import DagsterInstance, Failure, job, op
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from movierec_assets.alerts.causes import RUN, Cause
from movierec_assets.alerts.storage import update
from movierec_assets.cli.root import cli
from movierec_assets.cli.status import duration
from movierec_assets.host.automation_status import ALIVE
from movierec_assets.tables.database import SCHEMA
from movierec_tests.defs.harness import Platform, new_app_users
from movierec_tests.models.harness import (
    CLOSED,
    FIRST,
    MOVIES,
    USERS,
    carry_out,
    load_as,
    lose_champion,
    register,
)

ORIGIN = RemoteRepositoryOrigin(
    InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="movierec_assets.definitions")), "__repository__"
)


@op
def breaks() -> None:
    raise Failure("ratings.csv, line 7: no column rating\nand more of it")


@job
def refresh() -> None:
    breaks()


@dataclass(frozen=True)
class Command:
    """The command on a platform, and what a daemon would have recorded in Dagster's storage."""

    platform: Platform
    instance: DagsterInstance

    def shown(self) -> str:
        found = CliRunner().invoke(cli, ["status"], env={"COLUMNS": "300"})
        assert found.exit_code == 0, found.output
        return found.stdout

    def json(self) -> dict[str, Any]:
        found = CliRunner().invoke(cli, ["status", "--json"])
        assert found.exit_code == 0, found.output
        read: dict[str, Any] = json.loads(found.stdout)
        return read

    def beat(self, at: datetime) -> None:
        self.instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), "SENSOR", "one"))

    def switch(self, name: str, kind: InstigatorType, status: InstigatorStatus) -> InstigatorState:
        data = ScheduleInstigatorData("0 2 * * *") if kind is InstigatorType.SCHEDULE else SensorInstigatorData()
        state = InstigatorState(RemoteInstigatorOrigin(ORIGIN, name), kind, status, data)
        self.instance.add_instigator_state(state)
        return state


@pytest.fixture
def status(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    with DagsterInstance.get() as instance:
        with platform.database.transaction() as cursor:
            cursor.execute(f"DELETE FROM {SCHEMA}.alerts")
        instance.wipe()
        instance.wipe_daemon_heartbeats()
        instance.wipe_all_schedules()
        yield Command(platform, instance)


def test_an_empty_platform_says_what_to_do_next(status: Command) -> None:
    text = status.shown()
    assert "nothing is loaded; `movierec run` loads a dataset" in text
    assert "none yet; `movierec run` trains one" in text
    assert "Dagster's daemon never ran here" in text
    assert "none yet; `movierec backup FILE` makes one" in text


def test_data_champion_disk_and_backup_are_on_one_screen(status: Command) -> None:
    platform = status.platform
    dataset = load_as(platform, "films")
    champion = register(platform, dataset=dataset, ndcg=0.1234)
    platform.registry.set_tag(champion, "made_from", json.dumps({"app_ratings": 1}))
    carry_out(platform, champion, FIRST)
    with platform.database.transaction() as cursor:
        (user,) = new_app_users(cursor)
        for movie in MOVIES[:3]:
            cursor.execute(
                f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, dataset_id) VALUES (%s, %s, 4, %s)",
                [user, movie, dataset.id],
            )
    backups = platform.settings.backups
    backups.mkdir(parents=True, exist_ok=True)
    for day in (3, 1):
        (backups / f"movierec-202601{day:02}-033000.zip").write_bytes(b"0" * 4000)
    found = status.json()
    assert found["unreadable"] == {}
    assert (found["data"]["dataset"], found["data"]["users"]) == (str(dataset), len(USERS))
    assert (found["data"]["movies"], found["data"]["app_ratings"]) == (len(MOVIES), 3)
    assert (found["champion"]["version"], found["champion"]["outcome"]) == (champion, "first")
    assert found["champion"]["ndcg_at_10"] == pytest.approx(0.1234)
    assert found["champion"]["new_ratings"] == 2
    assert found["disk"]["free"] > 0
    assert found["disk"]["state"] >= 8000
    assert found["disk"]["databases"] > 1_000_000
    assert found["disk"]["postgres_free"] is None, "the server of the tests is not the platform's own"
    assert "the disk of this Postgres server is not seen from here" in status.shown()
    assert found["backup"]["file"].endswith("movierec-20260103-033000.zip")
    assert found["backup"]["kept"] == 2
    text = status.shown()
    assert f"version {champion} since" in text
    assert "2 ratings from the app are newer" in text
    assert "the tables of recommendations carry other versions (user_recommendations: no rows" in text
    assert len(text.splitlines()) <= 45


def test_a_dataset_whose_files_are_gone_is_shown(status: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    load_as(status.platform, "films")
    assert not status.json()["files_are_gone"], "a dataset is chosen"
    monkeypatch.delenv("MOVIEREC_DATASET")
    assert status.json()["files_are_gone"]
    assert "its files are gone" in status.shown()


def test_open_alerts_are_shown_and_those_that_are_over_are_not(status: Command) -> None:
    now = datetime.now(UTC)
    found = [Cause(f"run:{step}", RUN, f"train failed at {step}", "broken", "mend it") for step in ("one", "two")]
    update(status.platform.database, found, [], now - timedelta(hours=5))
    update(status.platform.database, found[1:], [], now)
    text = status.shown()
    assert "train failed at two, since" in text
    assert "(5 h ago)" in text
    assert "train failed at one" not in text
    assert [each["cause"] for each in status.json()["alerts"]] == ["run:two"]


def test_a_lost_champion_is_shown_with_its_remedy(status: Command) -> None:
    number = register(status.platform)
    carry_out(status.platform, number, FIRST)
    lose_champion(status.platform, "alias", number)
    text = status.shown()
    assert f"The alias champion was removed from version {number} in MLflow" in text
    assert f"`movierec model promote {number}`" in text


def test_a_part_that_does_not_answer_hides_no_other(status: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_as(status.platform, "films")
    number = register(status.platform, dataset=dataset)
    carry_out(status.platform, number, FIRST)
    monkeypatch.setenv("MOVIEREC_MLFLOW_TRACKING_URI", CLOSED)
    found = status.json()
    assert found["champion"]["version"] == number
    assert CLOSED in found["champion"]["problem"]
    assert found["data"]["dataset"] == str(dataset)
    assert found["automation"]["schedules"]


def test_runs_show_their_end_and_the_reason_of_a_failure(status: Command) -> None:
    result = refresh.execute_in_process(instance=status.instance, raise_on_error=False)
    (run,) = status.json()["automation"]["runs"]
    assert (run["job"], run["run_id"], run["status"]) == ("refresh", result.run_id, "failure")
    assert run["problem"] == "breaks: ratings.csv, line 7: no column rating"
    assert run["problem"] in status.shown()


def test_schedules_are_on_or_off_and_name_their_next_tick(status: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIEREC_TIMEZONE", "Asia/Tokyo")
    status.switch("daily_train", InstigatorType.SCHEDULE, InstigatorStatus.DECLARED_IN_CODE)
    status.switch("daily_refresh", InstigatorType.SCHEDULE, InstigatorStatus.STOPPED)
    schedules = {each["name"]: each for each in status.json()["automation"]["schedules"]}
    assert schedules["daily_train"]["on"]
    assert not schedules["daily_refresh"]["on"]
    following = datetime.fromisoformat(schedules["daily_train"]["next_tick"])
    assert timedelta(0) <= following - datetime.now(UTC) <= timedelta(days=1)
    assert f"{following.astimezone(UTC):%H:%M}" == "17:00"  # two o'clock in Tokyo
    rows = [line for line in status.shown().splitlines() if "daily_" in line and "│" in line]
    assert any("daily_train" in row and " 02:00 (in " in row for row in rows)
    assert any("daily_refresh" in row and "off" in row for row in rows)


def test_a_sensor_that_fails_is_shown_with_its_error(status: Command) -> None:
    state = status.switch("champion_sensor", InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE)
    inner = SerializableErrorInfo("KeyError: 'version'\nmore", [], "KeyError")
    error = SerializableErrorInfo("SensorExecutionError", [], "SensorExecutionError", inner)
    now = datetime.now(UTC).timestamp()
    status.instance.create_tick(
        TickData(
            *(state.instigator_origin_id, "champion_sensor", InstigatorType.SENSOR, TickStatus.FAILURE, now),
            error=error,
            selector_id=state.selector_id,
        )
    )
    assert "champion_sensor: KeyError: 'version'" in status.shown()


def test_a_daemon_without_a_sign_of_life_is_down(status: Command) -> None:
    now = datetime.now(UTC)
    status.beat(now)
    assert status.json()["automation"]["daemon_up"]
    assert "Dagster's daemon is up" in status.shown()
    status.instance.wipe_daemon_heartbeats()
    status.beat(now - 2 * ALIVE)
    assert not status.json()["automation"]["daemon_up"]
    assert "Dagster's daemon is down since" in status.shown()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-5, "0 s"), (59.4, "59 s"), (60, "1 min"), (90, "1 min 30 s"), (600, "10 min"), (3_600, "1 h")),
        *((5_400, "1 h 30 min"), (86_400, "1 d"), (100_000, "1 d 3 h"), (900_000, "10 d")),
    ],
)
def test_a_length_of_time_has_its_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
