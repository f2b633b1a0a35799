"""Runs that Postgres is restarted under count as crashed; other failures of a step do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dagster import DagsterInstance, Definitions, JobDefinition, asset, define_asset_job, execute_job, reconstructable
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG
from sqlalchemy import create_engine, text

from movierec_assets.defs.execution import one_run_at_a_time
from movierec_assets.defs.failures import failures_of
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import Database
from movierec_tests.resources.test_exclusive import end_sessions


@asset
def loses_postgres() -> None:
    """Ends all sessions of the ratings database, as a restart does, and finds its own gone."""
    with Database(get_settings().databases.ratings).connect() as connection, connection.cursor() as cursor:
        end_sessions(Database(get_settings().databases.ratings))
        cursor.execute("SELECT 1")


@asset
def cannot_store() -> None:
    """Fails in Dagster's storage, whose errors hold the whole statement."""
    create_engine(get_settings().databases.dagster).connect().execute(text("SELECT missing, :event"), {"event": "long"})


@asset
def raises() -> None:
    raise ValueError("the fit did not work out")


_GRAPH = Definitions(
    assets=[loses_postgres, cannot_store, raises],
    executor=one_run_at_a_time,
    jobs=[
        define_asset_job("losing", [loses_postgres]),
        define_asset_job("storing", [cannot_store]),
        define_asset_job("raising", [raises]),
    ],
)


def losing() -> JobDefinition:
    return _GRAPH.resolve_job_def("losing")


def storing() -> JobDefinition:
    return _GRAPH.resolve_job_def("storing")


def raising() -> JobDefinition:
    return _GRAPH.resolve_job_def("raising")


@pytest.mark.slow  # each run is executed as the command line does
@pytest.mark.parametrize(("job", "reason"), [(losing, "RUN_EXCEPTION"), (raising, "STEP_FAILURE")])
def test_only_a_step_that_failed_after_a_restart_of_postgres_is_a_crash(
    platform_settings: Settings, job: Callable[[], JobDefinition], reason: str
) -> None:
    with (
        DagsterInstance.get() as instance,
        execute_job(reconstructable(job), instance=instance, raise_on_error=False) as result,
    ):
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.is_failure
        assert run.tags[RUN_FAILURE_REASON_TAG] == reason


@pytest.mark.slow
def test_an_error_of_the_storage_is_shown_without_its_statement(platform_settings: Settings) -> None:
    with DagsterInstance.get() as instance:
        result = storing().execute_in_process(instance=instance, raise_on_error=False)
        ((step, reason),) = failures_of(instance, result.run_id)
    assert step == "cannot_store"
    assert 'column "missing" does not exist' in reason
    assert "[SQL" not in reason
    assert "[parameters" not in reason
