"""Which version is served: the decision about the challenger, and the champion it leaves.

Belongs here: the asset `champion_model`. The rule is in `recsys.promotion`; moving the alias and keeping the history is
done by `models.decisions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from dagster import AssetExecutionContext, DataVersion, Failure, MaterializeResult, MetadataValue, asset

from movierec_assets.defs.decision_metadata import require_compared_with, shown_decision, shown_history
from movierec_assets.defs.evaluation import CHALLENGER_LISTS, CHAMPION_LISTS, LEAD, NO_CHAMPION, POPULARITY_LISTS
from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, peak_memory
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.decision_history import Record
from movierec_assets.models.decisions import Promotions, Turn
from movierec_assets.models.holds import Hold
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import Version
from movierec_assets.recsys.comparison import Interval, paired_difference
from movierec_assets.recsys.evaluation import HEADLINE
from movierec_assets.recsys.promotion import HELD, Comparison, Decision, Margins, decide, decide_refit
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SPLIT, UNCHANGED, mismatches, record, refuse
from movierec_assets.settings import get_settings

NOTHING_CHANGED = "Nothing has changed since it was trained: the same likes, recipe, seed and code."


@dataclass(frozen=True)
class Candidates:
    """The challenger and the champion beside it, with what the evaluation found.

    Attributes
    ----------
    challenger : Challenger
    registered : Version
        The challenger in the registry.
    champion_fit : ChampionFit
    scores : mapping of str to DataFrame
        Per-user scores of each ranker, by user.
    evaluated : mapping of str
        Metadata of the evaluation.
    """

    challenger: Challenger
    registered: Version
    champion_fit: ChampionFit
    scores: Mapping[str, pd.Series]
    evaluated: Mapping[str, Any]

    @property
    def ndcg(self) -> float:
        """Mean NDCG@10 of the challenger."""
        return float(self.scores[CHALLENGER_LISTS].mean())

    def over_popularity(self, ranker: str) -> Interval:
        """Lead of a ranker over popularity on the same users."""
        mine = self.scores[ranker]
        return paired_difference(mine.to_numpy(), self.scores[POPULARITY_LISTS].loc[mine.index].to_numpy())

    def comparison(self) -> Comparison | None:
        """The champion beside the challenger; None without a champion."""
        fit = self.champion_fit
        if fit.champion is None:
            return None
        found = self.evaluated.get(LEAD)
        if found is None:
            return Comparison(float("nan"), None, fit.same_recipe, fit.changed_data, fit.only_removed)
        lead = Interval(found["mean"], found["low"], found["high"])
        return Comparison(found["champion_ndcg"], lead, fit.same_recipe, fit.changed_data, fit.only_removed)


@asset(
    group_name=TRAINING,
    kinds={"mlflow"},
    owners=[MODEL_TEAM],
    code_version="2",
)
def champion_model(
    context: AssetExecutionContext,
    als_model: Challenger,
    champion_refit: ChampionFit,
    model_evaluation: pd.DataFrame,
    registry: RegistryResource,
    postgres: PostgresResource,
) -> MaterializeResult[None]:
    """The version that is served: carries the registry's alias `champion`.

    The challenger takes the alias when it is better than the champion of the same dataset on the same users, when it is
    not worse and was trained on changed data, or when there is no such champion and it is clearly better than
    popularity. On changed data the champion's recipe takes it where the challenger's recipe did not prove itself. The
    reason is metadata here, a tag on the version, and a row of the table `promotion_decisions`. Nobody else changes the
    champion between the comparison's check and the decision.
    """
    versions = registry.open()
    promotions = Promotions(versions, postgres.open())
    evaluated = _require_together(context, als_model, champion_refit, versions)
    scores = {
        str(ranker): frame.set_index("user_id")[HEADLINE]
        for ranker, frame in model_evaluation.groupby("ranker", sort=False)
    }
    candidates = Candidates(als_model, versions.version(als_model.version), champion_refit, scores, evaluated)
    with promotions.turn("champion_model", context.run.run_id) as turn:
        decided = _decide(turn, promotions, candidates, context.run.run_id)
        now = turn.champion
    for record_ in decided:
        context.log.info(f"Version {record_.version}: {record_.outcome}. {record_.reason}")
    about_challenger, last = decided[0], decided[-1]
    shown = {
        "challenger_version": MetadataValue.int(als_model.version),
        "challenger_ndcg_at_10": MetadataValue.float(candidates.ndcg),
        "dataset": MetadataValue.text(str(candidates.registered.dataset)),
        "challenger_outcome": MetadataValue.text(about_challenger.outcome),
        "challenger_reason": MetadataValue.text(about_challenger.reason),
        **shown_decision(last),
        UNCHANGED: MetadataValue.bool(False),
        "history": shown_history(promotions.history(10)),
    }
    if last.dagster_run_id != context.run.run_id:
        shown |= _shown_unchanged(last)
    if now is None or not _serves(now, candidates.registered):
        raise Failure(
            f"{about_challenger.reason} Nothing is served{_of(candidates.registered)}. Load more ratings or search for "
            f"a recipe (job `search`); `movierec model promote {als_model.version} --reason ...` makes it the champion "
            "all the same.",
            metadata=shown,
            allow_retries=False,
        )
    return MaterializeResult(
        data_version=DataVersion(str(now.number)),
        metadata={"champion_version": MetadataValue.int(now.number), **shown, **peak_memory()},
    )


def _shown_unchanged(stands: Record) -> dict[str, MetadataValue[Any]]:
    """Metadata of a run that had nothing to decide, beside that of the earlier decision which stands."""
    if stands.promoted:
        happened = f"Version {stands.version} is the champion since {stands.decided_at:%Y-%m-%d} ({stands.outcome})."
        reason = f"{happened} {NOTHING_CHANGED}"
    else:
        happened = f"since version {stands.version} was compared with champion {stands.previous}"
        reason = f"Nothing has changed {happened} on {stands.decided_at:%Y-%m-%d}. {stands.reason}"
    return {
        "outcome": MetadataValue.text(UNCHANGED),
        "reason": MetadataValue.text(reason),
        "promoted": MetadataValue.bool(False),
        UNCHANGED: MetadataValue.bool(True),
    }


def _decide(turn: Turn, promotions: Promotions, candidates: Candidates, run_id: str) -> list[Record]:
    """Decide about the challenger, then about what follows from it; the last decision says who serves.

    A step that is tried again finds what it decided before, and so does one whose candidate is the champion already.
    """
    challenger, fit = candidates.challenger, candidates.champion_fit
    versions = [challenger.version, *([fit.refit.version] if fit.refit else [])]
    serving = turn.champion is not None and turn.champion.number in versions
    champion = turn.incumbent(*_problem(candidates.registered))
    if champion is not None and champion.number == challenger.version and fit.refit is None:
        return [_about_itself(turn, champion, candidates)]
    done = {
        record_.version: record_
        for record_ in reversed(promotions.history(20))
        if record_.state == "done" and (serving or record_.dagster_run_id == run_id)
    }
    about = done.get(challenger.version) or _standing(turn, promotions, candidates, champion)
    if about is None:
        require_compared_with(None if champion is None else champion.number, fit.champion)
        about = turn.carry_out(challenger.version, _about_challenger(turn, promotions, candidates))
    decided = [about]
    if fit.refit is not None:
        about_refit = done.get(fit.refit.version)
        if about_refit is None:
            about_refit = turn.carry_out(fit.refit.version, _about_refit(turn, about, candidates))
        decided.append(about_refit)
    if champion is not None and not any(record_.promoted for record_ in decided) and _is_to_return(turn, champion):
        reason = f"{_serves_again(turn, champion)} Version {about.version}: {about.reason}"
        decided.append(turn.carry_out(champion.number, Decision(True, "returned", reason)))
    return decided


def _standing(turn: Turn, promotions: Promotions, candidates: Candidates, champion: Version | None) -> Record | None:
    """An earlier decision that kept this very version from promotion, when it would be taken again."""
    challenger, settings = candidates.challenger, get_settings()
    fit = candidates.champion_fit
    latest = next(
        (each for each in promotions.history(version=challenger.version) if each.version == challenger.version), None
    )
    if latest is None or (latest.outcome, latest.state) != ("kept", "done") or fit.refit is not None:
        return None
    margins = {"improvement_margin": settings.improvement_margin, "refresh_margin": settings.refresh_margin}
    same_rule = all(latest.numbers.get(name) == value for name, value in margins.items())
    same_champion = turn.champion is not None and champion is not None and turn.champion.number == champion.number
    same_champion &= champion is not None and latest.previous == champion.number == fit.champion
    held = any(hold.covers_recipe(challenger.recipe) for hold in _holds(turn, candidates))
    return latest if same_rule and same_champion and not held and HELD not in latest.numbers else None


def _about_itself(turn: Turn, champion: Version, candidates: Candidates) -> Record:
    """What is decided where nothing has changed since the champion of the challenger's likes was trained.

    Nothing, when it serves: then the record is the one that made it champion.
    """
    latest = turn.latest()
    if turn.champion is not None and turn.champion.number == champion.number:
        assert latest is not None, "the history was settled at the beginning of the turn"
        return latest
    if turn.champion is None or _is_to_return(turn, champion):
        reason = f"{_serves_again(turn, champion)} {NOTHING_CHANGED}"
        return turn.carry_out(champion.number, Decision(True, "returned", reason))
    recipe, likes = candidates.challenger.recipe, candidates.challenger.provenance["positives"]
    held = next((hold for hold in _holds(turn, candidates) if hold.covers(recipe, likes)), None)
    why = "another version was chosen by hand" if held is None else _sentence(held)
    numbers = {} if held is None else {HELD: 1.0}
    return turn.carry_out(
        champion.number, Decision(False, "kept", f"Champion kept ({why}). {NOTHING_CHANGED}", numbers)
    )


def _serves_again(turn: Turn, champion: Version) -> str:
    before = "no version" if turn.champion is None else f"version {turn.champion.number}{_of(turn.champion)}"
    return f"The champion{_of(champion)} serves again, instead of {before}."


def _about_challenger(turn: Turn, promotions: Promotions, candidates: Candidates) -> Decision:
    settings = get_settings()
    fingerprint = candidates.challenger.provenance["positives"]
    recipe = candidates.challenger.recipe
    same = candidates.champion_fit.champion is None or candidates.champion_fit.same_recipe
    holds = [hold for hold in _holds(turn, candidates) if hold.covers_recipe(recipe)]
    # A recipe that the champion has too was not taken away for being what it is, but for its data.
    held = next((hold for hold in holds if hold.covers(recipe, fingerprint) or not same), None)
    decision = decide(
        challenger_ndcg=candidates.ndcg,
        over_popularity=candidates.over_popularity(CHALLENGER_LISTS),
        champion=candidates.comparison(),
        why_none=_why_no_champion(turn, promotions, candidates.registered),
        held=None if held is None else _sentence(held),
        margins=Margins(settings.improvement_margin, settings.refresh_margin),
    )
    if held is None and holds and decision.promoted:
        note = f"Version {holds[-1].version} of the same recipe is held back, but the data has changed since."
        return replace(decision, reason=f"{decision.reason} {note}")
    return decision


def _holds(turn: Turn, candidates: Candidates) -> list[Hold]:
    """Holds on the challenger's dataset."""
    dataset = candidates.registered.dataset
    return turn.holds(dataset.id if dataset else None)


