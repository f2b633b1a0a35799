"""The sensor that tells what goes wrong: real runs, checks, decisions and disks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetCheckResult,
    AssetKey,
    AssetMaterialization,
    AssetsDefinition,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    asset,
    asset_check,
    build_sensor_context,
    define_asset_job,
    in_process_executor,
    job,
    materialize,
    op,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo
from pydantic import SecretStr

from movierec_assets.alerts.storage import Alert, due_channels, open_alerts, told_alerts
from movierec_assets.definitions import build
from movierec_assets.defs import alerting
from movierec_assets.defs.freshness import FAIL_AFTER
from movierec_assets.defs.latest_ticks import latest_ticks
from movierec_assets.models.version import CHAMPION, MODEL_NAME
from movierec_assets.resources.configurable import PostgresResource
from movierec_assets.settings import Settings
from movierec_tests.alerts.receivers import Webhook
from movierec_tests.conftest import Dataset
from movierec_tests.defs.harness import Platform
from movierec_tests.defs.watch import load
from movierec_tests.models.harness import CLOSED, FIRST, KEPT, carry_out, promote_in_order, register
from movierec_tests.waiting import wait_until

pytestmark = pytest.mark.slow  # the module has a real MLflow and Postgres


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def ticking(tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance that stores ticks."""
    with DagsterInstance.local_temp(str(tmp_path)) as local:
        yield local


class Sensor:
    """The sensor of a platform, evaluated at given times."""

    def __init__(self, platform: Platform, instance: DagsterInstance, **settings: object) -> None:
        self._platform, self._instance = platform, instance
        self.settings: Settings = platform.settings.model_copy(update={"min_free_disk": 0} | settings)

    def look(self, after: timedelta = timedelta(0)) -> list[str]:
        """Evaluate the sensor some time from now; returns the causes that were told and are not over."""
        alerting.evaluate(self._instance, PostgresResource(), self.settings, datetime.now(UTC) + after)
        return sorted(alert.cause for alert in open_alerts(self._platform.database) if alert.told_at)

    @property
    def told(self) -> list[Alert]:
        """Everything that was told, oldest first."""
        return told_alerts(self._platform.database)[::-1]


@pytest.fixture
def sensor(platform: Platform, instance: DagsterInstance) -> Sensor:
    return Sensor(platform, instance)


def als_model(problem: str = "") -> AssetsDefinition:
    """An asset that fails with a problem, or succeeds."""

    @asset(name="als_model")
    def made() -> None:
        if problem:
            raise ValueError(problem)

    return made


def test_a_failed_run_stays_known_however_many_others_end_after_it(
    sensor: Sensor, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "RUNS", 2)

    @asset
    def other() -> None:
        pass

    materialize([als_model("no memory")], instance=instance, raise_on_error=False)
    for _ in range(3):
        materialize([other], instance=instance)
    assert sensor.look() == ["run:als_model"]
    materialize([als_model()], instance=instance)
    assert sensor.look() == []


def test_runs_count_in_the_order_in_which_they_ended_not_in_that_in_which_they_were_created(
    sensor: Sensor, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "RUNS", 1)
    problems = ["", "MLflow is away", ""]

    @op(name="als_model")
    def trained() -> None:
        if problem := problems.pop(0):
            raise ValueError(problem)

    @job(executor_def=in_process_executor)
    def train() -> None:
        trained()

    @job(executor_def=in_process_executor)
    def everything() -> None:
        trained()

    waits, overtaken = (instance.create_run_for_job(train) for _ in range(2))
    overtakes = instance.create_run_for_job(everything)
    execute_run(InMemoryJob(everything), overtakes, instance)
    execute_run(InMemoryJob(train), overtaken, instance, raise_on_error=False)
    assert sensor.look() == ["run:als_model"], "it failed after the run that was created later"
    execute_run(InMemoryJob(train), waits, instance)
    assert sensor.look() == [], "it succeeded after the run that was created later"


def test_after_a_while_without_a_tick_nobody_has_watched() -> None:
    now = datetime.now(UTC)
    for since, watched in ((timedelta(seconds=30), True), (timedelta(hours=8), False), (-timedelta(hours=1), True)):
        assert alerting.watched_since((now - since).timestamp(), now) is watched
    assert alerting.watched_since(None, now), "the first tick"


def test_a_failed_run_is_told_with_its_error_and_over_when_the_step_succeeds(
    platform: Platform, instance: DagsterInstance, webhook: Webhook
) -> None:
    sensor = Sensor(platform, instance, alert_webhook_url=SecretStr(webhook.url), dagster_public_url="http://pages")
    assert sensor.look() == []
    failed = [materialize([als_model("no memory: 3 GB")], instance=instance, raise_on_error=False) for _ in range(2)]
    for _ in range(2):
        assert sensor.look() == ["run:als_model"]
    wait_until(lambda: not due_channels(platform.database))
    (body,) = webhook.bodies
    assert "no memory: 3 GB" in body["text"]
    assert f"http://pages/runs/{failed[1].run_id}" in body["text"]
    materialize([als_model()], instance=instance)
    wait_until(lambda: sensor.look() == [] and not due_channels(platform.database))
    assert sensor.look() == []
    assert [each["alert"]["state"] for each in webhook.bodies] == ["open", "over"]


