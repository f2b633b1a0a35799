"""The months that a backtest covers.

Belongs here: reading the months that somebody wants, and the months of the loaded likes. Does not: the run (`run`),
scoring a month (`recsys.backtest`).
"""

from __future__ import annotations

from movierec_assets.host import CommandError
from movierec_assets.recsys.backtest import FIRST_MONTH, Month
from movierec_assets.tables.backtests import months_of_likes
from movierec_assets.tables.database import Database

Months = tuple[Month, Month]
"""The first and the last month."""


def parsed(text: str) -> Months:
    """Months from text such as 2003-01:2004-12, or one month as in 2003-05.

    Raises
    ------
    RecsysError
        When a part is no month.
    CommandError
        When the months are not among the partitions of the backtest.
    """
    earlier, colon, later = text.partition(":")
    first, last = Month.of(earlier), Month.of(later if colon else earlier)
    if first > last:
        raise CommandError(f"{first} is after {last}; the first month comes first, as in {last}:{first}.")
    last_complete = Month.last_complete()
    if first < FIRST_MONTH or last > last_complete:
        raise CommandError(f"Months to backtest are from {FIRST_MONTH} to {last_complete}, the last complete month.")
    return first, last


def all_months(database: Database, threshold: float) -> Months:
    """All months from the first with likes before it to the last complete one with likes.

    Raises
    ------
    CommandError
        When there is no such month.
    """
    likes = months_of_likes(database, threshold)
    if likes is None:
        raise CommandError(
            "There is no like to backtest: no eligible user has a rating of at least "
            f"{threshold:g} stars (MOVIEREC_POSITIVE_THRESHOLD)."
        )
    first, last = max(likes[0].later(1), FIRST_MONTH), min(likes[1], Month.last_complete())
    if first > last:
        raise CommandError(
            f"No month can be backtested: all likes are from {likes[0]} to {likes[1]}. A month needs likes from "
            "before it, and it must be over."
        )
    return first, last
