"""The insight `dataset`: what the loaded file holds, in figures.

Belongs here: the figures, from totals that loading leaves, so that no rating is read again. Does not: counting
(`rating_load`), ratings of the app, which the document leaves out: they change at any time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from movierec_assets.sql import read_sql
from movierec_assets.tables.binary_copy import Kind
from movierec_assets.tables.database import SCHEMA, Database, Load
from movierec_assets.tables.insights import read_insight, write_insight
from movierec_assets.tables.known_datasets import loaded_dataset

_RANKS = 60
"""Points of a curve over ranks."""
_TOTALS: dict[str, Kind] = {"movie_id": "integer", "rating": "real", "ratings": "bigint"}


def refresh_dataset_document(database: Database) -> bool:
    """Make the document of the loaded ratings, unless it is made already or nothing is loaded; whether it was made."""
    load = database.last_load("ratings")
    if load is None:
        return False
    found = read_insight(database, "dataset")
    if found is not None and found.document.get("load") == load.version:
        return False
    write_insight(database, "dataset", dataset_document(database, _with_months(database, load)))
    return True


def dataset_document(database: Database, load: Load) -> dict[str, Any]:
    """Figures of the ratings of a load.

    Parameters
    ----------
    database : Database
    load : Load
        The last one of the ratings, with its ratings of each month.
    """
    totals = database.columns(f"SELECT movie_id, rating, ratings FROM {SCHEMA}.rating_totals", _TOTALS)
    users = database.columns(f"SELECT ratings FROM {SCHEMA}.user_totals", {"ratings": "integer"})["ratings"]
    stars, counts = totals["rating"], totals["ratings"]
    movies = np.bincount(np.unique(totals["movie_id"], return_inverse=True)[1], counts).astype(np.int64)
    ratings = int(counts.sum())
    dataset = loaded_dataset(database)
    pairs = len(users) * len(movies)
    return {
        "load": load.version,
        "dataset": dataset.name if dataset else None,
        "file": load.details.get("name", "ratings.csv"),
        "counts": {
            "rows_read": load.details["rows_read"],
            "ratings": ratings,
            "rejected": sum(load.details["rejected"].values()),
            "users": len(users),
            "rated_movies": len(movies),
            "movies": database.scalar(f"SELECT count(*) FROM {SCHEMA}.movies"),
        },
        "density": ratings / pairs if pairs else None,
        "mean_stars": float(np.average(stars, weights=counts)) if ratings else None,
        "stars": [{"stars": half / 2, "ratings": int(counts[stars == half / 2].sum())} for half in range(1, 11)],
        "months": _without_gaps(load.details["months"]),
        "users": distribution(users),
        "movies": distribution(movies),
        "genres": [
            {"genre": genre, "decade": decade, "movies": rated, "ratings": number, "mean_stars": mean}
            for genre, decade, rated, number, mean in database.rows(read_sql("genres_by_era"))
        ],
        "rejected": _rejected(database),
    }


def distribution(counts: npt.NDArray[np.integer[Any]]) -> dict[str, Any]:
    """How ratings are spread over users or movies.

    Parameters
    ----------
    counts : int array, shape (n,)
        Ratings of each, at least 1.

    Returns
    -------
    dict
        `fewest`, `median`, `mean` and `most` ratings; `half`, how many of those with the most ratings have half of all
        ratings; `ranks`, up to 60 places in the order of most ratings first, with the ratings there; `bins`, how many
        have from `from` to `to` ratings. All is empty or None without any.
    """
    if not len(counts):
        return {"fewest": None, "median": None, "mean": None, "most": None, "half": 0, "ranks": [], "bins": []}
    ordered = np.sort(counts)[::-1].astype(np.int64)
    ranks = np.unique(np.rint(np.geomspace(1, len(ordered), _RANKS)).astype(np.int64))
    bins = np.bincount(np.frexp(ordered.astype(np.float64))[1] - 1)
    return {
        "fewest": int(ordered[-1]),
        "median": float(np.median(ordered)),
        "mean": float(ordered.mean()),
        "most": int(ordered[0]),
        "half": int(np.searchsorted(2 * np.cumsum(ordered), ordered.sum())) + 1,
        "ranks": [{"rank": int(rank), "ratings": int(ordered[rank - 1])} for rank in ranks],
        "bins": [{"from": 1 << place, "to": (2 << place) - 1, "count": int(count)} for place, count in enumerate(bins)],
    }


def _with_months(database: Database, load: Load) -> Load:
    """The load with its ratings of each month; counted once, where an earlier release loaded without counting."""
    if "months" in load.details:
        return load
    months = dict(database.rows(read_sql("ratings_by_month")))
    with database.transaction() as cursor:
        cursor.execute(
            f"""UPDATE {SCHEMA}.loads SET details = details || jsonb_build_object('months', %s::jsonb)
                WHERE table_name = 'ratings' AND version = %s""",
            [json.dumps(months), load.version],
        )
    return replace(load, details=load.details | {"months": months})


def _without_gaps(months: Mapping[str, int]) -> list[dict[str, Any]]:
    """Every month from the first to the last one."""
    if not months:
        return []
    first, last = (date.fromisoformat(f"{month}-01") for month in (min(months), max(months)))
    span = range(12 * first.year + first.month - 1, 12 * last.year + last.month)
    names = [f"{number // 12:04}-{number % 12 + 1:02}" for number in span]
    return [{"month": name, "ratings": months.get(name, 0)} for name in names]


def _rejected(database: Database) -> list[dict[str, Any]]:
    rows = database.rows(read_sql("rejected_examples"))
    return [
        {
            "file": file,
            "reason": reason,
            "rows": count,
            "examples": [{"line": line, "text": text} for *_, line, text in group],
        }
        for (file, reason, count), group in groupby(rows, key=lambda row: row[:3])
    ]