def _sentence(hold: Hold) -> str:
    return (
        f"version {hold.version}, of the same recipe, is held back since {hold.created_at:%Y-%m-%d} by {hold.held_by}: "
        f"{hold.reason.rstrip('.')}; `movierec model release {hold.version}` ends that"
    )


def _about_refit(turn: Turn, about: Record, candidates: Candidates) -> Decision:
    """The champion's recipe on changed data is only needed where the challenger was kept, and can be held itself."""
    refit = candidates.champion_fit.refit
    assert refit is not None
    for hold in _holds(turn, candidates):
        if hold.covers(refit.recipe, refit.provenance["positives"]):
            return Decision(False, "kept", f"Champion kept ({_sentence(hold)}).", {HELD: 1.0})
    if about.promoted:
        return Decision(False, "kept", f"Not needed: version {about.version} was promoted.")
    if about.outcome != "kept":
        return Decision(False, "kept", f"Not needed: version {about.version} was {about.outcome}.")
    return decide_refit(candidates.over_popularity(CHAMPION_LISTS), about.version)


def _why_no_champion(turn: Turn, promotions: Promotions, challenger: Version) -> str:
    """Why there is nothing to compare with, as the beginning of a reason."""
    other = turn.champion
    broken = turn.broken_incumbent(*_problem(challenger))
    if broken is not None:
        return f"No champion to compare with: {broken}"
    if other is None:
        loss = promotions.loss()
        return "No champion yet" if loss is None else f"No champion any more ({loss.happened})"
    if other.dataset != challenger.dataset and other.dataset is not None:
        return f"The first champion of {challenger.dataset}; version {other.number} is of {other.dataset}"
    return (
        f"The first champion where {challenger.positive_threshold or 0:g} stars are a like; for version {other.number} "
        f"{other.positive_threshold or 0:g} stars are"
    )


