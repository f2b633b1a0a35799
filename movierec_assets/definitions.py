"""The code location: everything Dagster loads, assembled in one place.

Belongs here: which assets, checks, jobs, schedules, sensors and resources make the platform. What they are is in
`defs` and `resources`.

Dagster concept: https://docs.dagster.io/guides/build/projects-and-components
"""

from collections.abc import Mapping
from typing import Any

from dagster import (
    Definitions,
    ExecutorDefinition,
    in_process_executor,
    load_asset_checks_from_modules,
    load_assets_from_modules,
)
from dagster import definitions as code_location

from movierec_assets.defs import automation, checks, ingestion, preprocessing, recommendations, training
from movierec_assets.resources.configurable import DatasetResource, PostgresResource, RegistryResource
from movierec_assets.resources.io_managers import NpzStorage, ParquetStorage
from movierec_assets.resources.tracking import MlflowTrackingResource
from movierec_assets.settings import get_settings


def build(
    resources: Mapping[str, Any] | None = None, executor: ExecutorDefinition = in_process_executor
) -> Definitions:
    """Assemble the platform.

    Parameters
    ----------
    resources : mapping, optional
        Replaces resources by name, for tests.
    executor : ExecutorDefinition
        How the steps of a run are executed. Every run has a process of its own already; in a process for each step
        as well, twenty steps would import everything twenty times, which takes longer than what they do.

    Returns
    -------
    Definitions
    """
    return Definitions(
        assets=load_assets_from_modules([ingestion, preprocessing, training, recommendations]),
        asset_checks=load_asset_checks_from_modules([checks]),
        jobs=automation.JOBS,
        schedules=automation.schedules(get_settings().timezone),
        sensors=[automation.dataset_file_sensor, automation.unfinished_mlflow_runs],
        executor=executor,
        resources={
            "postgres": PostgresResource(),
            "registry": RegistryResource(),
            "dataset": DatasetResource(),
            "tracking": MlflowTrackingResource(),
            "npz": NpzStorage(),
            "parquet": ParquetStorage(),
        }
        | dict(resources or {}),
    )


@code_location
def defs() -> Definitions:
    """What `dg`, the webserver and the daemon load."""
    return build()
