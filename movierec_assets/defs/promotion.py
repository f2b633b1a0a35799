"""Which version is served: the decision about the challenger, and the champion after it.

Belongs here: the asset `champion_model` and its metadata. Does not: the decisions (`models.gate`), the rule
(`recsys.promotion`), moving the alias and the history (`models.decisions`).

Dagster concept: https://docs.dagster.io/guides/build/assets
"""

from typing import Any

import pandas as pd
from dagster import AssetExecutionContext, DataVersion, Failure, MaterializeResult, MetadataValue, asset

from movierec_assets.defs.decision_metadata import shown_decision, shown_history
from movierec_assets.defs.evaluation import LEAD
from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, peak_memory
from movierec_assets.defs.return_evaluation import of_other_candidates
from movierec_assets.defs.return_figures import ReturnFigures
from movierec_assets.defs.run_limits import POOL
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.decisions import Promotions, Record
from movierec_assets.models.gate import NOTHING_CHANGED, Candidates, Gate, of_dataset
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import other_data
from movierec_assets.recsys.comparison import Interval, paired_difference
from movierec_assets.recsys.evaluation import HEADLINE
from movierec_assets.recsys.promotion import Comparison, Margins, OnReturn
from movierec_assets.recsys.rankers import CHAMPION, MODEL, POPULARITY
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import UNCHANGED, mismatches, record, refuse
from movierec_assets.settings import get_settings


@asset(
    group_name=TRAINING,
    pool=POOL,
    kinds={"mlflow"},
    owners=[MODEL_TEAM],
    code_version="2",
)
def champion_model(
    context: AssetExecutionContext,
    als_model: Challenger,
    champion_refit: ChampionFit,
    return_evaluation: pd.DataFrame,
    model_evaluation: pd.DataFrame,
    registry: RegistryResource,
    postgres: PostgresResource,
) -> MaterializeResult[None]:
    """The version that is served: carries the registry's alias `champion`.

    The challenger takes the alias when it is better than the champion of the same dataset on the same users, when it is
    not worse and was trained on changed data, or when there is no such champion and it is clearly better than
    popularity. A challenger whose recipe is clearly worse for people who come back does not take it. On changed data
    the champion's recipe takes it where the challenger's recipe did not prove itself. The reason is metadata here, a
    tag on the version, and a row of the table `promotion_decisions`. Nobody else changes the champion between the
    comparison's check and the decision.
    """
    versions = registry.open()
    promotions = Promotions(versions, postgres.open())
    evaluated = _require_together(context, als_model, champion_refit, versions)
    on_return = ReturnFigures.of(return_evaluation).compared
    candidates = _candidates(als_model, champion_refit, model_evaluation, evaluated, on_return, versions)
    settings = get_settings()
    margins = Margins(settings.improvement_margin, settings.refresh_margin)
    with promotions.transaction("champion_model", context.run.run_id) as transaction:
        decided = Gate(promotions, transaction, candidates, margins, context.run.run_id).decide()
        champion = transaction.champion
    for each in decided:
        context.log.info(f"Version {each.version}: {each.outcome}. {each.reason}")
    shown = _shown(candidates, decided, promotions.history(10), context.run.run_id)
    trained = candidates.registered
    if champion is None or other_data(champion, trained.dataset) is not None:
        raise Failure(
            f"{decided[0].reason} Nothing is served{of_dataset(trained)}. Load more ratings or search for a recipe "
            f"(job `search`); `movierec model promote {trained.number} --reason ...` makes it the champion all "
            "the same.",
            metadata=shown,
            allow_retries=False,
        )
    return MaterializeResult(
        data_version=DataVersion(str(champion.number)),
        metadata={"champion_version": MetadataValue.int(champion.number), **shown, **peak_memory()},
    )


