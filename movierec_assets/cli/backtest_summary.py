"""The last screen of `movierec run --job backtest`.

Belongs here: the table of years and the picture of months. Does not: the screen of other jobs (`run_summary`).
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets.models.version import POSITIVE_THRESHOLD
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.settings import get_settings
from movierec_assets.tables.backtests import Backtests
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import loaded_dataset


def show_backtest(backtest: dict[str, Any], database: Database, console: Console) -> None:
    """Print the mean of each year of all months that were backtested with the recipe, and where their plot is."""
    from movierec_assets.defs.backtest import year_table
    from movierec_assets.defs.presentation import encoded, month_panels

    kept = Backtests(database, loaded_dataset(database), backtest[POSITIVE_THRESHOLD])
    figures = kept.figures(Recipe.from_dict(backtest["recipe"]))
    console.print(f"[bold]Backtest[/]   of {escape(str(backtest['dataset']))}, recipe: {backtest['recipe_source']}")
    if not figures:
        console.print("           No month had a user to score on.")
        return
    header, body = year_table(figures)
    table = Table(title="NDCG@10 of each year, mean over the users of its months", title_justify="left")
    for name in header:
        table.add_column(name, justify="left" if name == "year" else "right")
    for row in body:
        table.add_row(*map(_cell, row))
    console.print(table)
    plot = get_settings().state / "backtest.png"
    plot.write_bytes(encoded(month_panels(figures)))
    console.print(f"[bold]Plot[/]       {plot}", soft_wrap=True)


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)
