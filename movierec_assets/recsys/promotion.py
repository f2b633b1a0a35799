"""The rules of promotion: when a challenger becomes the champion, and where a rollback returns to.

Belongs here: the rules, on plain values. Does not: measuring the difference (`comparison`), moving the alias and
keeping the history (`models.decisions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from movierec_assets.recsys.recipe import Recipe

if TYPE_CHECKING:
    from movierec_assets.recsys.comparison import Interval

Outcome = Literal["first", "improvement", "refresh", "kept", "rejected", "returned", "manual", "rollback", "lost"]


IMPROVEMENT_MARGIN = 0.005
"""Share of the champion's NDCG@10 that a measured lead must reach; see `is_improvement`."""


HELD = "held"
"""Name among the numbers of a decision that rests on a hold and not on the scores."""


@dataclass(frozen=True)
class Margins:
    """Limits for "better" and for "not worse".

    Attributes
    ----------
    improvement : float
        Smallest mean lead of another recipe over the champion's, as a share of the champion's NDCG@10.
    refresh : float
        NDCG@10 by which a model of changed data may be worse than the champion.
    """

    improvement: float = IMPROVEMENT_MARGIN
    refresh: float = 0.002

    @property
    def loss_on_return(self) -> float:
        """Smallest mean loss on return that matters, as a share of the champion's NDCG@10.

        It is the margin of an improvement, but never above the default: who asks for more before a promotion does not
        allow a larger loss.
        """
        return min(self.improvement, IMPROVEMENT_MARGIN)


@dataclass(frozen=True)
class Comparison:
    """The champion compared with a challenger on the same users.

    Attributes
    ----------
    champion_ndcg : float
        Mean NDCG@10 of the champion; not a number where there is no lead.
    lead : Interval or None
        NDCG@10 of the challenger minus that of the champion; None where the champion knows the held-out likes of too
        many users.
    same_recipe : bool
        Whether both have one recipe. Then only the data differs, and the challenger can only be a refresh.
    changed_data : bool
        Whether the challenger was trained on other likes than the champion: more, fewer or corrected ones.
    only_removed : bool
        Whether all of the challenger's likes are the champion's as well: others were withdrawn, or dates corrected.
    """

    champion_ndcg: float
    lead: Interval | None
    same_recipe: bool
    changed_data: bool
    only_removed: bool = False


@dataclass(frozen=True)
class OnReturn:
    """How a challenger ranks for people who come back, beside the champion's recipe.

    Attributes
    ----------
    users : int
        Users who came back.
    ndcg : float or None
        Mean NDCG@10 of the challenger's recipe on return; None where too few users came back.
    champion_ndcg : float or None
        The same of the champion's recipe; None also where there is no champion, or the challenger has its recipe.
    difference : Interval or None
        NDCG@10 of the challenger's recipe minus that of the champion's; None where that has none.
    """

    users: int
    ndcg: float | None = None
    champion_ndcg: float | None = None
    difference: Interval | None = None

    @property
    def numbers(self) -> dict[str, float]:
        """The figures under their names in a decision."""
        found = {"return_users": float(self.users)}
        if self.ndcg is not None:
            found["return_ndcg_at_10"] = self.ndcg
        if self.champion_ndcg is not None and self.difference is not None:
            found |= {"champion_return_ndcg_at_10": self.champion_ndcg, **_named("return_difference", self.difference)}
        return found

    def clearly_worse(self, margin: float = IMPROVEMENT_MARGIN) -> bool:
        """Whether the challenger's recipe is worse by a loss that is both certain and large enough to matter.

        It is the mirror image of `is_improvement`, with `Margins.loss_on_return`. Where nothing was compared, nothing
        is clearly worse.
        """
        if self.difference is None or self.champion_ndcg is None:
            return False
        loss = -self.difference.mean
        return self.difference.high < 0 and loss >= margin * self.champion_ndcg

    @property
    def sentence(self) -> str:
        """The comparison with the champion's recipe, for people."""
        if self.difference is None or self.champion_ndcg is None:
            return f"On return the recipes are not compared, because too few users came back ({self.users:,})."
        share = f", {self.difference.mean / self.champion_ndcg:+.1%}" if self.champion_ndcg else ""
        return f"On return NDCG@10 differs by {self.difference.signed}{share}."


