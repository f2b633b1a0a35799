"""The code location: everything that Dagster loads.

Belongs here: the list of assets, checks, jobs, schedules, sensors and resources. Does not: their definitions (`defs`,
`resources`).

Dagster concept: https://docs.dagster.io/guides/build/projects-and-components
"""

from collections.abc import Mapping
from typing import Any

from dagster import Definitions, ExecutorDefinition, load_asset_checks_from_modules
from dagster import definitions as code_location

from movierec_assets.defs import (
    alerting,
    automation,
    backtest,
    backup,
    catch_up,
    charts,
    checks,
    evaluation,
    feedback,
    ingestion,
    jobs,
    list_checks,
    maintenance,
    next_movies,
    nightly,
    preprocessing,
    promotion,
    promotion_jobs,
    publishing,
    recommendations,
    rejections,
    return_evaluation,
    training,
    tuning,
)
from movierec_assets.defs.automation import switched
from movierec_assets.defs.code_references import load_assets
from movierec_assets.defs.execution import one_run_at_a_time
from movierec_assets.defs.freshness import with_freshness
from movierec_assets.resources.configurable import DatasetResource, PostgresResource, RegistryResource
from movierec_assets.resources.io_managers import NpzStorage, ParquetStorage
from movierec_assets.resources.tracking import MlflowTrackingResource
from movierec_assets.settings import get_settings


def build(resources: Mapping[str, Any] | None = None, executor: ExecutorDefinition = one_run_at_a_time) -> Definitions:
    """Assemble the platform; tests replace resources by name, and the executor."""
    settings = get_settings()
    return Definitions(
        assets=with_freshness(
            load_assets(
                [
                    *(ingestion, preprocessing, tuning, next_movies, training, return_evaluation, evaluation),
                    *(promotion, recommendations, charts, feedback, backtest),
                ]
            )
        ),
        asset_checks=load_asset_checks_from_modules([checks, list_checks, charts, backtest]),
        jobs=[*jobs.JOBS, backtest.backtest_job, backup.backup_job, maintenance.maintenance, *promotion_jobs.JOBS],
        schedules=switched(automation.schedules(settings.timezone), on=settings.automation),
        sensors=switched(
            [
                catch_up.dataset_file_sensor,
                nightly.late_training,
                automation.dead_runs,
                publishing.champion_sensor,
                rejections.rejected_challengers,
                alerting.alerts,
            ],
            on=settings.automation,
        ),
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
    """Definitions that `dg`, the webserver and the daemon load."""
    return build()
