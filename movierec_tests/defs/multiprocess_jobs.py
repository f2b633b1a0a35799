"""Jobs for Dagster's multiprocess executor, which finds them by importing this module in each step's process."""

import os
import signal

from dagster import (
    AssetExecutionContext,
    AssetSelection,
    Definitions,
    JobDefinition,
    RetryPolicy,
    asset,
    define_asset_job,
    multiprocess_executor,
)

from movierec_assets.definitions import build
from movierec_assets.resources.tracking import MlflowTrackingResource


@asset
def succeeds(context: AssetExecutionContext, tracking: MlflowTrackingResource) -> None:
    with tracking.run(context) as mlflow:
        mlflow.log_param("alpha", 1)


@asset
def raises(context: AssetExecutionContext, tracking: MlflowTrackingResource) -> None:
    with tracking.run(context) as mlflow:
        mlflow.log_param("alpha", 1)
        raise ValueError("the fit did not work out")


@asset(retry_policy=RetryPolicy(max_retries=1))
def recovers(context: AssetExecutionContext, tracking: MlflowTrackingResource) -> None:
    with tracking.run(context) as mlflow:
        mlflow.log_param("alpha", 1)
        mlflow.set_tag("attempt", str(context.retry_number + 1))
        if context.retry_number == 0:
            raise ValueError("the first time it did not work out")


@asset
def is_killed(context: AssetExecutionContext, tracking: MlflowTrackingResource) -> None:
    with tracking.run(context):
        os.kill(os.getpid(), signal.SIGKILL)


@asset
def comes_before() -> None:
    raise ValueError("there is nothing to train on")


@asset(deps=[comes_before])
def comes_after(context: AssetExecutionContext, tracking: MlflowTrackingResource) -> None:
    with tracking.run(context):
        pass


# A forked process has everything imported already. It has the variables of its server's start, so tests that use these
# jobs share one platform.
_PRELOADED = [__name__, "mlflow", "mlflow.store.tracking.sqlalchemy_store"]
_forked = multiprocess_executor.configured(
    {"start_method": {"forkserver": {"preload_modules": _PRELOADED}}}, name="forked"
)
_GRAPH = Definitions(
    assets=[succeeds, raises, recovers, is_killed, comes_before, comes_after],
    resources={"tracking": MlflowTrackingResource()},
    executor=_forked,
    jobs=[
        define_asset_job("succeeding", [succeeds]),
        define_asset_job("raising", [raises]),
        define_asset_job("recovering", [recovers]),
        define_asset_job("killed", [is_killed]),
        define_asset_job("failing_early", [comes_before, comes_after]),
    ],
)


def succeeding() -> JobDefinition:
    return _GRAPH.resolve_job_def("succeeding")


def raising() -> JobDefinition:
    return _GRAPH.resolve_job_def("raising")


def recovering() -> JobDefinition:
    return _GRAPH.resolve_job_def("recovering")


def killed() -> JobDefinition:
    return _GRAPH.resolve_job_def("killed")


def failing_early() -> JobDefinition:
    return _GRAPH.resolve_job_def("failing_early")


def fitting() -> JobDefinition:
    """The platform's own training step, in a process."""
    alone = define_asset_job("fitting", AssetSelection.assets("als_model").without_checks())
    return Definitions.merge(build(executor=multiprocess_executor), Definitions(jobs=[alone])).resolve_job_def(
        "fitting"
    )
