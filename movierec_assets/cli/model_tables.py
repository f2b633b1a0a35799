"""Versions of the model as tables and sentences on a terminal.

Belongs here: the text of `movierec model`. Does not: options (`cli.model`), the work (`host.model_versions`).
"""

from __future__ import annotations

import json
import re
from datetime import UTC
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets.models.decisions import Hold, Loss, Record
from movierec_assets.models.version_details import VersionDetails, VersionSummary
from movierec_assets.models.version_page import (
    ELAPSED_TITLE,
    HEADLINE_CUTOFF,
    METRICS,
    MOMENTS,
    RANKERS,
    RETURN,
    elapsed_rows,
    figures,
    is_elapsed_figure,
    ranker_rows,
)
from movierec_assets.recsys.evaluation import HEADLINE

_METRIC = re.compile(rf"(?:{'|'.join(METRICS)})_at_\d+")
_SCORE = re.compile(r"_at_\d+(?:_low|_high)?$")


def show_list(found: list[VersionSummary], holds: list[Hold], loss: Loss | None, console: Console) -> None:
    """Print a table of versions; below it the holds, and the loss of the champion."""
    if found:
        _show_table(found, console)
    else:
        console.print("There is no version yet; `movierec run` makes one.")
    for hold in holds:
        console.print(_held_back(hold))
    if loss is not None:
        console.print(f"[bold]{escape(str(loss))}[/]")


def show_released(number: int | None, released: list[Hold], holds: list[Hold], console: Console) -> None:
    """Print which versions training may promote again, and the remaining holds."""
    for hold in released:
        console.print(
            f"Version [bold]{hold.version}[/] is no longer held back: training may promote its recipe on its data "
            f"again. It was {_since(hold)}."
        )
    if not released:
        console.print("Nothing is held back." if number is None or not holds else f"Version {number} is not held back.")
    for hold in holds:
        console.print(_held_back(hold))


def _held_back(hold: Hold) -> str:
    release = f"`movierec model release {hold.version}` lets training promote it again."
    return f"Version [bold]{hold.version}[/] is {_since(hold)}. {release}"


def _since(hold: Hold) -> str:
    by = escape(f"{hold.held_by}: {hold.reason.rstrip('. ')}")
    return f"held back since {hold.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC by {by}"


def _show_table(found: list[VersionSummary], console: Console) -> None:
    table = Table()
    moments = [f"NDCG@10 {moment}" for moment in MOMENTS.values()]
    for heading in ("version", "aliases", "created (UTC)", "data", *moments, "decision", "reason"):
        table.add_column(heading, justify="right" if heading in ("version", *moments) else "left")
    for summary in found:
        version = summary.version
        table.add_row(
            str(version.number),
            escape(", ".join(summary.aliases)),
            f"{version.created:%Y-%m-%d %H:%M}" if version.created else "",
            escape(version.trained_on),
            *(_text(summary.metrics.get(f"{beginning}{HEADLINE}")) for beginning in MOMENTS),
            escape(" · ".join([summary.outcome or "", *(["held back"] if summary.hold else [])])),
            escape(summary.reason or ""),
            style="bold" if "champion" in summary.aliases else None,
        )
    console.print(table)


def show_details(details: VersionDetails, console: Console) -> None:
    """Print one version: the headline figure, then tables."""
    summary = details.summary
    aliases = f" ({', '.join(summary.aliases)})" if summary.aliases else ""
    created = f", created {summary.version.created:%Y-%m-%d %H:%M} UTC" if summary.version.created else ""
    trained = f", trained on {escape(summary.version.trained_on)}" if summary.version.trained_on else ""
    console.print(f"[bold]Version {summary.version.number}[/]{escape(aliases)}{created}{trained}")
    for moment, text in figures(summary.metrics).items():
        console.print(f"[bold]NDCG@10 {moment}[/] {text}")
    if summary.hold is not None:
        console.print(_held_back(summary.hold))
    for beginning, k in _parts(summary.metrics):
        console.print(_metrics_at(k, summary.metrics, beginning))
    headings, rows = elapsed_rows(summary.metrics)
    if headings:
        console.print(_of_rankers(ELAPSED_TITLE, headings, rows))
    console.print("[dim]Gini coefficient, novelty and others: --json[/]")
    for title, values in _sections(details):
        _show_values(title, values, console)
    _show_decisions(details.decisions, console)


def _cutoffs(metrics: dict[str, float]) -> list[int]:
    """Lengths of lists that were scored, the one of the headline first."""
    found = {int(name.rsplit("_at_", 1)[1]) for name in metrics if _METRIC.fullmatch(name)}
    return sorted(found, key=lambda k: (k != HEADLINE_CUTOFF, k))


