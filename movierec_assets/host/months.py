"""The months that a backtest covers.

Belongs here: the months of the loaded likes, and the refusal of others. Does not: the run (`run`), scoring a month
(`recsys.backtest`).
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
    """
    first, _, last = text.partition(":")
    return Month.of(first), Month.of(last or first)


def to_backtest(database: Database, threshold: float, wanted: Months | None) -> Months:
    """The wanted months; without any, all from the first with likes before it to the last complete one with likes.

    Raises
    ------
    CommandError
        When months are outside those that can be backtested, or no month is left.
    """
    last_complete = Month.last_complete()
    if wanted is not None:
        first, last = wanted
        if first > last:
            raise CommandError(f"The months from {first} to {last} are none: the first must not be after the last.")
        if first < FIRST_MONTH or last > last_complete:
            raise CommandError(
                f"The months from {first} to {last} cannot be backtested: partitions are from {FIRST_MONTH} to "
                f"{last_complete}, the last complete month."
            )
        return wanted
    likes = months_of_likes(database, threshold)
    if likes is None:
        raise CommandError(
            "There is no like to backtest: no eligible user has a rating of at least "
            f"{threshold:g} stars (MOVIEREC_POSITIVE_THRESHOLD)."
        )
    first, last = max(likes[0].later(1), FIRST_MONTH), min(likes[1], last_complete)
    if first > last:
        raise CommandError(
            f"No month can be backtested: all likes are from {likes[0]} to {likes[1]}. A month needs likes from "
            "before it, and it must be over."
        )
    return first, last
