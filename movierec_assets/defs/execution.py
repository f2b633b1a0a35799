"""How a run is executed: its steps in one process, and never two runs at once.

Belongs here: the executor. Every run has a process of its own already. A process for each of its twenty steps would
spend more time on imports than on the steps. Does not: the lock that a run holds (`resources.exclusive`).

Dagster concept: run executors, https://docs.dagster.io/guides/operate/run-executors
"""

from collections.abc import Iterator
from typing import Any

from dagster import DagsterEvent, Executor, InitExecutorContext, executor
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from movierec_assets.resources.exclusive import exclusive_run
from movierec_assets.resources.kept_connections import keep_connections
from movierec_assets.resources.memory import reset_peak
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import Database


class OneRunAtATime(InProcessExecutor):
    """Dagster's in-process executor, which waits until no other run executes.

    The daemon's queue does the same for the runs in it; a run from the command line is not in it.
    """

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[DagsterEvent]:
        """Execute the steps after other runs have ended."""
        keep_connections(plan_context.instance)
        database = Database(get_settings().databases.ratings)

        def wait() -> None:
            plan_context.log.info("Waiting for another run to end")

        with exclusive_run(database, plan_context.run_id, wait) as locks:
            for event in super().execute(plan_context, execution_plan):
                if event.is_step_start:
                    locks.require()
                    reset_peak()
                yield event


@executor(name="one_run_at_a_time")
def one_run_at_a_time(_context: InitExecutorContext) -> Executor:
    """Steps in one process, one run at a time."""
    return OneRunAtATime(retries=RetryMode.ENABLED)