def _parts(metrics: dict[str, float]) -> list[tuple[str, int]]:
    """Moments and lengths of lists that were scored: first those of the headline, side by side."""
    lengths = _cutoffs(metrics)
    returned = [(RETURN, HEADLINE_CUTOFF)] if f"{RETURN}{HEADLINE}" in metrics else []
    return [*(("", k) for k in lengths[:1]), *returned, *(("", k) for k in lengths[1:])]


def _metrics_at(k: int, metrics: dict[str, float], beginning: str) -> Table:
    """Rankers as rows and metrics as columns, for one moment and one length of lists."""
    headings, rows = ranker_rows(metrics, k, beginning)
    return _of_rankers(_title(k, beginning), headings, rows)


def _of_rankers(title: str, headings: list[str], rows: list[tuple[str, list[float | None]]]) -> Table:
    table = _table_of_figures(title, "ranker", headings)
    for ranker, values in rows:
        table.add_row(ranker, *map(_text, values), style="bold" if ranker == RANKERS[""] else None)
    return table


def _title(k: int, beginning: str) -> str:
    return f"Lists of {k} {MOMENTS[beginning]}"


def _table_of_figures(title: str, first: str, headings: list[str]) -> Table:
    table = Table(first, title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _show_values(title: str, values: dict[str, Any], console: Console) -> None:
    if not values:
        return
    table = Table("name", "value", title=title, title_justify="left", show_header=False)
    for name, value in values.items():
        table.add_row(escape(name), escape(_text(value)))
    console.print(table)


def show_comparison(left: VersionDetails, right: VersionDetails, console: Console) -> None:
    """Print two versions side by side, with differences in bold."""
    if left.summary.version.learned != right.summary.version.learned:
        console.print(
            f"[yellow]Their figures cannot be compared: version {left.summary.version.number} was trained and scored "
            f"on {escape(left.summary.version.trained_on)}, version {right.summary.version.number} on "
            f"{escape(right.summary.version.trained_on)}.[/]"
        )
    _compare_metrics(left.summary, right.summary, console)
    for (title, mine), (_, other) in zip(_sections(left), _sections(right), strict=True):
        names = [*mine, *(name for name in other if name not in mine)]
        if not names:
            continue
        table = Table(title=title, title_justify="left")
        for heading in ("", f"version {left.summary.version.number}", f"version {right.summary.version.number}"):
            table.add_column(heading, overflow="fold")
        for name in names:
            a, b = mine.get(name), other.get(name)
            table.add_row(escape(name), escape(_text(a)), escape(_text(b)), style="bold" if a != b else "dim")
        console.print(table)


def _compare_metrics(left: VersionSummary, right: VersionSummary, console: Console) -> None:
    """Print a table for each moment and length of lists: both versions and their difference, metrics as columns."""
    both = left.metrics | right.metrics
    for beginning, k in _parts(both):
        names = [name for name in METRICS if f"{beginning}{name}_at_{k}" in both]
        table = _table_of_figures(_title(k, beginning), "", [f"{METRICS[name]}@{k}" for name in names])
        values = [[each.metrics.get(f"{beginning}{name}_at_{k}") for name in names] for each in (left, right)]
        for summary, row in zip((left, right), values, strict=True):
            table.add_row(f"version {summary.version.number}", *map(_text, row))
        differences = ["" if a is None or b is None else f"{b - a:+.4f}" for a, b in zip(*values, strict=True)]
        table.add_row("difference", *differences, style="bold")
        console.print(table)


def _sections(details: VersionDetails) -> list[tuple[str, dict[str, Any]]]:
    training = {
        name: value
        for name, value in sorted(details.summary.metrics.items())
        if not _SCORE.search(name) and not is_elapsed_figure(name)
    }
    provenance = {name: _readable(value) for name, value in details.provenance.items()}
    return [("Recipe", _without_needless_digits(details.recipe)), ("Training", training), ("Provenance", provenance)]


def _without_needless_digits(recipe: dict[str, Any]) -> dict[str, str]:
    return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in recipe.items()}


def _readable(value: str) -> str:
    """A JSON object as lines of names and values; any other text as it is."""
    if not value.startswith("{"):
        return value
    return "\n".join(f"{name}: {'none' if each is None else each}" for name, each in json.loads(value).items())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _show_decisions(decisions: list[Record], console: Console) -> None:
    table = Table(title="Decisions about it, newest first", title_justify="left")
    for heading in ("decision", "when (UTC)", "version", "outcome", "champion before", "by", "reason"):
        table.add_column(heading)
    for record in decisions:
        table.add_row(
            str(record.id),
            f"{record.decided_at:%Y-%m-%d %H:%M}",
            str(record.version),
            record.shown_outcome,
            str(record.previous or ""),
            escape(record.decided_by),
            escape(record.reason),
        )
    if decisions:
        console.print(table)
