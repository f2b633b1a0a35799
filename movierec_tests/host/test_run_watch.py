"""Runs that `movierec up` reports, from a real Dagster instance."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterInstance, DagsterRunStatus, Failure, JobDefinition, OpExecutionContext, job, op
from rich.console import Console

from movierec_assets.cli.up import _Screen
from movierec_assets.host.run_watch import Runs


@op
def works(context: OpExecutionContext) -> None:
    context.log.info("working")


@op
def breaks() -> None:
    raise Failure("ratings.csv, line 7: no column rating\nand more of it")


@job
def good() -> None:
    works()


@job
def bad() -> None:
    breaks()


@dataclass
class Watched:
    """An instance, and the lines that were printed about its runs."""

    instance: DagsterInstance
    console: Console

    def watcher(self, since: datetime | None = None) -> Runs:
        return Runs(self.instance, _Screen(self.console), since or datetime.now(UTC))

    def execute(self, what: JobDefinition) -> str:
        return what.execute_in_process(instance=self.instance, raise_on_error=False).run_id

    @property
    def lines(self) -> list[str]:
        """Lines without the time of day and durations."""
        text = self.console.file.getvalue()  # type: ignore[attr-defined]
        return [re.sub(r"^\d\d:\d\d:\d\d | in [\d.]+ s", "", line) for line in text.splitlines()]


@pytest.fixture
def watched() -> Iterator[Watched]:
    with DagsterInstance.ephemeral() as instance:
        yield Watched(instance, Console(file=io.StringIO(), width=80))


def test_a_run_is_reported_when_it_starts_and_when_it_ends_once(watched: Watched) -> None:
    runs = watched.watcher()
    run_id = watched.execute(good)
    for _ in range(3):
        runs.poll()
    assert watched.lines == [f"▶ run of good {run_id[:8]} started", f"✓ run of good {run_id[:8]} succeeded"]
    assert "\x1b" not in watched.console.file.getvalue()  # type: ignore[attr-defined]


def test_a_failed_run_is_reported_with_its_step_and_the_first_line_of_the_error(watched: Watched) -> None:
    runs = watched.watcher()
    run_id = watched.execute(bad)
    runs.poll()
    failed = f"✗ run of bad {run_id[:8]} failed: breaks: ratings.csv, line 7: no column rating"
    assert watched.lines == [f"▶ run of bad {run_id[:8]} started", failed]


def test_a_waiting_run_is_not_reported_and_a_canceled_one_is(watched: Watched) -> None:
    runs = watched.watcher()
    waiting = watched.instance.create_run_for_job(good, status=DagsterRunStatus.NOT_STARTED)
    runs.poll()
    assert watched.lines == []
    watched.instance.report_run_canceled(waiting)
    runs.poll()
    assert watched.lines == [f"! run of good {waiting.run_id[:8]} canceled"]


def test_a_run_that_ends_with_the_servers_is_not_called_failed(watched: Watched) -> None:
    screen = _Screen(watched.console)
    runs = Runs(watched.instance, screen, datetime.now(UTC))
    screen.stopping()
    run_id = watched.execute(bad)
    runs.poll()
    assert watched.lines[-1] == f"! run of bad {run_id[:8]} stopped with the servers"


def test_runs_that_ended_before_are_not_reported(watched: Watched) -> None:
    watched.execute(bad)
    runs = watched.watcher(since=datetime.now(UTC) + timedelta(seconds=5))
    runs.poll()
    assert watched.lines == []
