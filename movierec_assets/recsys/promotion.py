"""Should the challenger become the champion? One pure decision with its reason.

Belongs here: the rule. Measuring the difference is `comparison`'s; moving the alias is the registry's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from movierec_assets.recsys.comparison import Interval

Outcome = Literal["first", "improvement", "refresh", "kept"]

MARGIN = 0.002
"""How much lower NDCG@10 may be, at the interval's low end, for a model on newer data to replace the champion."""


@dataclass(frozen=True)
class Decision:
    """What was decided about a challenger, and why.

    Attributes
    ----------
    promoted : bool
    outcome : {"first", "improvement", "refresh", "kept"}
    reason : str
        A sentence with the numbers.
    """

    promoted: bool
    outcome: Outcome
    reason: str


def decide(
    *, challenger_ndcg: float, difference: Interval | None, newer_data: bool, margin: float = MARGIN
) -> Decision:
    """Apply the promotion rule.

    Parameters
    ----------
    challenger_ndcg : float
        Mean NDCG@10 of the challenger on the test users.
    difference : Interval or None
        Challenger minus champion on the same users; None when there is no champion.
    newer_data : bool
        Whether the challenger was trained on other data than the champion.
    margin : float
        Tolerated loss for a refresh.

    Returns
    -------
    Decision
    """
    if difference is None:
        return Decision(True, "first", f"No champion yet; the challenger reaches NDCG@10 {challenger_ndcg:.4f}.")
    numbers = f"NDCG@10 differs by {difference.mean:+.4f}, 95 % {difference.low:+.4f} to {difference.high:+.4f}"
    if difference.low > 0:
        return Decision(True, "improvement", f"Better than the champion's recipe: {numbers}.")
    if newer_data and difference.low > -margin:
        return Decision(True, "refresh", f"Not worse than the champion's recipe and trained on newer data: {numbers}.")
    on = "newer data, but not clearly as good" if newer_data else "the same data, not clearly better"
    return Decision(False, "kept", f"Champion kept ({on}): {numbers}.")
