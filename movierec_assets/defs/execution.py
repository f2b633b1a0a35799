"""How a run is executed: its steps in one process, and one run at a time.

Belongs here: the executors. Every run has a process of its own already. A process for each of its twenty steps would
spend more time on imports than on the steps. Does not: the lock that a run holds (`resources.exclusive`).

Dagster concept: run executors, https://docs.dagster.io/guides/operate/run-executors
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from dagster import DagsterEvent, Executor, InitExecutorContext, executor
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from movierec_assets.errors import ExplainedError
from movierec_assets.resources.exclusive import exclusive_run, live_run
from movierec_assets.resources.io_managers import inputs_of
from movierec_assets.resources.kept_artifacts import keeping
from movierec_assets.resources.kept_connections import keep_connections
from movierec_assets.resources.memory import give_back, reset_peak
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.reused_connection import reusing_connections


class InterruptedRunError(ExplainedError):
    """A step failed after Postgres was restarted under its run. Dagster starts such a run again, as after a crash."""


class InOneProcess(InProcessExecutor):
    """Dagster's in-process executor, which shows that its run is alive.

    Parameters
    ----------
    retries : RetryMode
    alone : bool
        Whether it waits until no other such run executes. The daemon's queue does the same for the runs in it; a run
        from the command line is not in it.
    """

    def __init__(self, retries: RetryMode, *, alone: bool) -> None:
        super().__init__(retries=retries)
        self._alone = alone

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[DagsterEvent]:
        """Execute the steps."""
        keep_connections(plan_context.instance)
        database = Database(get_settings().databases.ratings)

        def wait() -> None:
            plan_context.log.info("Waiting for another run to end")

        run_id = plan_context.run_id
        lock = exclusive_run(database, run_id, wait) if self._alone else live_run(database, run_id)
        job, steps = plan_context.job.get_definition(), execution_plan.get_steps_to_execute_in_topo_order()
        readers = Counter(asset for step in steps for asset in inputs_of(job, step))
        with lock as locks, keeping(readers), reusing_connections():
            for event in super().execute(plan_context, execution_plan):
                if event.is_step_start:
                    locks.require()
                    give_back()
                    reset_peak()
                yield event
                if event.is_step_failure and locks.interrupted():
                    raise InterruptedRunError(
                        f"Postgres was restarted while this run executed, and the step {event.step_key} failed. The "
                        "run counts as crashed: another one does its work."
                    )


@executor(name="one_run_at_a_time")
def one_run_at_a_time(_context: InitExecutorContext) -> Executor:
    """Steps in one process, one run at a time."""
    return InOneProcess(RetryMode.ENABLED, alone=True)


@executor(name="beside_other_runs")
def beside_other_runs(_context: InitExecutorContext) -> Executor:
    """Steps in one process, beside other runs; for jobs that change neither tables of ratings nor matrices."""
    return InOneProcess(RetryMode.ENABLED, alone=False)
