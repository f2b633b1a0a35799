"""Why few users can be scored: they have too few likes, likes at too few different times, or do not come back.

Belongs here: telling the causes apart, in text for people, and what else follows from times that are equal. Does not:
which users are scored (`split`).
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.split import (
    MIN_LIKES_BEFORE_CUT,
    MIN_POSITIVES_TO_HOLD_OUT,
    MIN_TRAIN_TO_EVALUATE,
    latest_of_each_user,
)

_NOTHING_FOLLOWS = (
    "The next-movie signal is off: of the likes to learn from, no user has any at two different times, so no movie "
    "follows another."
)
_LOAD_TIMES = "Load ratings with the time at which each was made."

SIGNAL_IS_OFF = f"{_NOTHING_FOLLOWS} {_LOAD_TIMES}"
"""What is said where the likes to learn from have no order."""

_GET_TIMES = (
    f"Where times are equal, nothing is earlier than anything. {_LOAD_TIMES} "
    "`movierec evaluate --protocol strong-generalization` scores a recipe without times."
)


def has_order(positives: Interactions) -> bool:
    """Whether any user has likes at two different times, so that one movie follows another."""
    return len(latest_of_each_user(positives)[0]) > 0


def nobody_to_score(earlier: Interactions, held_out: Interactions) -> RecsysError:
    """The error to raise when no user can be scored; parameters are as for `why_few`."""
    return RecsysError(
        f"No user can be scored: nobody has enough likes before the held-out ones. {why_few(earlier, held_out)}"
    )


def nobody_returns(positives: Interactions) -> RecsysError:
    """The error to raise when no window of a time split has a user."""
    problem = (
        "No user can be scored on return: "
        f"nobody has {MIN_LIKES_BEFORE_CUT} likes before a cut in time and one after it."
    )
    signal = "" if has_order(positives) else f" {_NOTHING_FOLLOWS}"
    if len(np.unique(positives.rated_at)) < 2:
        return RecsysError(f"{problem} All {len(positives):,} likes are of one time.{signal} {_GET_TIMES}")
    enough = int((positives.per_user > MIN_LIKES_BEFORE_CUT).sum())
    if enough == 0:
        return RecsysError(
            f"{problem} Nobody has more than {MIN_LIKES_BEFORE_CUT} likes at all.{signal} "
            "Load more ratings, or lower MOVIEREC_POSITIVE_THRESHOLD."
        )
    if signal:
        return RecsysError(f"{problem} No user has likes at two different times.{signal} {_GET_TIMES}")
    return RecsysError(
        f"{problem} {enough:,} of {positives.shape[0]:,} users have more than {MIN_LIKES_BEFORE_CUT} likes, and those "
        "gave them in one sitting, or most of them late. Load more ratings, of a longer time. "
        "`movierec evaluate --protocol leave-latest-out` scores a recipe in the sitting."
    )


def why_few(earlier: Interactions, held_out: Interactions) -> str:
    """Say in a few sentences why few users can be scored, and what can be done.

    Parameters
    ----------
    earlier, held_out : Interactions
        Likes before the part that is scored, and those in it. Where both are empty, all likes are in the test part.
    """
    likes = earlier.per_user + held_out.per_user
    signal = "" if has_order(earlier) else f" {_NOTHING_FOLLOWS}"
    if not likes.any():
        return f"No user has likes at two different times.{signal} {_GET_TIMES}"
    enough = likes >= MIN_POSITIVES_TO_HOLD_OUT
    tied = enough & (earlier.per_user < MIN_TRAIN_TO_EVALUATE)
    at_once = int((enough & (earlier.per_user == 0)).sum())
    found = f"{int(enough.sum()):,} of {len(likes):,} users have {MIN_POSITIVES_TO_HOLD_OUT} likes or more."
    if not tied.any():
        return f"{found}{signal} Load more ratings, or lower MOVIEREC_POSITIVE_THRESHOLD."
    return (
        f"{found} {int(tied.sum()):,} of them have fewer than {MIN_TRAIN_TO_EVALUATE} likes before their latest ones, "
        f"because many of their likes are of one time; {at_once:,} have all their likes at one time.{signal} "
        f"{_GET_TIMES}"
    )
