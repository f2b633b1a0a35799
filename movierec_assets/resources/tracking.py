"""Tracking of the one asset that trains: an MLflow run with the true status of the step.

Belongs here: `mlflow_tracking` of dagster-mlflow at the platform's experiment, and the end of its run. The
resource starts a run when a step that asks for it starts, finds the same run again by the Dagster run id, and
never ends it; so exactly one asset may ask for it, and wraps its work in `mlflow_run`.

Dagster concept: https://docs.dagster.io/api/libraries/dagster-mlflow
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import DagsterExecutionInterruptedError, ResourceDefinition, configured
from dagster_mlflow import mlflow_tracking

from movierec_assets.resources.registry import EXPERIMENT, ModelRegistry
from movierec_assets.settings import get_settings


def tracking() -> ResourceDefinition:
    """`mlflow_tracking` at the experiment of the platform, configured when a step starts."""

    @configured(mlflow_tracking, config_schema={})
    def at_experiment(_config: Any) -> dict[str, Any]:
        settings = get_settings()
        ModelRegistry(settings.mlflow_uri, settings.state / "mlartifacts").ensure_experiment()
        return {
            "experiment_name": EXPERIMENT,
            "mlflow_tracking_uri": settings.mlflow_uri,
            "env": {},
            "extra_tags": {},
        }

    definition: ResourceDefinition = at_experiment
    return definition


@contextmanager
def mlflow_run(mlflow: Any) -> Iterator[str]:
    """End the run that the resource started: FINISHED, FAILED on an error, KILLED on an interrupt.

    Parameters
    ----------
    mlflow
        The resource, `context.resources.mlflow`.

    Yields
    ------
    str
        Id of the MLflow run.
    """
    run_id = mlflow.active_run().info.run_id
    try:
        yield run_id
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        mlflow.end_run("KILLED")
        raise
    except BaseException:
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run("FINISHED")
