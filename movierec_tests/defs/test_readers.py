"""Readers beside a long reader: they wait for no lock, and change no definition."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dagster import DagsterInstance, SensorResult, SkipReason, build_sensor_context

from movierec_assets.defs.automation import dead_runs
from movierec_assets.defs.catch_up import dataset_file_sensor
from movierec_assets.defs.publishing import champion_sensor
from movierec_assets.host import provision
from movierec_assets.host.loaded import require_anything_loaded
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.resources.configurable import DatasetResource, PostgresResource, RegistryResource
from movierec_assets.serving.recommendations import RecommendationService
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import SCHEMA
from movierec_tests.defs.conftest import Ran

_READ = f"SELECT count(*) FROM {SCHEMA}.current_ratings"
_REFUSE_DEFINITIONS = """
    CREATE FUNCTION refuse_definitions() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a reader ran %', tg_tag; END $$;
    CREATE EVENT TRIGGER refuse_definitions ON ddl_command_start EXECUTE FUNCTION refuse_definitions()"""


@pytest.fixture
def beside_a_reader(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of a platform with a champion, whose ratings are being read.

    Waiting for a lock fails after a tenth of a second, and changing a definition fails at once.
    """
    for name in ("mlflow", "dagster"):  # a copy of a database lacks the comments that record upgrades
        monkeypatch.setattr(provision, f"_upgrade_{name}", lambda *_: None)
    provision.provision(ran.platform.settings)
    with ran.database.transaction() as cursor:
        cursor.execute(_REFUSE_DEFINITIONS)
    monkeypatch.setenv(
        "MOVIEREC_DATABASE_URL", f"{ran.platform.settings.databases.ratings}?options=-clock_timeout%3D100"
    )
    with ran.database.transaction() as cursor:
        cursor.execute(_READ)
        yield get_settings()
    with ran.database.transaction() as cursor:
        cursor.execute("DROP EVENT TRIGGER refuse_definitions; DROP FUNCTION refuse_definitions()")


@pytest.mark.slow
def test_provisioning_a_recommendation_and_every_sensor_wait_for_no_reader(beside_a_reader: Settings) -> None:
    settings = beside_a_reader
    provision.provision(settings)  # as every command does first
    database = PostgresResource().open()
    assert database.scalar("SHOW lock_timeout") == "100ms"
    assert database.scalar(_READ) > 0

    require_anything_loaded(database, "this is a test")
    service = RecommendationService(database, ModelRegistry.of(settings))
    user = database.scalar(f"SELECT min(user_id) FROM {SCHEMA}.eligible_users")
    assert len(service.for_user(user, 5).movies) == len(service.for_nobody(5).movies) == 5

    resources = {"postgres": PostgresResource(), "registry": RegistryResource(), "dataset": DatasetResource()}
    with DagsterInstance.get() as instance:
        for sensor, names in (
            (dataset_file_sensor, ("dataset", "postgres", "registry")),
            (champion_sensor, ("postgres", "registry")),
            (dead_runs, ("postgres", "registry")),
        ):
            needed = {name: resources[name] for name in names}
            tick = sensor(build_sensor_context(instance=instance, resources=needed))
            assert isinstance(tick, SensorResult | SkipReason)
            reason = tick if isinstance(tick, SkipReason) else tick.skip_reason
            message = str(reason.skip_message) if reason else ""
            assert "ratings database" not in message, message  # sensors skip when they cannot use it
