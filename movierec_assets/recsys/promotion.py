"""The rules of promotion: does the challenger become the champion, and where does a rollback go back to.

Belongs here: the rules, on plain values. Measuring the difference is `comparison`'s; moving the alias and keeping the
history is done in `resources.decisions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from movierec_assets.recsys.als import Recipe
from movierec_assets.recsys.comparison import Interval

Outcome = Literal["first", "improvement", "refresh", "kept", "rejected", "manual", "rollback"]


@dataclass(frozen=True)
class Margins:
    """What counts as better and as not worse, in NDCG@10.

    Attributes
    ----------
    improvement : float
        The low end of the interval of a difference must be above this: of challenger and champion for an improvement,
        of challenger and popularity for a first champion.
    refresh : float
        How much lower the low end may be for a model on newer data to replace the champion.
    """

    improvement: float = 0.0
    refresh: float = 0.002


@dataclass(frozen=True)
class Decision:
    """What was decided about a challenger, and why.

    Attributes
    ----------
    promoted : bool
    outcome : {"first", "improvement", "refresh", "kept", "rejected", "manual", "rollback"}
        `decide` gives the first five, a failed check `rejected`, a person `manual`, a return to an earlier version
        `rollback`.
    reason : str
        A sentence with the numbers.
    numbers : mapping of str to float
        What the decision rests on.
    """

    promoted: bool
    outcome: Outcome
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def opponent(champion: Recipe, challenger: Recipe) -> Recipe:
    """The champion's recipe as a challenger is compared with it: from the same start values.

    With start values of its own, one of two equal recipes would look better than the other, and a bootstrap over users
    does not know of that chance.
    """
    return replace(champion, seed=challenger.seed)


IMPROVEMENT_MARGIN = 0.005
"""Share of the champion's NDCG@10 that a measured lead must reach; see `is_improvement`."""


def is_improvement(lead: Interval, champion_ndcg: float, margin: float = IMPROVEMENT_MARGIN) -> bool:
    """Whether a lead is both certain and large enough to matter.

    A lead of 1 % of NDCG@10 is the least that matters: with 0.1 of NDCG@10, one user in a few hundred finds one liked
    movie more in a list of ten. A smaller one is not worth that all lists change. The default margin is half of that,
    because a measured lead is above or below the true one by chance: with a margin of 1 %, a true lead of 1 % would be
    found every other time only. With 138,000 users, half is enough to tell 1 % from recipes that hardly differ: those
    lead by about 0.1 %.

    Parameters
    ----------
    lead : Interval
        Of `comparison.lead`: challenger minus champion, for other users and other fits.
    champion_ndcg : float
        Mean NDCG@10 of the champion for the same users.
    margin : float
        Least mean lead, relative to that.
    """
    return lead.low > 0 and lead.mean >= margin * champion_ndcg


def decide(
    *,
    challenger_ndcg: float,
    over_popularity: Interval,
    over_champion: Interval | None,
    same_recipe: bool = False,
    newer_data: bool,
    margins: Margins | None = None,
) -> Decision:
    """Apply the promotion rule to a challenger that no check has stopped.

    Parameters
    ----------
    challenger_ndcg : float
        Mean NDCG@10 of the challenger on the test users.
    over_popularity : Interval
        Challenger minus the popularity baseline on the same users.
    over_champion : Interval or None
        Challenger minus the champion's recipe, refit on the same history, on the same users; None when there is no
        champion.
    same_recipe : bool
        Whether the challenger has the champion's recipe. A refit of that is the challenger again, so `over_champion` is
        about the champion's own scored fit then: never an improvement, and a refresh unless it became clearly worse.
    newer_data : bool
        Whether the challenger was trained on newer data than the champion.
    margins : Margins, optional

    Returns
    -------
    Decision
    """
    margins = margins or Margins()
    found = {
        "challenger_ndcg_at_10": float(challenger_ndcg),
        "improvement_margin": margins.improvement,
        "refresh_margin": margins.refresh,
        **_named("over_popularity", over_popularity),
    }
    if over_champion is None:
        numbers = f"NDCG@10 {challenger_ndcg:.4f} differs from popularity's by {_told(over_popularity)}"
        if over_popularity.low > margins.improvement:
            return Decision(True, "first", f"No champion yet, and clearly better than popularity: {numbers}.", found)
        reason = f"Still no champion, for this one is not clearly better than popularity: {numbers}."
        return Decision(False, "rejected", reason, found)
    found |= {"champion_ndcg_at_10": float(challenger_ndcg - over_champion.mean), **_named("difference", over_champion)}
    numbers = f"NDCG@10 differs by {_told(over_champion)}"
    if over_champion.low > margins.improvement and not same_recipe:
        return Decision(True, "improvement", f"Better than the champion's recipe: {numbers}.", found)
    if newer_data and over_popularity.low <= margins.improvement:
        against = f"NDCG@10 differs from popularity's by {_told(over_popularity)}"
        return Decision(False, "kept", f"Champion kept (not clearly better than popularity): {against}.", found)
    if newer_data and (over_champion.high if same_recipe else over_champion.low) > -margins.refresh:
        reason = f"Not worse than the champion's recipe and trained on newer data: {numbers}."
        return Decision(True, "refresh", reason, found)
    on = "newer data, but not clearly as good" if newer_data else "the same data, not clearly better"
    return Decision(False, "kept", f"Champion kept ({on}): {numbers}.", found)


def _told(interval: Interval) -> str:
    return f"{interval.mean:+.4f}, 95 % {interval.low:+.4f} to {interval.high:+.4f}"


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_mean": interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


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
