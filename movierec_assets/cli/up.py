"""`movierec up`.

Belongs here: options, help text, and the printed lines: addresses, warnings and errors of the servers, and runs.
Does not: the servers (`host.servers`), their log files (`host.server_lines`), or reading runs (`host.run_watch`).
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from movierec_assets.cli.shared import (
    DATASET_OPTION,
    console_for_people,
    console_log,
    settings_from,
    tell_kept_dataset,
)

if TYPE_CHECKING:
    from dagster import RunRecord


@click.command()
@DATASET_OPTION
@click.option("--verbose", is_flag=True, help="Show every line of the servers, sensor ticks included.")
def up(dataset: str | None, verbose: bool) -> None:
    """Start Postgres, the app, the API, MLflow, and Dagster's webserver and daemon; Ctrl-C stops all of them.

    Shown are the addresses, runs that start and end, warnings and errors. All lines of the servers are in files under
    logs/servers in the state directory.

    Ports: MOVIEREC_APP_PORT (8501), MOVIEREC_API_PORT (8000), MOVIEREC_DAGSTER_PORT (3000) and MOVIEREC_MLFLOW_PORT
    (5000), on this machine only. The daily schedules and the sensor that sees changed dataset files are on. Without a
    dataset, the one that is loaded is watched.
    """
    from movierec_assets.host.environment import running_databases
    from movierec_assets.host.servers import serve

    console = console_for_people()
    with running_databases(settings_from(dataset), console_log(console)) as settings:
        tell_kept_dataset(settings, console)
        sys.exit(serve(settings, _Screen(console, verbose=verbose)))


class _Screen:
    """Prints events of servers and runs; a `host.listeners.ServersListener`."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._stopping = False

    def warned(self, text: str) -> None:
        self._print(f"[yellow]{escape(text)}[/]")

    def starting(self) -> None:
        self._print("[dim]Starting the servers[/]")

    def answering(self, addresses: dict[str, str], logs: Path) -> None:
        self._print()
        for name, address in addresses.items():
            self._print(f"[bold green]{name:<8}[/] [link={address}]{address}[/link]")
        self._print(f"[dim]Lines of the servers are in {escape(str(logs))}[/]")
        self._print("[dim]Ctrl-C stops everything.[/]\n")

    def line(self, server: str, text: str, level: str | None, at: datetime) -> None:
        if self._verbose:
            self._print(f"[dim]{at:%H:%M:%S} {escape(server):<7} | [/]{escape(text)}")
        elif level is not None:
            from movierec_assets.host.server_lines import WARNING, without_time

            colour = "yellow" if level == WARNING else "red"
            self._print(f"[{colour}]{escape(f'{server}: {without_time(text)}')}[/]")

    def stopping(self) -> None:
        self._stopping = True
        if not self._verbose:
            self._print("[dim]Stopping[/]")

    def died(self, server: str, status: int, log: Path, last: list[str]) -> None:
        self._print(
            f"[bold red]{server} ended by itself, with exit status {status}; the others were stopped.[/] "
            f"Its last lines, of {escape(str(log))}:"
        )
        for line in last:
            self._print(f"  {escape(line)}")

    def run_started(self, record: RunRecord) -> None:
        self._print_run(record, "[bold]▶[/]", "started")

    def run_ended(self, record: RunRecord, problem: str) -> None:
        run = record.dagster_run
        took = ""
        if record.start_time is not None and record.end_time is not None:
            took = f" in {_duration(record.end_time - record.start_time)}"
        if run.is_success:
            self._print_run(record, "[green]✓[/]", f"succeeded{took}")
        elif run.is_failure and self._stopping:
            self._print_run(record, "[yellow]![/]", f"[yellow]stopped with the servers[/]{took}")
        elif run.is_failure:
            self._print_run(record, "[red]✗[/]", f"[red]failed[/]{took}{escape(problem and f': {problem}')}")
        else:
            self._print_run(record, "[yellow]![/]", f"[yellow]canceled[/]{took}")

    def _print_run(self, record: RunRecord, symbol: str, event: str) -> None:
        run = record.dagster_run
        self._print(
            f"[dim]{datetime.now().astimezone():%H:%M:%S}[/] {symbol} run of [bold]{escape(run.job_name)}[/] "
            f"[dim]{run.run_id[:8]}[/] {event}"
        )

    def _print(self, text: str = "") -> None:
        self._console.print(text, soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
