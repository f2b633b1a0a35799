"""MLflow runs of training steps: one for each Dagster run, with the true status of the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dagster import (
    DagsterInstance,
    JobDefinition,
    execute_job,
    reconstructable,
)

from movierec_assets.models.artifact_locations import local_path
from movierec_assets.resources.exclusive import end_left_mlflow_runs
from movierec_tests.defs import multiprocess_jobs as jobs
from movierec_tests.defs.harness import Platform, own_platform


@pytest.fixture(scope="module")
def _platform(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("tracking")
    with own_platform(server_url, directory, directory) as platform:
        yield platform


@pytest.fixture
def platform(_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    _platform.enter(monkeypatch)
    return _platform


def _in_processes(job: Callable[[], JobDefinition]) -> tuple[bool, str]:
    """Run a job with a process for each step; returns whether it succeeded, and its id."""
    with (
        DagsterInstance.get() as instance,
        execute_job(reconstructable(job), instance=instance, raise_on_error=False) as result,
    ):
        return result.success, result.run_id


def _in_this_process(job: Callable[[], JobDefinition]) -> tuple[bool, str]:
    with DagsterInstance.get() as instance:
        result = job().execute_in_process(instance=instance, raise_on_error=False)
        return result.success, result.run_id


def _mlflow_runs(platform: Platform, dagster_run_id: str) -> list[Any]:
    return [platform.registry.client.get_run(run) for run in platform.registry.runs_of(dagster_run_id)]


_EXECUTORS = [
    pytest.param(_in_this_process, id="in process"),
    pytest.param(_in_processes, id="multiprocess", marks=pytest.mark.slow),
]
Execute = Callable[[Callable[[], JobDefinition]], tuple[bool, str]]


@pytest.mark.parametrize("execute", _EXECUTORS)
def test_a_step_that_succeeds_leaves_one_finished_run(platform: Platform, execute: Execute) -> None:
    succeeded, run_id = execute(jobs.succeeding)
    assert succeeded
    (run,) = _mlflow_runs(platform, run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time is not None
    assert run.data.params == {"alpha": "1"}


@pytest.mark.parametrize("execute", _EXECUTORS)
def test_a_step_that_raises_leaves_one_failed_run(platform: Platform, execute: Execute) -> None:
    succeeded, run_id = execute(jobs.raising)
    assert not succeeded
    (run,) = _mlflow_runs(platform, run_id)
    assert run.info.status == "FAILED"
    assert run.info.end_time is not None


@pytest.mark.parametrize("execute", _EXECUTORS)
def test_a_retried_step_continues_the_run_of_its_first_attempt(platform: Platform, execute: Execute) -> None:
    succeeded, run_id = execute(jobs.recovering)
    assert succeeded
    (run,) = _mlflow_runs(platform, run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["attempt"] == "2"


@pytest.mark.parametrize("execute", _EXECUTORS)
def test_a_job_that_fails_before_training_leaves_no_run(platform: Platform, execute: Execute) -> None:
    succeeded, run_id = execute(jobs.failing_early)
    assert not succeeded
    assert _mlflow_runs(platform, run_id) == []


def test_two_dagster_runs_have_two_mlflow_runs(platform: Platform) -> None:
    ids = {_in_this_process(jobs.succeeding)[1] for _ in range(2)}
    runs = [run.info.run_id for dagster_run in ids for run in _mlflow_runs(platform, dagster_run)]
    assert len(ids) == len(set(runs)) == 2


def test_no_mlflow_run_stays_active_in_the_process(platform: Platform) -> None:
    import mlflow

    for job in (jobs.succeeding, jobs.raising):
        _in_this_process(job)
        assert mlflow.active_run() is None


def test_runs_belong_to_the_platforms_experiment_with_artifacts_in_the_state_directory(platform: Platform) -> None:
    _, run_id = _in_this_process(jobs.succeeding)
    (run,) = _mlflow_runs(platform, run_id)
    experiment = platform.registry.client.get_experiment(run.info.experiment_id)
    assert experiment.name == "movierec"
    directory = local_path(run.info.artifact_uri, platform.settings.artifacts)
    assert directory is not None
    assert directory.is_relative_to(platform.settings.state)


@pytest.mark.slow
def test_a_killed_step_leaves_its_run_running_until_the_sensor_ends_it_as_failed(platform: Platform) -> None:
    succeeded, run_id = _in_processes(jobs.killed)
    assert not succeeded
    (run,) = _mlflow_runs(platform, run_id)
    assert run.info.status == "RUNNING"
    with DagsterInstance.get() as instance:
        assert end_left_mlflow_runs(instance, platform.registry) == [run.info.run_id]
        (run,) = _mlflow_runs(platform, run_id)
        assert run.info.status == "FAILED"
        assert end_left_mlflow_runs(instance, platform.registry) == []


def test_the_sensor_leaves_a_run_that_ended_by_itself_alone(platform: Platform) -> None:
    _, run_id = _in_this_process(jobs.raising)
    (before,) = _mlflow_runs(platform, run_id)
    assert not platform.registry.end_run(before.info.run_id, "KILLED")
    (after,) = _mlflow_runs(platform, run_id)
    assert (after.info.status, after.info.end_time) == ("FAILED", before.info.end_time)
