"""`movierec model`: versions of the registry as a person wants to see and change them.

Belongs here: putting together what registry and history know of a version, laying it out, and letting the tables
follow a change. Changing the champion is `models.decisions`' work, publishing the job `publish`'s.
"""

from __future__ import annotations

import getpass
import json
import re
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets.cli.run_progress import run_lines
from movierec_assets.host import CommandError
from movierec_assets.host.run import run_job
from movierec_assets.models.decisions import Hold, Loss, OtherData, Promotions, Record
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import Version
from movierec_assets.models.version_page import HEADLINE, HEADLINE_CUTOFF, METRICS, RANKERS, figures, ranker_rows
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database

_METRIC = re.compile(rf"(?:{'|'.join(METRICS)})_at_\d+")
_SCORE = re.compile(r"_at_\d+(?:_low|_high)?$")
_DECISION_TAGS = ("promotion_outcome", "promotion_reason", "promotion_dagster_run_id")


@dataclass(frozen=True)
class Summary:
    """A version in a list."""

    version: Version
    aliases: list[str]
    metrics: dict[str, float]
    hold: Hold | None = None

    @property
    def outcome(self) -> str | None:
        """What was decided about it last."""
        return self.version.tags.get("promotion_outcome")

    @property
    def reason(self) -> str | None:
        """Why."""
        return self.version.tags.get("promotion_reason")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "version": self.version.number,
            "aliases": self.aliases,
            "created": self.version.created.isoformat() if self.version.created else None,
            "dataset": self.version.dataset.name if self.version.dataset else None,
            "dataset_id": self.version.dataset.id if self.version.dataset else None,
            "positive_threshold": self.version.positive_threshold,
            "outcome": self.outcome,
            "reason": self.reason,
            "metrics": self.metrics,
            "held_back": self.hold.as_dict() if self.hold else None,
        }


@dataclass(frozen=True)
class Details:
    """Everything that is known of a version."""

    summary: Summary
    decisions: list[Record]

    @property
    def recipe(self) -> dict[str, Any]:
        """Recipe it was trained with, as it was recorded."""
        recipe = json.loads(self.summary.version.tags.get("recipe", "{}"))
        return dict(recipe) if isinstance(recipe, dict) else {}

    @property
    def shown_recipe(self) -> dict[str, str]:
        """The recipe without needless digits."""
        return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in self.recipe.items()}

    @property
    def provenance(self) -> dict[str, str]:
        """What it was made from, by what, and where it is."""
        version = self.summary.version
        tags = {name: text for name, text in version.provenance.items() if name not in ("recipe", *_DECISION_TAGS)}
        return dict(sorted(tags.items())) | {"mlflow_run_id": version.run_id, "source": version.source}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return self.summary.as_dict() | {
            "recipe": self.recipe,
            "provenance": self.provenance,
            "decisions": [record.as_dict() for record in self.decisions],
        }