def _problem(version: Version) -> tuple[int | None, float | None]:
    return version.dataset.id if version.dataset else None, version.positive_threshold


def _is_to_return(turn: Turn, champion: Version) -> bool:
    """Whether a dataset's champion takes the alias back: from another dataset's, or another definition of a like.

    A version of the same dataset keeps the alias when a person gave it.
    """
    now, latest = turn.champion, turn.latest()
    if now is None or now.number == champion.number:
        return False
    same_dataset = _serves(now, champion)
    chosen = latest is not None and latest.version == now.number and latest.outcome in ("manual", "rollback")
    return not (same_dataset and chosen)


def _serves(champion: Version, challenger: Version) -> bool:
    """Whether a champion is of the challenger's dataset, as far as both say."""
    return champion.dataset is None or challenger.dataset is None or champion.dataset.id == challenger.dataset.id


def _of(version: Version) -> str:
    return f" of {version.dataset}" if version.dataset else ""


def _require_together(
    context: AssetExecutionContext,
    als_model: Challenger,
    champion_refit: ChampionFit,
    versions: ModelRegistry,
) -> dict[str, Any]:
    """Refuse an evaluation of others, and a registry with another version of this number; returns its metadata."""
    evaluated = record(context.instance, "model_evaluation")
    registered = versions.version(als_model.version)
    refuse(
        "champion_model was handed artefacts that do not belong together",
        mismatches(
            {
                "version that model_evaluation scored": str(evaluated.get("model_version")),
                "champion that model_evaluation scored": str(evaluated.get("champion_version")),
                "split that model_evaluation scored on": evaluated.get(SPLIT),
                "MLflow run of the registered version": registered.run_id,
                "positives of the registered version": registered.tags.get("positives_fingerprint"),
            },
            {
                "version that model_evaluation scored": str(als_model.version),
                "champion that model_evaluation scored": str(champion_refit.champion or NO_CHAMPION),
                "split that model_evaluation scored on": als_model.provenance["split"],
                "MLflow run of the registered version": als_model.run_id,
                "positives of the registered version": als_model.provenance["positives"],
            },
        ),
        "Materialize als_model and what follows it again (job `train`).",
    )
    return evaluated
