"""The code location: everything Dagster loads, assembled in one place.

Belongs here: which assets, checks, jobs, schedules, sensors and resources make the platform, and on which executor
they run. What they are is in `defs` and `resources`.

Dagster concept: https://docs.dagster.io/guides/build/projects-and-components
"""

from collections.abc import Mapping
from typing import Any

from dagster import (
    Definitions,
    load_asset_checks_from_modules,
    load_assets_from_modules,
    multiprocess_executor,
)
from dagster import definitions as code_location

from movierec_assets.defs import automation, checks, ingestion, preprocessing, recommendations, training
from movierec_assets.resources.configurable import DatasetResource, PostgresResource, RegistryResource
from movierec_assets.resources.io_managers import NpzStorage, ParquetStorage
from movierec_assets.resources.tracking import tracking
from movierec_assets.settings import get_settings

# Each step runs in a process of its own, forked from one that has everything imported: isolation without the
# seconds that importing costs in a fresh process.
_PRELOADED = ["movierec_assets.definitions", "mlflow", "matplotlib.backends.backend_agg"]


def build(resources: Mapping[str, Any] | None = None) -> Definitions:
    """Assemble the platform.

    Parameters
    ----------
    resources : mapping, optional
        Replaces resources by name, for tests.

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
        executor=multiprocess_executor.configured(
            {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": _PRELOADED}}}
        ),
        resources={
            "postgres": PostgresResource(),
            "registry": RegistryResource(),
            "dataset": DatasetResource(),
            "mlflow": tracking(),
            "npz": NpzStorage(),
            "parquet": ParquetStorage(),
        }
        | dict(resources or {}),
    )


@code_location
def defs() -> Definitions:
    """What `dg`, the webserver and the daemon load."""
    return build()
