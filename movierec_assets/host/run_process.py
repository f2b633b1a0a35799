"""The process of one run: `python -m movierec_assets.host.run_process DESCRIPTOR`, with the request as input.

Belongs here: executing a job in Dagster, and telling the command that started the process what happens. Does not: that
command (`run`). It imports neither Dagster nor MLflow, and prepares the run while this process imports them.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from movierec_assets.errors import ExplainedError
from movierec_assets.host.run_messages import Request, Sender

if TYPE_CHECKING:
    from dagster import DagsterInstance, JobExecutionResult

    from movierec_assets.host.run_events import Events
    from movierec_assets.models.decisions import Promotions


def execute(read: Callable[[], str], sender: Sender) -> bool:
    """Import what a run needs, read the request, execute it, send what happens, and return whether it succeeded.

    Raises
    ------
    ExplainedError
        When the run cannot start, for instance without Postgres.
    """
    with _without_collections():
        from dagster import DagsterInstance  # noqa: PLC0415

        from movierec_assets import definitions  # noqa: F401, PLC0415
        from movierec_assets.host.provision import provision  # noqa: PLC0415
        from movierec_assets.host.run_events import Events, Report  # noqa: PLC0415
        from movierec_assets.models.decisions import Promotions  # noqa: PLC0415
        from movierec_assets.models.errors import RegistryUnavailableError  # noqa: PLC0415
        from movierec_assets.models.registry import ModelRegistry  # noqa: PLC0415
        from movierec_assets.resources.exclusive import end_dead_runs, end_left_mlflow_runs  # noqa: PLC0415
        from movierec_assets.resources.kept_connections import keep_connections  # noqa: PLC0415
        from movierec_assets.settings import get_settings  # noqa: PLC0415
        from movierec_assets.tables.database import Database  # noqa: PLC0415

    request = Request.read(read())
    if request.dataset is not None:
        os.environ["MOVIEREC_DATASET"] = request.dataset  # all steps load this one
    settings = get_settings()
    provision(settings, lambda text: sender.logged(None, text, warning=False))
    database, registry = Database(settings.databases.ratings), ModelRegistry.of(settings)
    with DagsterInstance.get() as instance:
        keep_connections(instance)
        dead = end_dead_runs(instance, database)
        for each in dead:
            sender.warned(f"Run {each} was killed earlier; it is marked as failed now.")
        if dead:
            try:
                registry.require_reachable()
                end_left_mlflow_runs(instance, registry)
            except RegistryUnavailableError as error:
                sender.warned(f"The MLflow runs of killed runs stay marked as running for now. {error}")
        report = Report()
        result = _run(request, instance, Events(report, sender), sender)
        report.succeeded = result.success and not report.failures
        if not report.succeeded:
            _keep_rejection(report.run_id, instance, Promotions(registry, database), sender)
    sender.ended(report)
    return report.succeeded


def _run(request: Request, instance: DagsterInstance, events: Events, sender: Sender) -> JobExecutionResult:
    """Execute the job as `dagster job execute` does, and pass on its events."""
    from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: PLC0415
    from dagster._core.execution.api import execute_run  # noqa: PLC0415
    from dagster._utils.interrupts import capture_interrupts  # noqa: PLC0415

    with capture_interrupts():
        repository = ReconstructableRepository.for_module("movierec_assets.definitions", "defs", os.getcwd())
        load_data = repository.get_definition().repository_load_data
        job = repository.get_reconstructable_job(request.job).with_repository_load_data(load_data)
        definition = job.get_definition()
        run = instance.create_run_for_job(
            job_def=definition,
            run_config=request.config,
            tags={**definition.run_tags, **request.tags},
            job_code_origin=job.get_python_origin(),
            repository_load_data=load_data,
        )
        events.report.run_id = run.run_id
        sender.created(run.run_id)
        instance.add_event_listener(run.run_id, events.read)
        return execute_run(job, run, instance)


def _keep_rejection(run_id: str, instance: DagsterInstance, promotions: Promotions, sender: Sender) -> None:
    """Record the rejection of a challenger by a check before promotion; under `movierec up` a sensor does so."""
    from movierec_assets.defs.rejections import note_rejection  # noqa: PLC0415
    from movierec_assets.models.errors import PromotionError, RegistryUnavailableError  # noqa: PLC0415
    from movierec_assets.tables.database import DatabaseUnavailableError  # noqa: PLC0415

    try:
        record = note_rejection(promotions, instance, run_id)
    except (DatabaseUnavailableError, RegistryUnavailableError, PromotionError) as error:
        sender.warned(f"The decision about the challenger was not kept: {error}")
        return
    if record is not None:
        sender.warned(f"Version {record.version} rejected: {record.reason}")


@contextmanager
def _without_collections() -> Iterator[None]:
    """No garbage collections during imports, which leave no garbage, nor of imported objects later.

    They took a fifth of the time of the imports.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def main(descriptor: str) -> None:
    """Execute the request; the exit status is 0 when it succeeded."""
    sender = Sender(int(descriptor))
    try:
        succeeded = execute(sys.stdin.read, sender)
    except ExplainedError as error:
        sender.refused(str(error))
        raise
    sys.exit(0 if succeeded else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
