"""MLflow runs of the asset that trains, with the true status of the step.

Belongs here: starting and ending runs of `mlflow_tracking` (dagster-mlflow) in the platform's experiment. That resource
starts a run when it is initialized, finds the run again by the Dagster run id, and never ends it. Dagster initializes
resources for a whole job when steps share a process, so jobs that fail before training would leave runs behind.
Therefore it is initialized here, around the training, by exactly one asset. MLflow takes over a second to import, so it
is imported in functions. Does not: the content of a run (`defs.versions`).

Dagster concept: https://docs.dagster.io/api/libraries/dagster-mlflow
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import AssetExecutionContext, ConfigurableResource, DagsterExecutionInterruptedError, build_resources

from movierec_assets import full_disk
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

        A retried step continues the MLflow run of its Dagster run.

        Parameters
        ----------
        context : AssetExecutionContext
        name : str, optional
            Name of the run; the job's name by default.

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
            mlflow.set_registry_uri(uri)  # another registry may have been set before
            try:
                if name is not None:
                    mlflow.MlflowClient().update_run(mlflow.active_run().info.run_id, name=name)
                with full_disk.explained("a file of the MLflow run"):
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
        """A second MLflow run of the same Dagster run, for another version that it registers.

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
        with (
            mlflow.start_run(run_name=name, tags={"dagster_run_id": context.run.run_id}),
            full_disk.explained("a file of the MLflow run"),
        ):
            yield mlflow

    def _ready(self, context: AssetExecutionContext) -> str:
        """Create the experiment if it is missing; returns the URI of the tracking server."""
        registry = ModelRegistry.of(get_settings(), self.uri)
        registry.ensure_experiment(context.log.warning)
        return registry.uri