def _candidates(
    als_model: Challenger,
    champion_refit: ChampionFit,
    evaluation: pd.DataFrame,
    evaluated: dict[str, Any],
    on_return: OnReturn,
    versions: ModelRegistry,
) -> Candidates:
    """The challenger and the champion's recipe, with their scores as the evaluation and its metadata have them."""
    scores = {
        str(ranker): frame.set_index("user_id")[HEADLINE] for ranker, frame in evaluation.groupby("ranker", sort=False)
    }

    def over_popularity(ranker: str) -> Interval:
        own = scores[ranker]
        return paired_difference(own.to_numpy(), scores[POPULARITY].loc[own.index].to_numpy())

    return Candidates(
        als_model,
        versions.version(als_model.version),
        champion_refit,
        float(scores[MODEL].mean()),
        over_popularity(MODEL),
        over_popularity(CHAMPION) if CHAMPION in scores else None,
        _comparison(champion_refit, evaluated.get(LEAD)),
        on_return,
    )


def _comparison(fit: ChampionFit, measured: dict[str, float] | None) -> Comparison | None:
    """The champion beside the challenger; None without a champion."""
    if fit.champion is None:
        return None
    ndcg = float("nan") if measured is None else measured["champion_ndcg"]
    lead = None if measured is None else Interval(measured["mean"], measured["low"], measured["high"])
    return Comparison(ndcg, lead, fit.same_recipe, fit.changed_data, fit.only_removed)


def _shown(
    candidates: Candidates, decided: list[Record], history: list[Record], run_id: str
) -> dict[str, MetadataValue[Any]]:
    """Metadata of the decisions; the last one says which version serves."""
    about_challenger, last = decided[0], decided[-1]
    return {
        "challenger_version": MetadataValue.int(candidates.challenger.version),
        "challenger_ndcg_at_10": MetadataValue.float(candidates.challenger_ndcg),
        **{f"challenger_{name}": MetadataValue.float(value) for name, value in candidates.on_return.numbers.items()},
        "dataset": MetadataValue.text(str(candidates.registered.dataset)),
        "challenger_outcome": MetadataValue.text(about_challenger.outcome),
        "challenger_reason": MetadataValue.text(about_challenger.reason),
        **shown_decision(last),
        UNCHANGED: MetadataValue.bool(False),
        "history": shown_history(history),
        **({} if last.dagster_run_id == run_id else _shown_unchanged(last)),
    }


def _shown_unchanged(earlier: Record) -> dict[str, MetadataValue[Any]]:
    """Metadata of a run that decides nothing, because an earlier decision is still valid."""
    if earlier.promoted:
        happened = f"Version {earlier.version} is the champion since {earlier.decided_at:%Y-%m-%d} ({earlier.outcome})."
        reason = f"{happened} {NOTHING_CHANGED}"
    else:
        happened = f"since version {earlier.version} was compared with champion {earlier.previous}"
        reason = f"Nothing has changed {happened} on {earlier.decided_at:%Y-%m-%d}. {earlier.reason}"
    return {
        "outcome": MetadataValue.text(UNCHANGED),
        "reason": MetadataValue.text(reason),
        "promoted": MetadataValue.bool(False),
        UNCHANGED: MetadataValue.bool(True),
    }


def _require_together(
    context: AssetExecutionContext,
    als_model: Challenger,
    champion_refit: ChampionFit,
    versions: ModelRegistry,
) -> dict[str, Any]:
    """Refuse an evaluation of other versions, and a registry with another version of this number.

    Returns the metadata of the evaluation.
    """
    registered = versions.version(als_model.version)
    refuse(
        "champion_model was handed artifacts that do not belong together",
        [
            *of_other_candidates("return_evaluation", context.instance, als_model, champion_refit),
            *of_other_candidates("model_evaluation", context.instance, als_model, champion_refit),
            *mismatches(
                {
                    "MLflow run of the registered version": registered.run_id,
                    "positives of the registered version": registered.tags.get("positives_fingerprint"),
                },
                {
                    "MLflow run of the registered version": als_model.run_id,
                    "positives of the registered version": als_model.provenance["positives"],
                },
            ),
        ],
        "Materialize als_model and what follows it again (job `train`).",
    )
    return record(context.instance, "model_evaluation")