@dataclass(frozen=True)
class Models:
    """The registry and its history."""

    registry: ModelRegistry
    promotions: Promotions
    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The platform's."""
        registry = ModelRegistry(settings.mlflow_uri, settings.artifacts)
        return cls(registry, Promotions(registry, Database(settings.databases.ratings)), settings)

    def newest(self, count: int) -> list[Summary]:
        """The newest versions and whatever has an alias, newest first."""
        with self.registry.reachable():
            aliases = self.registry.aliases()
            versions = self.registry.versions()
            holds = self.promotions.holds()
            return [
                Summary(
                    version,
                    aliases.get(version.number, []),
                    self.registry.metrics(version),
                    _hold_of(version, holds),
                )
                for place, version in enumerate(versions)
                if place < count or version.number in aliases
            ]

    def details(self, number: int | None) -> Details:
        """A version, or the champion.

        Raises
        ------
        NoSuchVersionError, NoChampionError, RegistryUnavailableError
        """
        with self.registry.reachable():
            version = self.promotions.champion() if number is None else self.registry.version(number)
            aliases = self.registry.aliases().get(version.number, [])
            hold = _hold_of(version, self.promotions.holds())
            summary = Summary(version, aliases, self.registry.metrics(version), hold)
        return Details(summary, self.promotions.history(version=version.number))

    def promote(self, number: int, reason: str, *, force: bool) -> Record:
        """Make a version the champion."""
        return self.promotions.promote(number, reason, f"movierec model promote ({getpass.getuser()})", force=force)

    def rollback(self, reason: str, *, force: bool) -> Record:
        """Return to the previous champion."""
        return self.promotions.rollback(reason, f"movierec model rollback ({getpass.getuser()})", force=force)

    def release(self, number: int | None) -> list[Hold]:
        """Let training promote again what is held back; returns the holds that this ends."""
        return self.promotions.release(f"movierec model release ({getpass.getuser()})", number)

    def holds(self) -> list[Hold]:
        """What is held back."""
        return self.promotions.holds()

    def loss(self) -> Loss | None:
        """How the champion was lost; None when there is one, or never was one."""
        return self.promotions.loss()

    def other_data(self, record: Record) -> OtherData | None:
        """Tell a promoted version of other data than is loaded."""
        return self.promotions.other_data(self.registry.version(record.version))

    def publish(self, record: Record, console: Console) -> None:
        """Let the serving tables follow a decision, in a Dagster run.

        Raises
        ------
        CommandError
            When the run fails.
        """
        from dagster import DagsterInstance

        from movierec_assets.defs.decision_metadata import champion_event

        with DagsterInstance.get() as instance:
            instance.report_runless_asset_event(champion_event(record, self.promotions))
        with run_lines(console) as listener:
            report = run_job("publish", self.settings, listener)
        if not report.succeeded:
            why = "\n".join(report.failures)
            raise CommandError(
                f"Version {record.version} is the champion, but its recommendations could not be written; the tables "
                f"are as they were. Run `movierec run --job publish` when this is mended:\n{why}\n"
                f"Run {report.run_id}; everything it printed is in {report.log}"
            )


def show_list(found: list[Summary], holds: list[Hold], loss: Loss | None, console: Console) -> None:
    """Lay out versions, one a line; below them what is held back, and the loss of the champion."""
    if found:
        _show_table(found, console)
    else:
        console.print("There is no version yet; `movierec run` makes one.")
    for hold in holds:
        console.print(_held_back(hold))
    if loss is not None:
        console.print(f"[bold]{escape(str(loss))}[/]")


def show_released(number: int | None, released: list[Hold], holds: list[Hold], console: Console) -> None:
    """Say what training may promote again, and what stays held back."""
    for hold in released:
        console.print(
            f"Version [bold]{hold.version}[/] is no longer held back: training may promote its recipe on its data "
            f"again. It was {_since(hold)}."
        )
    if not released:
        console.print("Nothing is held back." if number is None or not holds else f"Version {number} is not held back.")
    for hold in holds:
        console.print(_held_back(hold))


def _hold_of(version: Version, holds: list[Hold]) -> Hold | None:
    return next((hold for hold in holds if hold.covers_version(version)), None)


def _held_back(hold: Hold) -> str:
    release = f"`movierec model release {hold.version}` lets training promote it again."
    return f"Version [bold]{hold.version}[/] is {_since(hold)}. {release}"


def _since(hold: Hold) -> str:
    by = escape(f"{hold.held_by}: {hold.reason.rstrip('. ')}")
    return f"held back since {hold.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC by {by}"


def _show_table(found: list[Summary], console: Console) -> None:
    table = Table()
    for heading in ("version", "aliases", "created (UTC)", "data", "NDCG@10", "decision", "reason"):
        table.add_column(heading, justify="right" if heading in ("version", "NDCG@10") else "left")
    for summary in found:
        version, ndcg = summary.version, summary.metrics.get(HEADLINE)
        table.add_row(
            str(version.number),
            escape(", ".join(summary.aliases)),
            f"{version.created:%Y-%m-%d %H:%M}" if version.created else "",
            escape(version.trained_on),
            "" if ndcg is None else f"{ndcg:.4f}",
            escape(" · ".join([summary.outcome or "", *(["held back"] if summary.hold else [])])),
            escape(summary.reason or ""),
            style="bold" if "champion" in summary.aliases else None,
        )
    console.print(table)


