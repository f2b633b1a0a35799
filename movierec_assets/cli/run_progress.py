"""Progress of `movierec run`: a line for each event of the run, as it happens.

Belongs here: the text of events. Does not: starting and following the run (`host.run`), or the last screen
(`run_summary`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from movierec_assets.cli.shared import Throttle
from movierec_assets.host.listeners import RunListener


@contextmanager
def run_lines(console: Console) -> Iterator[RunListener]:
    """A listener that prints the events of a run; a terminal also gets a moving line."""
    with console.status("Starting Dagster") as status:
        yield _RunLines(console, status)


class _RunLines(RunListener):
    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._throttle = Throttle()

    def warned(self, text: str) -> None:
        self._console.print(f"[yellow]{escape(text)}[/]")

    def logged(self, step: str | None, text: str, *, warning: bool) -> None:
        line = escape(text if step is None else f"{step}: {text}")
        self._status.update(line)
        if step is not None and warning:
            self.warned(f"! {text}")
        elif step is None or (not self._console.is_terminal and self._throttle.is_due()):
            self._console.print(f"[dim]{line}[/]")

    def started(self, step: str) -> None:
        self._status.update(escape(f"{step}: started"))

    def materialized(self, asset: str, metadata: dict[str, Any], seconds: float) -> None:
        rows = metadata.get("dagster/row_count")
        notes = [f"{rows:,} rows"] if rows is not None else []
        if "transitions" in metadata:
            notes = [f"{metadata['transitions']:,} transitions" if metadata["transitions"] else "no next-movie signal"]
        if "months_of_run" in metadata:
            notes.append(f"months: {metadata['months_of_run']:,}")
        if "model_version" in metadata:
            notes.append(f"version {metadata['model_version']}")
        if metadata.get("appended_rows"):
            notes.append(f"{metadata['appended_rows']:,} new")
        if "start" in metadata:
            notes.append(f"{metadata['start'].partition(':')[0]} start, {metadata['iterations']} iterations")
        if asset == "als_model" and metadata.get("unchanged"):
            notes.append("unchanged, not trained again")
        if metadata.get("reloaded") is False:
            notes.append("unchanged, not reloaded")
        self._console.print(f"[green]✓[/] [bold]{escape(asset):<22}[/] {', '.join(notes):<42}  [dim]{seconds:.1f} s[/]")

    def checked(self, check: str, problem: str | None, *, blocking: bool) -> None:
        if problem is None:
            self._console.print(f"[green]✓[/] [dim]check {escape(check)}[/]")
        elif blocking:
            self._console.print(f"[red]✗ {escape(problem)}[/]")
        else:
            self.warned(f"! {problem}")

    def failed(self, step: str) -> None:
        self._console.print(f"[red]✗ {escape(step)}[/]")