def test_a_run_that_dagster_started_again_is_told_only_when_the_new_run_fails(
    sensor: Sensor, instance: DagsterInstance
) -> None:
    retried = materialize([als_model("crash")], instance=instance, raise_on_error=False)
    instance.add_run_tags(retried.run_id, {"dagster/will_retry": "true", "dagster/auto_retry_run_id": "another"})
    assert sensor.look() == []
    from_the_command_line = materialize([als_model("crash")], instance=instance, raise_on_error=False)
    instance.add_run_tags(from_the_command_line.run_id, {"dagster/will_retry": "true"})
    assert sensor.look() == ["run:als_model"], "Dagster marks it, but cannot start it again"


def test_a_run_whose_process_was_killed_is_told_with_that_reason(sensor: Sensor, instance: DagsterInstance) -> None:
    job = Definitions(assets=[als_model()], jobs=[define_asset_job("train", [AssetKey("als_model")])]).resolve_job_def(
        "train"
    )
    run = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
    instance.report_run_failed(run, "The process of this run ended without a word.")
    assert sensor.look() == ["run:train"]
    (alert,) = sensor.told
    assert (alert.run_id, alert.reason) == (run.run_id, "The process of this run ended without a word.")
    assert job.execute_in_process(instance=instance).success
    assert sensor.look() == []


def checked(passed: bool) -> list[Any]:
    """An asset with a blocking check of the platform's, and one that depends on it."""
    made = als_model()

    @asset_check(asset=made, name="factors_are_finite", blocking=True)
    def check() -> AssetCheckResult:
        return AssetCheckResult(passed=passed, description="3 are not finite")

    @asset(deps=[made])
    def behind() -> None: ...

    return [made, check, behind]


def test_a_failed_blocking_check_is_told_once_and_not_as_a_failed_run(
    sensor: Sensor, instance: DagsterInstance
) -> None:
    for _ in range(2):
        assert not materialize(checked(False), instance=instance, raise_on_error=False).success
        assert sensor.look() == ["check:als_model:factors_are_finite"]
    (alert,) = sensor.told
    assert alert.reason == "3 are not finite"
    materialize(checked(True), instance=instance)
    assert sensor.look() == []


def test_three_challengers_that_are_not_promoted_are_told_until_one_is(platform: Platform, sensor: Sensor) -> None:
    promote_in_order(platform, FIRST, KEPT, KEPT)
    assert sensor.look() == []
    carry_out(platform, register(platform, seed=9), KEPT)
    assert sensor.look() == ["challengers"]
    carry_out(platform, register(platform, seed=10), KEPT)
    assert sensor.look() == ["challengers"]
    carry_out(platform, register(platform, seed=11), FIRST)
    assert sensor.look() == []


def test_an_asset_that_users_depend_on_is_told_as_stale_after_its_time(
    sensor: Sensor, instance: DagsterInstance
) -> None:
    instance.report_runless_asset_event(AssetMaterialization("user_recommendations"))
    instance.report_runless_asset_event(AssetMaterialization("hyperparameters"))
    late = FAIL_AFTER + timedelta(minutes=1)
    assert sensor.look() == []
    assert sensor.look(late) == [], "a run may be about to make it, as after a night in which the machine slept"
    assert sensor.look(late + timedelta(minutes=29)) == []
    assert sensor.look(late + timedelta(minutes=31)) == ["stale"]
    instance.report_runless_asset_event(AssetMaterialization("user_recommendations"))
    assert sensor.look() == []


