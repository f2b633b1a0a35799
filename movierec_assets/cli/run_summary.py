"""The last screen of `movierec run`.

Belongs here: the text about the result of a run. Does not: lines during the run (`run_progress`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from movierec_assets.cli.backtest_summary import show_backtest
from movierec_assets.datasets.causes import likely_cause, reason_named
from movierec_assets.datasets.judgement import reason_line
from movierec_assets.datasets.sources.find import holds_movies
from movierec_assets.host.run_events import Report
from movierec_assets.models.version_page import MOMENTS
from movierec_assets.recsys.evaluation import SHOWN
from movierec_assets.sql import read_sql
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import Rejected, rejected_by_reason


def show_success(report: Report, database: Database, console: Console) -> None:
    """Print dataset, counts, metrics, champion, example users, and the next commands."""
    facts = report.metadata
    console.print()
    _show_data(facts, console)
    if search := facts.get("hyperparameters", {}):
        console.print(
            f"[bold]Search[/]     {search['trials']} recipes, the best with NDCG@10 "
            f"{search['best_validation_ndcg_at_10']:.4f} on validation of {escape(str(search['dataset']))}: "
            f"{search['outcome']}"
        )
    evaluation, champion = facts.get("model_evaluation", {}), facts.get("champion_model", {})
    if evaluation:
        returned = facts.get("return_evaluation", {})
        console.print(_metrics(evaluation, champion, returned))
        if returned and not returned.get("users"):
            console.print("[bold]On return[/]  nothing is scored, because too few users came back")
    if champion:
        _show_champion(champion, console)
    written = facts.get("user_recommendations", {})
    if written:
        console.print(
            f"[bold]Written[/]    {written['dagster/row_count']:,} recommendations for {written['users']:,} users, by "
            f"version {written['model_version']} of {escape(str(written['dataset']))}"
        )
        console.print(_examples(database))
    if feedback := facts.get("served_feedback"):
        console.print(f"[bold]Feedback[/]   {feedback['days']} days summed up in {SCHEMA}.served_feedback")
    if backtest := facts.get("backtest"):
        show_backtest(backtest, database, console)
    for warning in report.warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
    if "raw_ratings" in facts:
        show_rejected(rejected_by_reason(database), console)
    console.print("[bold]Next[/]       movierec up                        the asset graph and MLflow in the browser")
    if written:
        console.print("           movierec recommend --user 42       from the champion, with live history")
        console.print('           movierec recommend --like "Toy Story" --like "Heat"')
    console.print(f"           [dim]run {report.run_id}, log {report.log}[/]", soft_wrap=True)


def _show_data(facts: dict[str, dict[str, Any]], console: Console) -> None:
    ratings, positives = facts.get("raw_ratings", {}), facts.get("positive_ratings", {})
    if ratings:
        kept = "" if ratings["reloaded"] else ", unchanged since the last run"
        console.print(
            f"[bold]Dataset[/]    {escape(ratings['dataset'])}: {ratings['dagster/row_count']:,} ratings of "
            f"{ratings['rated_movies']:,} movies{kept}"
        )
        if ratings.get("times_taken_as_utc"):
            console.print(f"           {ratings['times_taken_as_utc']:,} times name no zone; they were taken as UTC")
    if positives:
        console.print(
            f"[bold]Learned[/]    from {positives['dagster/row_count']:,} likes of {positives['users']:,} users "
            f"for {positives['movies']:,} movies"
        )
    if left_out := facts.get("als_model", {}).get("users_left_out"):
        console.print(f"           {left_out:,} of them not scored today: a held-out like was trained on before")


def show_rejected(rejected: Sequence[Rejected], console: Console) -> None:
    """Print, for each file and reason, the number of rows that did not load, one of them, and the likely cause."""
    for file, group in groupby(rejected, key=lambda each: each.file):
        reasons = list(group)
        count = sum(each.rows for each in reasons)
        rows = "1 row" if count == 1 else f"{count:,} rows"
        console.print(
            f"[bold]Not loaded[/] [yellow]{rows} of {escape(file)}, kept in {SCHEMA}.rejected_ratings[/]",
            soft_wrap=True,
        )
        for each in reasons:
            text = reason_line(each.rows, each.reason, each.line, each.text)
            console.print(Padding(escape(text), (0, 0, 0, 11)))
            cause = likely_cause(reason_named(each.reason), of_movies=holds_movies(file))
            if cause is not None:
                console.print(Padding(f"[dim]{escape(cause)}[/]", (0, 0, 0, 13)))


def _show_champion(champion: dict[str, Any], console: Console) -> None:
    """Print the champion with its decision, and the challenger if it is another version."""
    number, challenger = champion["champion_version"], champion["challenger_version"]
    console.print(f"[bold]Champion[/]   version {number} of {escape(str(champion['dataset']))}")
    if champion["promoted"] or champion["unchanged"]:
        _show_decision(champion["outcome"], champion["reason"], console)
    if number != challenger and not champion["unchanged"]:
        console.print(f"[bold]Challenger[/] version {challenger}")
        _show_decision(champion["challenger_outcome"], champion["challenger_reason"], console)


def _show_decision(outcome: str, reason: str, console: Console) -> None:
    console.print(Padding(f"{outcome}: {escape(reason)}", (0, 0, 0, 11)))


def show_failure(report: Report, console: Console) -> None:
    """Print why the run failed, on the last lines."""
    console.print()
    console.print(
        "[bold red]The run failed.[/] Tables and champion are as far as the last asset that succeeded left them."
    )
    console.print(f"[dim]Run {report.run_id}; everything it printed is in {report.log}[/]", soft_wrap=True)
    for failure in report.failures:
        console.print(f"[red]{escape(failure)}[/]", soft_wrap=True)


def _metrics(evaluation: dict[str, Any], champion: dict[str, Any], on_return: dict[str, Any]) -> Table:
    """Metrics of the served version (in bold), of the challenger if it is another version, and of popularity."""
    challenger, served = evaluation["model_version"], champion.get("champion_version", evaluation["champion_version"])
    columns: list[tuple[str, str, bool]] = []
    if served not in (0, challenger) and "champion_ndcg_at_10" in evaluation:
        columns.append((f"version {served}, served", "champion_", True))
    name = f"version {challenger}, served" if served == challenger else f"version {challenger}, challenger"
    columns += [(name, "", served == challenger), ("popularity", "popularity_", False)]
    users = f"{evaluation['evaluated_users']:,} users of {evaluation['dataset']}"
    returned = f", and later likes of {on_return['users']:,} who came back" if on_return.get("users") else ""
    table = Table(title=f"Latest likes of {users}, held out{returned}", title_justify="left", min_width=60)
    table.add_column("at 10")
    for heading, _, bold in columns:
        table.add_column(heading, justify="right", style="bold" if bold else None)
    for (beginning, moment), facts in zip(MOMENTS.items(), (evaluation, on_return), strict=True):
        shown = [metric for metric in SHOWN if f"{beginning}{metric}" in facts]
        for metric in shown:
            if metric == shown[0]:
                table.add_section()
                table.add_row(f"[bold]{moment}[/]")
            values = [_figure(facts, prefix, f"{beginning}{metric}") for _, prefix, _ in columns]
            table.add_row(f"  {metric.removesuffix('_at_10').replace('_', ' ')}", *values)
    return table


def _figure(facts: dict[str, Any], prefix: str, name: str) -> str:
    """A figure of a ranker; a champion without one on return has the challenger's recipe, and so its figure."""
    return f"{facts.get(f'{prefix}{name}', facts[name]):.4f}"


def _examples(database: Database, users: int = 5) -> Table:
    """Users with many likes, spread over the ids, with titles that they like and that they are recommended."""
    table = Table(title="Five users", title_justify="left", show_lines=True)
    table.add_column("user", justify="right")
    table.add_column("likes", ratio=1)
    table.add_column("is recommended", ratio=1)
    for user_id, liked, recommended in database.rows(read_sql("sample_recommendations"), {"users": users}):
        table.add_row(str(user_id), escape("\n".join(liked)), escape("\n".join(recommended)))
    return table
