"""Figures of backtested months, and the months of the likes in the tables.

Belongs here: the table `backtests`. Does not: the figures themselves (`recsys.backtest`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from movierec_assets.recsys.backtest import Figure, Moment, Month
from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import UNKNOWN_DATASET, DatasetRef

_OWN = "dataset_id = %s AND positive_threshold = %s::real"


@dataclass(frozen=True)
class Backtests:
    """The backtested months of one dataset and definition of a like.

    Attributes
    ----------
    database : Database
    dataset : DatasetRef or None
    threshold : float
        Stars from which a rating is a like.
    """

    database: Database
    dataset: DatasetRef | None
    threshold: float

    @property
    def _key(self) -> list[Any]:
        return [(self.dataset or UNKNOWN_DATASET).id, self.threshold]

    def replace(self, month: Month, figures: Sequence[Figure], recipe: Recipe, positives: str, run_id: str) -> None:
        """Replace the figures of a month; `positives` is the fingerprint of the likes."""
        day, flat = date(month.year, month.number, 1), json.dumps(recipe.as_dict())
        with self.database.transaction() as cursor:
            cursor.execute(f"DELETE FROM {SCHEMA}.backtests WHERE {_OWN} AND month = %s", [*self._key, day])
            for each in figures:
                ends = (None, None) if each.interval is None else (each.interval.low, each.interval.high)
                cursor.execute(
                    f"""INSERT INTO {SCHEMA}.backtests (dataset_id, positive_threshold, month, moment, ranker, users,
                            ndcg, deviation, low, high, recipe, positives, dagster_run_id)
                        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
                    [
                        *(*self._key, day, each.moment, each.ranker, each.users, each.ndcg, each.deviation),
                        *(*ends, flat, positives, run_id),
                    ],
                )

    def figures(self, recipe: Recipe) -> list[tuple[Month, Figure]]:
        """Figures of all months that were made with a recipe, whatever its seed; the earliest month first."""
        found = self.database.rows(
            f"""SELECT month, moment, ranker, users, ndcg, deviation, low, high FROM {SCHEMA}.backtests
                WHERE {_OWN} AND recipe - 'seed' = %s::jsonb - 'seed'
                ORDER BY month, moment, ranker""",
            [*self._key, json.dumps(recipe.as_dict())],
        )
        return [(Month(day.year, day.month), _figure(*values)) for day, *values in found]

    def latest_recipe(self) -> Recipe | None:
        """The recipe of the figures that were made last; None without figures."""
        found = self.database.rows(
            f"""SELECT recipe FROM {SCHEMA}.backtests WHERE {_OWN}
                ORDER BY made_at DESC LIMIT 1""",
            self._key,
        )
        return Recipe.from_dict(found[0][0]) if found else None


def _figure(
    moment: Moment, ranker: str, users: int, ndcg: float, deviation: float, low: float | None, high: float | None
) -> Figure:
    interval = None if low is None or high is None else Interval(ndcg, low, high)
    return Figure(moment, ranker, users, ndcg, deviation, interval)


def months_of_likes(database: Database, threshold: float) -> tuple[Month, Month] | None:
    """The months of the first and of the last like of eligible users; None when there is no like."""
    first, last = database.rows(
        f"""SELECT extract(epoch FROM min(rated_at))::bigint, extract(epoch FROM max(rated_at))::bigint
            FROM {SCHEMA}.current_ratings JOIN {SCHEMA}.eligible_users USING (user_id) WHERE rating >= %s""",
        [threshold],
    )[0]
    return None if first is None else (Month.at(first), Month.at(last))