def show_details(details: Details, console: Console) -> None:
    """Lay out one version: the headline figure, then tables."""
    summary = details.summary
    aliases = f" ({', '.join(summary.aliases)})" if summary.aliases else ""
    created = f", created {summary.version.created:%Y-%m-%d %H:%M} UTC" if summary.version.created else ""
    trained = f", trained on {escape(summary.version.trained_on)}" if summary.version.trained_on else ""
    console.print(f"[bold]Version {summary.version.number}[/]{escape(aliases)}{created}{trained}")
    if HEADLINE in summary.metrics:
        console.print(f"[bold]NDCG@10[/] {figures(summary.metrics)}")
    if summary.hold is not None:
        console.print(_held_back(summary.hold))
    for k in _cutoffs(summary.metrics):
        console.print(_metrics_at(k, summary.metrics))
    console.print("[dim]Gini coefficient, novelty and others: --json[/]")
    for title, values in _sections(details):
        _show_values(title, values, console)
    _show_decisions(details.decisions, console)


def _cutoffs(metrics: dict[str, float]) -> list[int]:
    """Lengths of lists that were scored, the headline's first."""
    found = {int(name.rsplit("_at_", 1)[1]) for name in metrics if _METRIC.fullmatch(name)}
    return sorted(found, key=lambda k: (k != HEADLINE_CUTOFF, k))


def _metrics_at(k: int, metrics: dict[str, float]) -> Table:
    """Rankers as rows and metrics as columns, for one length of lists."""
    headings, rows = ranker_rows(metrics, k)
    table = Table(title=f"Lists of {k}", title_justify="left")
    table.add_column("ranker")
    for heading in headings:
        table.add_column(heading, justify="right")
    for ranker, values in rows:
        table.add_row(ranker, *map(_text, values), style="bold" if ranker == RANKERS[""] else None)
    return table


def _show_values(title: str, values: dict[str, Any], console: Console) -> None:
    if not values:
        return
    table = Table("name", "value", title=title, title_justify="left", show_header=False)
    for name, value in values.items():
        table.add_row(escape(name), escape(_text(value)))
    console.print(table)


def _problem(version: Version) -> tuple[int | None, float | None]:
    return version.dataset.id if version.dataset else None, version.positive_threshold


def show_comparison(left: Details, right: Details, console: Console) -> None:
    """Lay out two versions side by side; what differs is bold."""
    if _problem(left.summary.version) != _problem(right.summary.version):
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


def _compare_metrics(left: Summary, right: Summary, console: Console) -> None:
    """One table a length of lists: metrics as columns, and as rows both versions and their difference."""
    both = left.metrics | right.metrics
    for k in _cutoffs(both):
        names = [name for name in METRICS if f"{name}_at_{k}" in both]
        table = Table(title=f"Lists of {k}", title_justify="left")
        table.add_column("")
        for name in names:
            table.add_column(f"{METRICS[name]}@{k}", justify="right")
        values = [[each.metrics.get(f"{name}_at_{k}") for name in names] for each in (left, right)]
        for summary, row in zip((left, right), values, strict=True):
            table.add_row(f"version {summary.version.number}", *map(_text, row))
        differences = ["" if a is None or b is None else f"{b - a:+.4f}" for a, b in zip(*values, strict=True)]
        table.add_row("difference", *differences, style="bold")
        console.print(table)


def _sections(details: Details) -> list[tuple[str, dict[str, Any]]]:
    training = {name: value for name, value in sorted(details.summary.metrics.items()) if not _SCORE.search(name)}
    return [("Recipe", details.shown_recipe), ("Training", training), ("Provenance", details.provenance)]


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
            record.outcome + ("" if record.state == "done" else f" ({record.state})"),
            str(record.previous or ""),
            escape(record.decided_by),
            escape(record.reason),
        )
    if decisions:
        console.print(table)
