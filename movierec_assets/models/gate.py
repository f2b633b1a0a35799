"""The gate: decisions about a trained challenger, within one transaction of the champion.

Belongs here: the decisions about the challenger, about the champion's recipe on changed data, and about an earlier
champion that serves again. Does not: the rule on scores (`recsys.promotion`), carrying decisions out
(`promotion_transaction`), reading the evaluation (`defs.promotion`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.decision_history import Record
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.holds import Hold
from movierec_assets.models.promotion_transaction import Incumbent, PromotionTransaction
from movierec_assets.models.version import Version, other_data
from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.promotion import HELD, Comparison, Decision, Margins, OnReturn, decide, decide_refit

NOTHING_CHANGED = "Nothing has changed since it was trained: the same likes, recipe, seed and code."


@dataclass(frozen=True)
class Candidates:
    """The challenger, the champion's recipe, and their scores on the same users.

    Attributes
    ----------
    challenger : Challenger
    registered : Version
        The challenger in the registry.
    champion_fit : ChampionFit
    challenger_ndcg : float
        Mean NDCG@10 of the challenger.
    over_popularity : Interval
        NDCG@10 of the challenger minus that of the popularity baseline.
    champion_over_popularity : Interval or None
        The same of the champion's recipe; None where it was not scored.
    comparison : Comparison or None
        The champion beside the challenger; None without a champion.
    on_return : OnReturn
        The recipes of both for people who come back.
    """

    challenger: Challenger
    registered: Version
    champion_fit: ChampionFit
    challenger_ndcg: float
    over_popularity: Interval
    champion_over_popularity: Interval | None
    comparison: Comparison | None
    on_return: OnReturn


@dataclass(frozen=True)
class Gate:
    """Decides about the candidates of one run.

    Attributes
    ----------
    promotions : Promotions
    transaction : PromotionTransaction
        Opened by `promotions`.
    candidates : Candidates
    margins : Margins
    run_id : str
        Dagster run.
    """

    promotions: Promotions
    transaction: PromotionTransaction
    candidates: Candidates
    margins: Margins
    run_id: str

    def decide(self) -> list[Record]:
        """Decide about the challenger first; the last decision says which version serves.

        A step that is tried again finds its earlier decisions. So does a run whose candidate is the champion already.
        """
        challenger, fit = self.candidates.challenger, self.candidates.champion_fit
        champion, refit = self._incumbent.version, fit.refit
        if champion is not None and champion.number == challenger.version and refit is None:
            return [self._about_unchanged(champion)]
        earlier = self._earlier_decisions()
        about = earlier.get(challenger.version) or self._repeated(champion)
        if about is None:
            require_compared_with(None if champion is None else champion.number, fit.champion)
            about = self.transaction.carry_out(challenger.version, self._about_challenger())
        decided = [about]
        if refit is not None:
            about_refit = earlier.get(refit.version)
            decided.append(about_refit or self.transaction.carry_out(refit.version, self._about_refit(refit, about)))
        if champion is not None and not any(record.promoted for record in decided) and self._returns(champion):
            reason = f"{self._serves_again(champion)} Version {about.version}: {about.reason}"
            decided.append(self.transaction.carry_out(champion.number, Decision(True, "returned", reason)))
        return decided

    def _earlier_decisions(self) -> dict[int, Record]:
        """Decisions of this run, by version; of every run when a candidate is the champion already."""
        candidates = {each.version for each in (self.candidates.challenger, self.candidates.champion_fit.refit) if each}
        now = self.transaction.champion
        serves = now is not None and now.number in candidates
        return {
            record.version: record
            for record in reversed(self.promotions.history(20))
            if record.state == "done" and (serves or record.dagster_run_id == self.run_id)
        }

    def _repeated(self, champion: Version | None) -> Record | None:
        """An earlier decision that kept this version from promotion, when the same decision would be made again."""
        number, fit, now = self.candidates.challenger.version, self.candidates.champion_fit, self.transaction.champion
        latest = next((each for each in self.promotions.history(version=number) if each.version == number), None)
        if latest is None or latest.outcome not in ("kept", "rejected") or latest.state != "done":
            return None
        if fit.refit is not None:
            return None
        if champion is None or now is None:
            return None
        same_champion = now.number == champion.number == latest.previous == fit.champion
        margins = {"improvement_margin": self.margins.improvement, "refresh_margin": self.margins.refresh}
        same_rule = all(latest.numbers.get(name) == value for name, value in margins.items())
        recipe = self.candidates.challenger.recipe
        held = HELD in latest.numbers or any(hold.covers_recipe(recipe) for hold in self._holds)
        return latest if same_champion and same_rule and not held else None

    def _about_unchanged(self, champion: Version) -> Record:
        """Decide where the challenger is the champion of its data already.

        When it serves, nothing is decided: the record is the one that made it champion.
        """
        now, latest = self.transaction.champion, self.transaction.latest()
        if now is not None and now.number == champion.number:
            assert latest is not None, "the transaction has settled the history"
            return latest
        if now is None or self._returns(champion):
            decision = Decision(True, "returned", f"{self._serves_again(champion)} {NOTHING_CHANGED}")
        else:
            held = self._hold_on(self.candidates.challenger)
            why = "another version was chosen by hand" if held is None else _because(held)
            reason = f"Champion kept ({why}). {NOTHING_CHANGED}"
            decision = Decision(False, "kept", reason, {} if held is None else {HELD: 1.0})
        return self.transaction.carry_out(champion.number, decision)

    def _about_challenger(self) -> Decision:
        challenger, fit = self.candidates.challenger, self.candidates.champion_fit
        covering = [hold for hold in self._holds if hold.covers_recipe(challenger.recipe)]
        likes = challenger.provenance["positives"]
        same_recipe = fit.champion is None or fit.same_recipe
        # A recipe that the champion has as well was not replaced for its own sake, but for its data.
        held = next((hold for hold in covering if not same_recipe or hold.positives_fingerprint == likes), None)
        decision = decide(
            challenger_ndcg=self.candidates.challenger_ndcg,
            over_popularity=self.candidates.over_popularity,
            champion=self.candidates.comparison,
            on_return=self.candidates.on_return,
            why_none=self._why_no_champion(),
            held=None if held is None else _because(held),
            margins=self.margins,
        )
        if held is None and covering and decision.promoted:
            note = f"Version {covering[-1].version} of the same recipe is held back, but the data has changed since."
            return replace(decision, reason=f"{decision.reason} {note}")
        return decision

    def _about_refit(self, refit: Challenger, about: Record) -> Decision:
        """Decide about the champion's recipe on changed data: needed only where the challenger is not promoted."""
        held = self._hold_on(refit)
        if held is not None:
            return Decision(False, "kept", f"Champion kept ({_because(held)}).", {HELD: 1.0})
        if about.promoted:
            return Decision(False, "kept", f"Not needed: version {about.version} was promoted.")
        if about.outcome not in ("kept", "rejected"):
            return Decision(False, "kept", f"Not needed: version {about.version} was {about.outcome}.")
        assert self.candidates.champion_over_popularity is not None, "a champion's recipe that was fitted is scored"
        return decide_refit(self.candidates.champion_over_popularity, about.version)

    @cached_property
    def _incumbent(self) -> Incumbent:
        return self.transaction.incumbent(self.candidates.registered.learned)

    @cached_property
    def _holds(self) -> list[Hold]:
        """Holds on the challenger's dataset."""
        return self.transaction.holds(self.candidates.registered.learned.dataset_id)

    def _hold_on(self, candidate: Challenger) -> Hold | None:
        """The first hold on a candidate's recipe and likes."""
        likes = candidate.provenance["positives"]
        return next((hold for hold in self._holds if hold.covers(candidate.recipe, likes)), None)

    def _returns(self, champion: Version) -> bool:
        """Whether an earlier champion takes the alias back, because its dataset or its definition of a like is back.

        A version of the same dataset keeps the alias when a person gave it.
        """
        now, latest = self.transaction.champion, self.transaction.latest()
        if now is None or now.number == champion.number:
            return False
        by_hand = latest is not None and latest.version == now.number and latest.outcome in ("manual", "rollback")
        return not by_hand or other_data(now, champion.dataset) is not None

    def _serves_again(self, champion: Version) -> str:
        now = self.transaction.champion
        before = "no version" if now is None else f"version {now.number}{of_dataset(now)}"
        return f"The champion{of_dataset(champion)} serves again, instead of {before}."

    def _why_no_champion(self) -> str:
        """Why there is no champion to compare with, as the beginning of a reason."""
        challenger, other = self.candidates.registered, self.transaction.champion
        if self._incumbent.why_unusable is not None:
            return f"No champion to compare with: {self._incumbent.why_unusable}"
        if other is None:
            loss = self.promotions.loss()
            return "No champion yet" if loss is None else f"No champion any more ({loss.happened})"
        if other.dataset != challenger.dataset and other.dataset is not None:
            return f"The first champion of {challenger.dataset}; version {other.number} is of {other.dataset}"
        return (
            f"The first champion where {challenger.positive_threshold or 0:g} stars are a like; for version "
            f"{other.number} {other.positive_threshold or 0:g} stars are"
        )


def require_compared_with(champion: int | None, compared: int | None) -> None:
    """Refuse an evaluation that compared the challenger with another champion.

    Parameters
    ----------
    champion : int or None
        Champion now, of the dataset and the definition of a like that the challenger was trained on.
    compared : int or None
        Champion in the evaluation.

    Raises
    ------
    RecsysError
    """
    if champion == compared:
        return
    made = f"was made beside champion {compared}" if compared else "was made when there was no champion"
    now = f"Version {champion} is the champion now" if champion else "There is no champion any more"
    raise RecsysError(
        f"{now}, and model_evaluation {made}, so nothing was decided. "
        "Materialize champion_refit, model_evaluation and champion_model again."
    )


def of_dataset(version: Version) -> str:
    """A version's dataset, as an addition to a sentence; empty where it was not recorded."""
    return f" of {version.dataset}" if version.dataset else ""


def _because(hold: Hold) -> str:
    return (
        f"version {hold.version}, of the same recipe, is held back since {hold.created_at:%Y-%m-%d} by {hold.held_by}: "
        f"{hold.reason.rstrip('.')}; `movierec model release {hold.version}` ends that"
    )
