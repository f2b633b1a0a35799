"""Tracking of the one asset that trains: an MLflow run with the true status of the step.

Belongs here: `mlflow_tracking` of dagster-mlflow at the platform's experiment, and the end of its run. That resource
starts a run as soon as it is initialized, finds it again by the Dagster run id, and never ends it. Initialized for a
whole job, as Dagster does when steps share a process, it would leave runs behind of jobs that failed before training;
so it is initialized here, around the training itself, and exactly one asset does that. It is imported there, too,
because MLflow takes over a second.

Dagster concept: https://docs.dagster.io/api/libraries/dagster-mlflow
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import AssetExecutionContext, ConfigurableResource, DagsterExecutionInterruptedError, build_resources

from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import EXPERIMENT
from movierec_assets.settings import get_settings


class MlflowTrackingResource(ConfigurableResource[None]):
    """MLflow runs of training steps, by dagster-mlflow's `mlflow_tracking`."""

    uri: str | None = None
    """Tracking server; MOVIEREC_MLFLOW_TRACKING_URI, or MLflow's database, when None."""

    @contextmanager
    def run(self, context: AssetExecutionContext, name: str | None = None) -> Iterator[Any]:
        """An MLflow run that ends FINISHED, FAILED on an error, or KILLED on an interrupt.

        A retried step continues the run of its Dagster run; there are never two.

        Parameters
        ----------
        context : AssetExecutionContext
        name : str, optional
            What the run does; the job's name without it.

        Yields
        ------
        dagster_mlflow.resources.MlFlow
            The module `mlflow` with the run active.
        """
        from dagster_mlflow import mlflow_tracking  # noqa: PLC0415

        uri = self._ready(context)
        config = {"experiment_name": EXPERIMENT, "mlflow_tracking_uri": uri, "env": {}, "extra_tags": {}}
        with build_resources(
            {"mlflow": mlflow_tracking},
            instance=context.instance,
            resource_config={"mlflow": {"config": config}},
            dagster_run=context.run,
            log_manager=context.log,
        ) as resources:
            mlflow = resources.mlflow
            mlflow.set_registry_uri(uri)  # versions go where the registry looks for them, whatever was set before
            try:
                if name is not None:
                    mlflow.MlflowClient().update_run(mlflow.active_run().info.run_id, name=name)
                yield mlflow
            except (KeyboardInterrupt, DagsterExecutionInterruptedError):
                mlflow.end_run("KILLED")
                raise
            except BaseException:
                mlflow.end_run("FAILED")
                raise
            mlflow.end_run("FINISHED")

    @contextmanager
    def second_run(self, context: AssetExecutionContext, name: str) -> Iterator[Any]:
        """An MLflow run beside the one of the training step, for another version that a Dagster run registers.

        Yields
        ------
        module
            `mlflow` with the run active; it ends FINISHED, or FAILED on an error.
        """
        import mlflow  # noqa: PLC0415

        uri = self._ready(context)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=name, tags={"dagster_run_id": context.run.run_id}):
            yield mlflow

    def _ready(self, context: AssetExecutionContext) -> str:
        """Make sure that the experiment is there; returns the tracking server."""
        registry = ModelRegistry.of(get_settings(), self.uri)
        registry.ensure_experiment(context.log.warning)
        return registry.uri
