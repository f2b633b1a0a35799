"""The errors of this room.

Belongs here: the class, and messages that other rooms raise as well. Does not: messages of one module.
"""

from __future__ import annotations

from movierec_assets.errors import ExplainedError
from movierec_assets.ratings import ELIGIBLE_ABOVE


class RecsysError(ExplainedError, ValueError):
    """The input cannot be split, fitted or scored; the message says why and what to do."""


def no_positives(
    source: object, *, ratings: int, users: int, eligible: int, best: float | None, threshold: float
) -> RecsysError:
    """Say which condition of a positive no rating meets: enough ratings of its user, or enough stars.

    Parameters
    ----------
    source : object
        Of the ratings, for the message.
    ratings, users : int
    eligible : int
        Users with more than `ELIGIBLE_ABOVE` ratings.
    best : float or None
        The best rating of an eligible user.
    threshold : float
        Stars from which a rating is a positive.
    """
    found = f"None of the {ratings:,} ratings in {source} is a positive"
    if eligible == 0 or best is None:
        return RecsysError(
            f"{found}: only users with more than {ELIGIBLE_ABOVE} ratings are learned from, and none of the {users:,} "
            "users has that many. Load a dataset with more ratings per user."
        )
    return RecsysError(
        f"{found}: {eligible:,} of {users:,} users have more than {ELIGIBLE_ABOVE} ratings, and the best rating "
        f"among theirs is {best:g}, below the {threshold:g} stars of a positive. Lower MOVIEREC_POSITIVE_THRESHOLD or "
        "load other ratings."
    )
