"""Limits of runs: the pool that lets one run work at a time, run-time limits, and retries after a crash.

Belongs here: the tags that Dagster reads, and the pool. Does not: when runs start (`automation`), the instance's own
limits (dagster.yaml).

Dagster concepts: https://docs.dagster.io/guides/operate/managing-concurrency,
https://docs.dagster.io/deployment/execution/run-retries, https://docs.dagster.io/deployment/execution/run-monitoring
"""

from collections.abc import Mapping
from datetime import timedelta

from dagster import DagsterRun, DagsterRunStatus

POOL = "tables_and_models"
"""Runs share tables and artifacts, so the queue starts one run with steps of this pool at a time."""

DAY_TAG = "movierec/day"
"""Tag of runs that a schedule starts: the day of the tick, in the time zone of the schedules."""

MAX_RUNTIME = "dagster/max_runtime"
MAX_RETRIES = "dagster/max_retries"
_STRATEGY = "dagster/retry_strategy"
_PRIORITY = "dagster/priority"
_WILL_RETRY, _RETRIED_AS = "dagster/will_retry", "dagster/auto_retry_run_id"


def limits(longest: timedelta, retries: int = 2, priority: int = 0) -> Mapping[str, str]:
    """Tags of a job.

    Parameters
    ----------
    longest : timedelta
        A run that takes longer is ended, and counts as failed.
    retries : int
        How often a run is started again when its process was killed. A step that raised an error is no crash: it would
        raise it again.
    priority : int
        Of several queued runs, the one with the highest number starts first. When a machine wakes, all are due at once.
    """
    # All steps: those whose sources are unchanged end at once, and the checks of one challenger stay in one run.
    return {
        MAX_RUNTIME: str(round(longest.total_seconds())),
        MAX_RETRIES: str(retries),
        _STRATEGY: "ALL_STEPS",
        _PRIORITY: str(priority),
    }


def will_be_retried(run: DagsterRun) -> bool:
    """Whether Dagster starts a failed run again, and has not done so yet.

    A run of the command line has no origin, without which Dagster cannot start it, although it marks it.
    """
    crashed = run.status is DagsterRunStatus.FAILURE and run.tags.get(_WILL_RETRY) == "true"
    return crashed and run.remote_job_origin is not None and _RETRIED_AS not in run.tags