@dataclass(frozen=True)
class Decision:
    """A decision about a challenger, and its reason.

    Attributes
    ----------
    promoted : bool
    outcome : {"first", "improvement", "refresh", "kept", "rejected", "returned", "manual", "rollback", "lost"}
        `decide` gives the first five, a failed check `rejected`. `returned` is an earlier champion of a dataset that is
        loaded again, `manual` a person's choice, `rollback` a return to an earlier version, `lost` an alias that was
        removed in MLflow.
    reason : str
        A sentence with the numbers.
    numbers : mapping of str to float
        The figures behind the decision.
    """

    promoted: bool
    outcome: Outcome
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def opponent(champion: Recipe, challenger: Recipe) -> Recipe:
    """The champion's recipe with the challenger's seed, so that both start from the same values."""
    return replace(champion, seed=challenger.seed)


def same_recipe(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes are equal but for their start values."""
    return opponent(one, other) == other


def is_improvement(lead: Interval, champion_ndcg: float, margin: float = IMPROVEMENT_MARGIN) -> bool:
    """Whether a lead is both certain and large enough to matter.

    A lead of 1 % of NDCG@10 is the smallest that matters: with an NDCG@10 of 0.1, one user in a few hundred finds one
    more liked movie in a list of ten. A smaller lead is not worth changing all lists. The default margin is half of
    that. A measured lead is above or below the true one by chance, so a margin of 1 % would find a true lead of 1 %
    only every other time. Recipes that hardly differ lead by about 0.1 %.

    Parameters
    ----------
    lead : Interval
        Of `comparison.lead`: challenger minus champion, for other users and other fits.
    champion_ndcg : float
        Mean NDCG@10 of the champion for the same users.
    margin : float
        Smallest mean lead, relative to it.
    """
    return lead.low > 0 and lead.mean >= margin * champion_ndcg


def decide(
    *,
    challenger_ndcg: float,
    over_popularity: Interval,
    champion: Comparison | None,
    why_none: str = "No champion yet",
    on_return: OnReturn | None = None,
    held: str | None = None,
    margins: Margins | None = None,
) -> Decision:
    """Apply the promotion rule to a challenger that passed all checks.

    Parameters
    ----------
    challenger_ndcg : float
        Mean NDCG@10 of the challenger on the test users.
    over_popularity : Interval
        Challenger minus the popularity baseline on the same users.
    champion : Comparison or None
        The champion of the same dataset and the same definition of a like; None when there is none.
    why_none : str
        Reason why there is no champion to compare with; begins the reason of the decision.
    on_return : OnReturn, optional
        The challenger's recipe beside the champion's for people who come back.
    held : str, optional
        Reason of a hold on this challenger.
    margins : Margins, optional

    Returns
    -------
    Decision
        When it is `kept`, or `rejected` beside a champion, on changed data and with another recipe, the champion's
        recipe should be trained on the changed data, see `decide_refit`.
    """
    margins = margins or Margins()
    found = {
        "challenger_ndcg_at_10": float(challenger_ndcg),
        "improvement_margin": margins.improvement,
        "refresh_margin": margins.refresh,
        **_named("over_popularity", over_popularity),
        **({} if on_return is None else on_return.numbers),
    }
    if held is not None:
        return Decision(False, "kept", f"Champion kept ({held}).", found | {HELD: 1.0})
    if champion is None:
        better = over_popularity.low > 0
        reason = (
            f"{why_none}. This version is {'' if better else 'not '}clearly better than popularity: NDCG@10 "
            f"{challenger_ndcg:.4f}, a difference of {over_popularity.signed}."
        )
        return Decision(better, "first" if better else "rejected", reason, found)
    if champion.lead is not None:
        found |= {"champion_ndcg_at_10": champion.champion_ndcg, **_named("difference", champion.lead)}
    if champion.same_recipe or on_return is None:
        return _in_the_sitting(champion, over_popularity, margins, found)
    if on_return.clearly_worse(margins.loss_on_return):
        sitting = "" if champion.lead is None else f" In the sitting it differs by {champion.lead.signed}."
        reason = f"Clearly worse than the champion's recipe for people who come back. {on_return.sentence}{sitting}"
        return Decision(False, "rejected", reason, found)
    decision = _in_the_sitting(champion, over_popularity, margins, found)
    return replace(decision, reason=f"{decision.reason} {on_return.sentence}")


def _in_the_sitting(
    champion: Comparison, over_popularity: Interval, margins: Margins, found: dict[str, float]
) -> Decision:
    """Decide by the lead on held-out latest likes, and by the data."""
    if champion.lead is None:
        return _uncompared(champion, over_popularity, found)
    numbers = f"NDCG@10 differs by {champion.lead.signed}"
    if not champion.same_recipe and is_improvement(champion.lead, champion.champion_ndcg, margins.improvement):
        share = f", {champion.lead.mean / champion.champion_ndcg:+.1%}" if champion.champion_ndcg else ""
        return Decision(True, "improvement", f"Better than the champion's recipe: {numbers}{share}.", found)
    if not champion.changed_data:
        small = champion.lead.low > 0 and not champion.same_recipe
        why = f"a lead below the {margins.improvement:.1%} that matter" if small else "not clearly better"
        return Decision(False, "kept", f"Champion kept (the same data, {why}): {numbers}.", found)
    return _on_changed_data(champion, champion.lead, over_popularity, margins, found)


def _on_changed_data(
    champion: Comparison, lead: Interval, over_popularity: Interval, margins: Margins, found: dict[str, float]
) -> Decision:
    """Refresh the champion unless the challenger is worse."""
    numbers = f"NDCG@10 differs by {lead.signed}"
    if over_popularity.mean <= 0:
        return _behind_popularity(over_popularity, found)
    if champion.same_recipe and champion.only_removed:
        reason = f"The champion's recipe without what was withdrawn or corrected: {numbers}."
        return Decision(True, "refresh", reason, found)
    if (lead.high if champion.same_recipe else lead.low) > -margins.refresh:
        reason = f"Not worse than the champion's recipe and trained on changed data: {numbers}."
        return Decision(True, "refresh", reason, found)
    why = "clearly worse" if champion.same_recipe else "another recipe, not clearly as good"
    return Decision(False, "kept", f"Champion kept (changed data, but {why}): {numbers}.", found)


def decide_refit(over_popularity: Interval, challenger: int) -> Decision:
    """Decide about the champion's recipe on changed data after a challenger with another recipe was not promoted.

    Parameters
    ----------
    over_popularity : Interval
        NDCG@10 of the champion's recipe, fitted to the changed data, minus that of popularity, on the same users.
    challenger : int
        Version that was kept or rejected.
    """
    found = _named("over_popularity", over_popularity)
    if over_popularity.mean <= 0:
        return _behind_popularity(over_popularity, found)
    reason = (
        f"The champion's recipe, trained on changed data, because the recipe of version {challenger} did not prove "
        f"itself: NDCG@10 differs from popularity's by {over_popularity.signed}."
    )
    return Decision(True, "refresh", reason, found)


def _uncompared(champion: Comparison, over_popularity: Interval, found: dict[str, float]) -> Decision:
    if not (champion.changed_data and champion.same_recipe):
        return Decision(False, "kept", "Champion kept: it has seen the held-out likes of nearly all users.", found)
    if over_popularity.mean <= 0:
        return _behind_popularity(over_popularity, found)
    reason = (
        "The champion's recipe on changed data. The two are not compared, for the champion has seen the held-out likes "
        f"of nearly all users; NDCG@10 differs from popularity's by {over_popularity.signed}."
    )
    return Decision(True, "refresh", reason, found)


def _behind_popularity(over_popularity: Interval, found: dict[str, float]) -> Decision:
    reason = f"Champion kept (not better than popularity): NDCG@10 differs from it by {over_popularity.signed}."
    return Decision(False, "kept", reason, found)


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_mean": interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def standing(moves: Sequence[tuple[int, bool]]) -> list[int]:
    """Versions that a rollback can return to; the current champion is last.

    Parameters
    ----------
    moves : sequence of (int, bool)
        Every version that became champion, oldest first, and whether by a rollback.

    Returns
    -------
    list of int
        A rollback removes the versions after the one it returned to, so each of several rollbacks goes further back.

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
