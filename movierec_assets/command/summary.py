"""What a run came to, as the last screen of `movierec run` shows it.

Belongs here: reading the results and laying them out. Following the run is in `run`.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets.command.run import Report
from movierec_assets.resources.database import SCHEMA, Database
from movierec_assets.settings import Settings
from movierec_assets.sql import read_sql

_METRICS = ("precision_at_10", "recall_at_10", "map_at_10", "ndcg_at_10", "hit_rate_at_10", "coverage_at_10")


@dataclass(frozen=True)
class Sample:
    """A user with favourites and recommendations, as titles."""

    user_id: int
    favourites: list[str]
    recommended: list[str]


def samples(database: Database, users: int = 5) -> list[Sample]:
    """Users with many likes, spread over the ids, and what they are recommended."""
    return [Sample(*row) for row in database.rows(read_sql("sample_recommendations"), {"users": users})]


def show_success(report: Report, settings: Settings, database: Database, console: Console) -> None:
    """Lay out dataset, counts, metrics, champion, sample users, and where to look next."""
    facts = report.metadata
    ratings = facts.get("raw_ratings", {})
    evaluation, champion = facts.get("model_evaluation", {}), facts.get("champion_model", {})
    console.print()
    if ratings:
        kept = "" if ratings["reloaded"] else ", unchanged since the last run"
        console.print(
            f"[bold]Dataset[/]    {escape(ratings['dataset'])}: {ratings['dagster/row_count']:,} ratings of "
            f"{ratings['rated_movies']:,} movies{kept}"
        )
        if ratings["rejected_rows"]:
            console.print(
                f"           [yellow]{ratings['rejected_rows']:,} rows did not load, see {SCHEMA}.rejected_ratings[/]"
            )
    positives, written = facts.get("positive_ratings", {}), facts.get("user_recommendations", {})
    if positives:
        console.print(
            f"[bold]Learned[/]    from {positives['dagster/row_count']:,} likes of {positives['users']:,} users "
            f"for {positives['movies']:,} movies"
        )
    if search := facts.get("hyperparameters", {}):
        console.print(
            f"[bold]Search[/]     {search['trials']} recipes, the best with NDCG@10 "
            f"{search['best_validation_ndcg_at_10']:.4f} on validation: {search['outcome']}"
        )
    if evaluation:
        console.print(_metrics(evaluation))
    if champion:
        console.print(
            f"[bold]Champion[/]   version {champion['champion_version']} ({champion['outcome']}: "
            f"{escape(champion['reason'])})"
        )
    if written:
        console.print(
            f"[bold]Written[/]    {written['dagster/row_count']:,} recommendations for {written['users']:,} users"
        )
        console.print(_samples(samples(database)))
    for warning in report.warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
    console.print("[bold]Next[/]       movierec up                        the asset graph and MLflow in the browser")
    if written:
        console.print("           movierec recommend --user 42       from the champion, with live history")
        console.print('           movierec recommend --like "Toy Story" --like "Heat"')
    console.print(f"           [dim]run {report.run_id}, log {report.log}[/]", soft_wrap=True)


def show_failure(report: Report, console: Console) -> None:
    """Say why, on the last lines."""
    console.print()
    console.print(
        "[bold red]The run failed.[/] Tables and champion are as far as the last asset that succeeded left them."
    )
    console.print(f"[dim]Run {report.run_id}; everything it printed is in {report.log}[/]", soft_wrap=True)
    for failure in report.failures:
        console.print(f"[red]{escape(failure)}[/]", soft_wrap=True)


def _metrics(evaluation: dict[str, object]) -> Table:
    table = Table(title=f"Latest likes of {evaluation['evaluated_users']:,} users, held out", title_justify="left")
    table.add_column("at 10")
    table.add_column("als", justify="right", style="bold")
    table.add_column("popularity", justify="right")
    for name in _METRICS:
        model, popularity = evaluation[name], evaluation[f"popularity_{name}"]
        table.add_row(name.removesuffix("_at_10").replace("_", " "), f"{model:.4f}", f"{popularity:.4f}")
    return table


def _samples(found: list[Sample]) -> Table:
    table = Table(title="Five users", title_justify="left", show_lines=True)
    table.add_column("user", justify="right")
    table.add_column("likes", ratio=1)
    table.add_column("is recommended", ratio=1)
    for sample in found:
        table.add_row(str(sample.user_id), escape("\n".join(sample.favourites)), escape("\n".join(sample.recommended)))
    return table
