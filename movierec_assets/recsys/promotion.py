"""The rules of promotion: does the challenger become the champion, and where does a rollback go back to.

Belongs here: the rules, on plain values. Measuring the difference is `comparison`'s; moving the alias and keeping the
history is done in `resources.decisions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from movierec_assets.recsys.comparison import Interval

Outcome = Literal["first", "improvement", "refresh", "kept", "rejected", "manual", "rollback"]

MARGIN = 0.002
"""How much lower NDCG@10 may be, at the interval's low end, for a model on newer data to replace the champion."""


@dataclass(frozen=True)
class Decision:
    """What was decided about a challenger, and why.

    Attributes
    ----------
    promoted : bool
    outcome : {"first", "improvement", "refresh", "kept", "rejected", "manual", "rollback"}
        The first four are `decide`'s; the others are a failed check, a person, and a return to an earlier version.
    reason : str
        A sentence with the numbers.
    numbers : mapping of str to float
        What the decision rests on.
    """

    promoted: bool
    outcome: Outcome
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


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
    found = {"challenger_ndcg_at_10": challenger_ndcg}
    if difference is None:
        reached = f"No champion yet; the challenger reaches NDCG@10 {challenger_ndcg:.4f}."
        return Decision(True, "first", reached, found)
    found |= {
        "champion_ndcg_at_10": challenger_ndcg - difference.mean,
        "difference_mean": difference.mean,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "margin": margin,
    }
    numbers = f"NDCG@10 differs by {difference.mean:+.4f}, 95 % {difference.low:+.4f} to {difference.high:+.4f}"
    if difference.low > 0:
        return Decision(True, "improvement", f"Better than the champion's recipe: {numbers}.", found)
    if newer_data and difference.low > -margin:
        reason = f"Not worse than the champion's recipe and trained on newer data: {numbers}."
        return Decision(True, "refresh", reason, found)
    on = "newer data, but not clearly as good" if newer_data else "the same data, not clearly better"
    return Decision(False, "kept", f"Champion kept ({on}): {numbers}.", found)


def standing(moves: Sequence[tuple[int, bool]]) -> list[int]:
    """Versions that a rollback can return to, the one that stands last.

    Parameters
    ----------
    moves : sequence of (int, bool)
        Every version that became champion, oldest first, and whether by a rollback.

    Returns
    -------
    list of int
        A rollback takes away what came after the version it returned to, so that rollbacks in a row go further back
        rather than to and fro.

    Examples
    --------
    >>> standing([(1, False), (2, False), (3, False), (2, True)])
    [1, 2]
    """
    stack: list[int] = []
    for version, returned in moves:
        if returned and version in stack:
            while stack[-1] != version:
                stack.pop()
        else:
            stack.append(version)
    return stack
