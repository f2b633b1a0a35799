"""Ratings posted in the app, beside the loaded file.

Belongs here: updating them after other files are loaded. Does not: which ratings count (the view `valid_app_ratings`)
and who may post (a trigger), both in `sql/migrations`.
"""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.sql import read_sql
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import SCHEMA, Database, first_value

FILE = "app_ratings"
"""Name of the file in `rejected_ratings`; the line is `rating_id`, the text is written as in ratings.csv."""


def adopt(cursor: Cursor) -> None:
    """Assign the loaded dataset to ratings that were posted before datasets had numbers."""
    cursor.execute(
        f"UPDATE {SCHEMA}.app_ratings SET dataset_id = l.dataset_id FROM {SCHEMA}.loaded_dataset l "
        f"WHERE {SCHEMA}.app_ratings.dataset_id IS NULL"
    )


def update_rejects(database: Database) -> int:
    """Make `rejected_ratings` hold exactly the app's ratings of movies outside the catalogue; returns their number.

    Only ratings of the loaded dataset count. Runs in its own transaction, because a load keeps its locks until the
    ratings are indexed.
    """
    from movierec_assets.datasets.rejects import RejectReason, wording  # noqa: PLC0415 - polars is needed here only

    with database.transaction() as cursor:
        take_lock(cursor, FILE)
        adopt(cursor)
        reason = wording(RejectReason.UNKNOWN_MOVIE, "%s")
        cursor.execute(read_sql("reject_app_ratings"), {"file": FILE, "reason": reason})
        cursor.execute(f"SELECT count(*) FROM {SCHEMA}.rejected_ratings WHERE file = %s", [FILE])
        return int(first_value(cursor))
