"""Which version is served: the decision about the challenger, and the champion it leaves.

Belongs here: the asset `champion_model`. The rule is in `recsys.promotion`; moving the alias and keeping the history is
done by `resources.decisions`.
"""

import pandas as pd
from dagster import AssetExecutionContext, DataVersion, Failure, MaterializeResult, MetadataValue, asset

from movierec_assets.defs.decision_metadata import compared_with, require_compared_with, shown_decision, shown_history
from movierec_assets.defs.evaluation import CHALLENGER_LISTS, CHAMPION_LISTS, POPULARITY_LISTS
from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, peak_memory
from movierec_assets.defs.provenance import SPLIT, record, require_recorded
from movierec_assets.recsys.comparison import paired_difference
from movierec_assets.recsys.evaluation import HEADLINE
from movierec_assets.recsys.promotion import Margins, decide, opponent
from movierec_assets.resources.challenger import Challenger
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.decisions import Promotions
from movierec_assets.resources.provenance import mismatches, refuse
from movierec_assets.resources.registry import ModelRegistry, Version
from movierec_assets.settings import get_settings


@asset(
    group_name=TRAINING,
    kinds={"mlflow"},
    owners=[MODEL_TEAM],
    code_version="1",
)
def champion_model(
    context: AssetExecutionContext,
    als_model: Challenger,
    model_evaluation: pd.DataFrame,
    registry: RegistryResource,
    postgres: PostgresResource,
) -> MaterializeResult[None]:
    """The version that is served: carries the registry's alias `champion`.

    The challenger takes the alias when it is better than the champion on the same users, when it is not worse and was
    trained on newer data, or when there is no champion and it is clearly better than popularity. The reason is metadata
    here, a tag on the version, and a row of the table `promotion_decisions`. Nobody else changes the champion between
    the comparison's check and the decision.
    """
    versions = registry.open()
    promotions = Promotions(versions, postgres.open())
    _require_together(context, als_model, model_evaluation, versions)
    compared = compared_with(context.instance)
    scores = {ranker: frame[HEADLINE].to_numpy() for ranker, frame in model_evaluation.groupby("ranker", sort=False)}
    ndcg = float(scores[CHALLENGER_LISTS].mean())
    with promotions.turn("champion_model", context.run.run_id) as turn:
        champion = turn.champion
        decided = turn.latest()
        # A step that is tried again after the alias moved finds its work done.
        if champion is None or decided is None or champion.number != als_model.version:
            difference = None
            if champion is not None:
                require_compared_with(champion.number, compared, scored=CHAMPION_LISTS in scores)
                difference = paired_difference(scores[CHALLENGER_LISTS], scores[CHAMPION_LISTS])
            settings = get_settings()
            decision = decide(
                challenger_ndcg=ndcg,
                over_popularity=paired_difference(scores[CHALLENGER_LISTS], scores[POPULARITY_LISTS]),
                over_champion=difference,
                same_recipe=champion is not None and _same_recipe(champion, als_model),
                newer_data=champion is not None and _is_newer(versions.version(als_model.version), champion),
                margins=Margins(settings.improvement_margin, settings.refresh_margin),
            )
            decided = turn.carry_out(als_model.version, decision)
        now = turn.champion
    context.log.info(f"Version {als_model.version}: {decided.outcome}. {decided.reason}")
    shown = {
        "challenger_version": MetadataValue.int(als_model.version),
        "challenger_ndcg_at_10": MetadataValue.float(ndcg),
        **shown_decision(decided),
        "history": shown_history(promotions.history(10)),
    }
    if now is None:
        raise Failure(
            f"{decided.reason} Nothing is served. Load more ratings or search for a recipe (job `search`); "
            f"`movierec model promote {als_model.version} --reason ...` makes it the champion all the same.",
            metadata=shown,
            allow_retries=False,
        )
    return MaterializeResult(
        data_version=DataVersion(str(now.number)),
        metadata={"champion_version": MetadataValue.int(now.number), **shown, **peak_memory()},
    )


def _same_recipe(champion: Version, challenger: Challenger) -> bool:
    return opponent(champion.recipe, challenger.recipe) == challenger.recipe


def _is_newer(challenger: Version, champion: Version) -> bool:
    """Whether a version was trained on a later like than another, or on more of them until the same one."""
    if challenger.tags.get("positives_fingerprint") == champion.tags.get("positives_fingerprint"):
        return False
    ours, theirs = (
        (int(each.tags.get("latest_like", 0)), int(each.tags.get("positives", 0))) for each in (challenger, champion)
    )
    return ours > theirs


def _require_together(
    context: AssetExecutionContext, als_model: Challenger, evaluation: pd.DataFrame, versions: ModelRegistry
) -> None:
    """Refuse an evaluation of another challenger, and a registry that holds another version by this number."""
    require_recorded(context.instance, "champion_model", "als_model", als_model)
    require_recorded(context.instance, "champion_model", "model_evaluation", evaluation)
    evaluated = record(context.instance, "model_evaluation")
    registered = versions.version(als_model.version)
    refuse(
        "champion_model was handed artefacts that do not belong together",
        mismatches(
            {
                "version that model_evaluation scored": str(evaluated.get("model_version")),
                "split that model_evaluation scored on": evaluated.get(SPLIT),
                "MLflow run of the registered version": registered.run_id,
                "positives of the registered version": registered.tags.get("positives_fingerprint"),
            },
            {
                "version that model_evaluation scored": str(als_model.version),
                "split that model_evaluation scored on": als_model.provenance["split"],
                "MLflow run of the registered version": als_model.run_id,
                "positives of the registered version": als_model.provenance["positives"],
            },
        ),
        "Materialize als_model and what follows it again (job `train`).",
    )