def test_a_champion_that_was_lost_is_told_and_stays_open_while_mlflow_is_away(
    platform: Platform, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_in_order(platform, FIRST)
    assert sensor.look() == []
    platform.registry.client.delete_registered_model_alias(MODEL_NAME, CHAMPION)
    assert sensor.look() == ["champion"]
    reachable = sensor.settings
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    sensor.settings = reachable.model_copy(update={"mlflow_tracking_uri": CLOSED})
    assert sensor.look() == ["champion"], "nothing is known about it"
    sensor.settings = reachable
    platform.registry.client.set_registered_model_alias(MODEL_NAME, CHAMPION, "1")
    assert sensor.look() == []


def test_a_full_disk_is_told_until_there_is_room(platform: Platform, sensor: Sensor) -> None:
    platform.settings.state.mkdir(parents=True, exist_ok=True)
    sensor.settings = sensor.settings.model_copy(update={"min_free_disk": 1 << 60})
    assert sensor.look() == [f"disk:{platform.settings.state}"]
    sensor.settings = sensor.settings.model_copy(update={"min_free_disk": 0})
    assert sensor.look() == []


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_the_disk_of_the_matrices_is_watched(platform: Platform, sensor: Sensor, tmp_path: Path, prefix: str) -> None:
    storage = tmp_path / "matrices"
    storage.mkdir()
    # Directories that do not exist yet are not looked at, so that no other one is on the same disk.
    nowhere = {"state_dir": tmp_path / "later", "backup_dir": tmp_path / "later"}
    full = {"storage_url": f"{prefix}{storage}", "min_free_disk": 1 << 60}
    sensor.settings = sensor.settings.model_copy(update=nowhere | full)
    assert sensor.look() == [f"disk:{storage}"]


def test_a_webhook_that_does_not_answer_does_not_delay_the_sensor(
    platform: Platform, instance: DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook.hold()
    monkeypatch.setenv("MOVIEREC_ALERT_WEBHOOK_URL", webhook.url)
    monkeypatch.setenv("MOVIEREC_MIN_FREE_DISK", "0")
    materialize([als_model("no memory")], instance=instance, raise_on_error=False)
    context = build_sensor_context(instance=instance)
    for _ in range(3):
        assert alerting.alerts(context, postgres=PostgresResource()) is not None  # returns while the webhook waits
    assert webhook.bodies == []
    webhook.release()
    wait_until(lambda: not due_channels(platform.database))
    assert [each["alert"]["cause"] for each in webhook.bodies] == ["run:als_model"]


def test_a_sensor_that_fails_three_times_is_told_and_over_when_it_works_again(
    platform: Platform, ticking: DagsterInstance
) -> None:
    sensor = Sensor(platform, ticking)
    ticking.add_instigator_state(
        InstigatorState(
            RemoteInstigatorOrigin(
                RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("movierec_assets"), "__repository__"), "watcher"
            ),
            InstigatorType.SENSOR,
            InstigatorStatus.RUNNING,
            SensorInstigatorData(),
        )
    )
    (state,) = ticking.all_instigator_state()
    origin, selector = state.instigator_origin_id, state.selector_id

    def tick(at: int, status: TickStatus, error: str = "") -> None:
        found = SerializableErrorInfo(f"KeyError: {error}\nmore", [], "KeyError") if error else None
        outer = SerializableErrorInfo("SensorExecutionError", [], "SensorExecutionError", found) if found else None
        ticking.create_tick(
            TickData(origin, "watcher", InstigatorType.SENSOR, status, float(at), error=outer, selector_id=selector)
        )

    patience = timedelta(minutes=6)
    tick(1, TickStatus.SKIPPED)
    for at in (2, 3):
        tick(at, TickStatus.FAILURE, "earlier")
    assert sensor.look() == sensor.look(patience) == []
    tick(4, TickStatus.FAILURE, "'version'")
    tick(5, TickStatus.STARTED)
    assert sensor.look() == [], "servers may be starting"
    assert sensor.look(patience) == ["ticks:watcher"]
    assert (sensor.told[-1].reason, sensor.told[-1].kind) == ("KeyError: 'version'", "ticks")
    tick(6, TickStatus.SKIPPED)
    assert sensor.look(patience) == []


def test_the_real_sensors_are_read_for_failing_ticks(ticking: DagsterInstance) -> None:
    repository = build().get_repository_def()
    schedules = {each.name for each in repository.schedule_defs}
    known = schedules | {each.name for each in repository.sensor_defs}
    for name in (*known, "of_an_earlier_release"):
        of = InstigatorType.SCHEDULE if name in schedules else InstigatorType.SENSOR
        data = ScheduleInstigatorData("0 0 * * *") if of is InstigatorType.SCHEDULE else SensorInstigatorData()
        origin = RemoteInstigatorOrigin(
            RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("movierec_assets"), "__repository__"), name
        )
        ticking.add_instigator_state(InstigatorState(origin, of, InstigatorStatus.RUNNING, data))
    found = latest_ticks(ticking, repository)
    assert {each.name for each in found} == known
    assert {each.name for each in found if each.is_schedule} == schedules


def test_files_of_the_loaded_dataset_that_are_gone_are_told_and_over_when_they_are_back(
    platform: Platform, instance: DagsterInstance, make_dataset: Dataset
) -> None:
    mine = make_dataset(["1,1,4.0,964982703"], name="mine")
    load(platform.database, mine)
    sensor = Sensor(platform, instance, dataset=None)
    later = timedelta(minutes=31)
    assert sensor.look(later) == []
    mine.rename(mine.with_name("moved"))
    assert sensor.look() == [], "somebody may be exchanging them"
    assert sensor.look(later) == ["dataset"]
    assert "mine is loaded, and its files are not on this machine" in sensor.told[-1].reason
    mine.with_name("moved").rename(mine)
    assert sensor.look(later) == []
