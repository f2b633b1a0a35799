"""Insights: documents of figures that assets make while they hold the data, for people to look at.

Belongs here: the table `insights`, the names of the documents, and whether each is about a version of the model. Does
not: the figures (the assets that make them), and who asks for them (`serving.api.routes.insights`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.tables.database import SCHEMA, Database

InsightName = Literal["dataset", "preprocessing", "training", "evaluation", "backtest", "feedback"]


@dataclass(frozen=True)
class Kind:
    """What is known of a document before it is made.

    Attributes
    ----------
    of_version : bool
        Whether each version of the model has one of its own.
    made_by : str
        The command that makes it.
    """

    of_version: bool
    made_by: str


KINDS: dict[InsightName, Kind] = {
    "dataset": Kind(False, "movierec run --job refresh"),
    "preprocessing": Kind(False, "movierec run --job train"),
    "training": Kind(True, "movierec run --job train"),
    "evaluation": Kind(True, "movierec run --job train"),
    "backtest": Kind(False, "movierec run --job backtest"),
    "feedback": Kind(False, "movierec run --job feedback"),
}


@dataclass(frozen=True)
class Insight:
    """A document.

    Attributes
    ----------
    name : str
    version : str
        The version of the model that it is about; empty where it is about none.
    made_at : datetime
    document : dict
    """

    name: str
    version: str
    made_at: datetime
    document: dict[str, Any]


def write_insight(
    database: Database, name: InsightName, document: Mapping[str, Any], version: int | None = None
) -> None:
    """Store a document in place of the one of the same name and version.

    Parameters
    ----------
    database : Database
    name : str
    document : mapping
        Values that JSON knows: numbers are finite, and of Python rather than numpy.
    version : int, optional
        Of the model; given exactly for the documents that are about one.

    Raises
    ------
    ValueError
        When the version is missing or too much, or a number is not finite.
    TypeError
        When a value is none that JSON knows.
    """
    with database.transaction() as cursor:
        put_insight(cursor, name, document, version)


def put_insight(cursor: Cursor, name: InsightName, document: Mapping[str, Any], version: int | None = None) -> None:
    """Like `write_insight`, within a transaction."""
    if KINDS[name].of_version != (version is not None):
        raise ValueError(f"The insight {name} is {'' if KINDS[name].of_version else 'not '}about a version.")
    cursor.execute(
        f"""
        INSERT INTO {SCHEMA}.insights (name, version, document) VALUES (%s, %s, %s)
        ON CONFLICT (name, version) DO UPDATE SET document = excluded.document, made_at = excluded.made_at
        """,
        [name, _key(version), json.dumps(document, allow_nan=False)],
    )


def read_insight(database: Database, name: InsightName, version: int | None = None) -> Insight | None:
    """A document; None when none was made yet."""
    found = database.rows(
        f"SELECT name, version, made_at, document FROM {SCHEMA}.insights WHERE name = %s AND version = %s",
        [name, _key(version)],
    )
    return Insight(*found[0]) if found else None


def remove_insights(database: Database, kept: Collection[int], before: datetime) -> int:
    """Remove documents about versions that are gone; returns their number.

    Parameters
    ----------
    database : Database
    kept : collection of int
        Versions that there are.
    before : datetime
        Documents since then stay: their version may be younger than `kept`.
    """
    with database.transaction() as cursor:
        cursor.execute(
            f"DELETE FROM {SCHEMA}.insights WHERE version <> '' AND NOT version = ANY(%s) AND made_at < %s",
            [[_key(version) for version in kept], before],
        )
        return cursor.rowcount


def _key(version: int | None) -> str:
    return "" if version is None else str(version)
