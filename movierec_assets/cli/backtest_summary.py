"""The last screen of `movierec run --job backtest`.

Belongs here: the table of years and the picture of months. Does not: the screen of other jobs (`run_summary`).
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from movierec_assets.models.version import POSITIVE_THRESHOLD
from movierec_assets.recsys.backtest import MIN_USERS
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.settings import get_settings
from movierec_assets.tables.backtests import Backtests
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import loaded_dataset


def show_backtest(backtest: dict[str, Any], database: Database, console: Console) -> None:
    """Print which months of the run lack figures, the years of all months made with its recipe, and their plot."""
    from movierec_assets.defs.backtest import year_table
    from movierec_assets.defs.presentation import encoded, month_panels

    kept = Backtests(database, loaded_dataset(database), backtest[POSITIVE_THRESHOLD])
    figures = kept.figures(Recipe.from_dict(backtest["recipe"]))
    console.print(f"[bold]Backtest[/]   of {escape(str(backtest['dataset']))}, recipe: {backtest['recipe_source']}")
    console.print(Padding(_months_of_run(backtest), (0, 0, 0, 11)))
    if not figures:
        return
    header, body = year_table(figures)
    title = "NDCG@10 of each year, of all months made with this recipe"
    table = Table(title=title, title_justify="left")
    for name in header:
        table.add_column(name, justify="left" if name in ("moment", "year") else "right")
    for moment, years in groupby(body, key=lambda row: row[0]):
        for number, (_, *cells) in enumerate(years):
            table.add_row("" if number else moment, *map(_cell, cells))
        table.add_section()
    console.print(table)
    plot = get_settings().state / "backtest.png"
    plot.write_bytes(encoded(month_panels(figures)))
    console.print(f"[bold]Plot[/]       {plot}", soft_wrap=True)


def _months_of_run(backtest: dict[str, Any]) -> str:
    """The number of months, and why some have no figures, or figures without an interval."""
    months, without, few = (backtest[f"months_{name}"] for name in ("of_run", "without_users", "with_few_users"))
    if months == 1 and "note" in backtest:
        return str(backtest["note"])
    text = "1 month" if months == 1 else f"{months:,} months"
    if without:
        text += f", {without:,} without a user to score on"
    if few:
        text += f", {few:,} with fewer than {MIN_USERS} users in one moment, too few for an interval"
    return f"{text}. The last: {backtest['note']}" if without == months else f"{text}."


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)
