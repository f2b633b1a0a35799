"""How good the challenger's recipe is for people who come back, beside the champion's recipe and popularity.

Belongs here: the asset `return_evaluation`. Does not: the windows in time (`recsys.returns`), figures of the scores
(`return_figures`), scores in the sitting (`evaluation`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from dagster import AssetExecutionContext, DagsterInstance, MetadataValue, asset

from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, embedded, encoded, interval_panels, schema
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.return_figures import ReturnFigures
from movierec_assets.defs.run_limits import POOL
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import DATASET
from movierec_assets.models.version_page import RETURN
from movierec_assets.progress import Progress
from movierec_assets.recsys import als, return_rankers
from movierec_assets.recsys.evaluation import HEADLINE, WITH_INTERVALS
from movierec_assets.recsys.interactions import IntArray, Interactions
from movierec_assets.recsys.promotion import opponent
from movierec_assets.recsys.rankers import CHAMPION, MODEL, WITHOUT_SIGNAL
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.recsys.returns import Returns, sample_of_split
from movierec_assets.recsys.split import Split
from movierec_assets.resources.configurable import RegistryResource
from movierec_assets.resources.provenance import SOURCES, SPLIT, Mismatch, mismatches, record, refuse
from movierec_assets.settings import get_settings

MAX_LIKES = 300_000
"""With more likes, a sample of users is scored. Three windows of so many likes take six seconds for one recipe on two
busy cores, which is less than a tenth of a fit of 20 million ratings there."""
WINDOWS, WINDOWS_OF_A_SAMPLE = 5, 3

NO_CHAMPION = 0
"""Version in the metadata of an evaluation without a champion."""


@asset(
    group_name=TRAINING,
    pool=POOL,
    io_manager_key="parquet",
    kinds={"pandas", "parquet"},
    owners=[MODEL_TEAM],
    code_version="1",
    metadata=schema(
        ranker=("string", "als (the challenger's recipe), the same without the signal, champion, or popularity"),
        window=("int32", "Number of the window, from 1"),
        cut=("int64", "Unix seconds: the fit of the window saw nothing as late"),
        user_id=("int32", "User who came back in the window"),
        held_out=("int32", "Likes of the user in the window"),
        ndcg_at_10=("float64", "And precision, recall, truncated_recall, map, ndcg, hit_rate at 5, 10 and 20"),
    ),
)
def return_evaluation(
    context: AssetExecutionContext,
    als_model: Challenger,
    champion_refit: ChampionFit,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    registry: RegistryResource,
) -> pd.DataFrame:
    """Scores of recipes for people who come back: fits to all likes before a cut, and the likes of the time after it.

    The challenger's recipe is scored beside the champion's, where that is another one, beside itself without the
    next-movie signal, and beside popularity. Each window has fits of its own, because registered versions have seen
    later likes. There are no rows when too few users came back.
    """
    split = Split(train_matrix, validation_matrix, test_matrix)
    frame = report_progress(
        context.log,
        "Fitting the recipes to the likes before each cut",
        lambda log: _scores(
            split,
            ids_from(id_maps).user_ids,
            _recipes(als_model, champion_refit),
            lambda done, of: log(f"Scored the recipes in {done} of {of} windows of time"),
        ),
    )
    figures = ReturnFigures.of(frame)
    context.log.info(figures.about)
    if figures.found:
        _log(registry.open(), als_model, champion_refit, figures)
    recorded = record(context.instance, "train_matrix")
    context.add_output_metadata(
        {
            SPLIT: MetadataValue.text(recorded[SPLIT]),
            "dataset": MetadataValue.text(str(recorded.get(SOURCES, {}).get(DATASET, "unknown"))),
            "model_version": MetadataValue.int(als_model.version),
            # Later assets refuse an evaluation beside another champion than the one of their day.
            "champion_version": MetadataValue.int(champion_refit.champion or NO_CHAMPION),
            **_shown(figures),
        }
    )
    return frame


def of_other_candidates(
    asset_name: str, instance: DagsterInstance, challenger: Challenger, champion: ChampionFit
) -> list[Mismatch]:
    """Differences between the versions that an evaluation scored and those at hand; none when they are the same."""
    evaluated = record(instance, asset_name)
    return mismatches(
        {
            f"version that {asset_name} scored": str(evaluated.get("model_version")),
            f"champion that {asset_name} scored": str(evaluated.get("champion_version")),
        },
        {
            f"version that {asset_name} scored": str(challenger.version),
            f"champion that {asset_name} scored": str(champion.champion or NO_CHAMPION),
        },
    )


def require_same_candidates(
    consumer: str, instance: DagsterInstance, challenger: Challenger, champion: ChampionFit
) -> None:
    """Refuse scores on return of another challenger or beside another champion.

    Raises
    ------
    ProvenanceError
    """
    refuse(
        f"{consumer} was handed artifacts that do not belong together",
        of_other_candidates("return_evaluation", instance, challenger, champion),
        "Materialize return_evaluation and what follows it again (job `train`).",
    )


def _recipes(challenger: Challenger, champion: ChampionFit) -> dict[str, Recipe]:
    """The recipes to score, by ranker."""
    found = {MODEL: challenger.recipe}
    if champion.recipe is not None and not champion.same_recipe:
        found[CHAMPION] = opponent(champion.recipe, challenger.recipe)
    if challenger.recipe.next_movie.on:
        found[WITHOUT_SIGNAL] = without_signal(challenger.recipe)
    return found


def _scores(split: Split, user_ids: IntArray, recipes: Mapping[str, Recipe], progress: Progress) -> pd.DataFrame:
    """A row for each ranker, window and user; none when fewer users came back than are asked for."""
    windows = WINDOWS if len(split) <= MAX_LIKES else WINDOWS_OF_A_SAMPLE
    returns = Returns.of(sample_of_split(split, MAX_LIKES, user_ids), windows=windows)
    if len(np.unique(returns.users)) < get_settings().min_evaluated_users:
        returns = Returns(())
    window = return_rankers.window_of(returns)
    cuts = np.array([each.cut for each in returns.windows], dtype=np.int64)
    about = {
        "window": (window + 1).astype(np.int32),
        "cut": cuts[window],
        "user_id": user_ids[returns.users].astype(np.int32),
        "held_out": return_rankers.held_out(returns).astype(np.int32),
    }
    scored = return_rankers.score(returns, recipes, als.engine(), progress)
    frames = [pd.DataFrame({"ranker": each.ranker, **about, **each.per_user}) for each in scored]
    if frames:
        return pd.concat(frames, ignore_index=True)
    return pd.DataFrame({"ranker": np.array([], dtype=object), **about, HEADLINE: np.empty(0)})


def _shown(figures: ReturnFigures) -> dict[str, Any]:
    """Metadata of return_evaluation."""
    values = figures.metrics() | figures.compared.numbers
    if figures.over_signal is not None:
        values |= {f"return_over_signal_{end}": value for end, value in vars(figures.over_signal).items()}
    shown = {
        "windows": MetadataValue.int(figures.windows),
        "user_windows": MetadataValue.int(figures.scores),
        "users": MetadataValue.int(figures.users),
        "report": MetadataValue.md(f"# On return\n\n{figures.as_markdown()}"),
        **{name: MetadataValue.float(value) for name, value in values.items() if name != "return_users"},
    }
    if not figures.found:
        return shown
    panels = {name: {ranker: of[name] for ranker, of in figures.intervals.items()} for name in WITH_INTERVALS}
    picture = interval_panels(panels, f"On return: {figures.about}")
    return shown | {"intervals": embedded(encoded(picture))}


def _log(versions: ModelRegistry, challenger: Challenger, champion: ChampionFit, figures: ReturnFigures) -> None:
    """Log the figures in MLflow, also of the champion's recipe where that was trained as well.

    It is done here, because a challenger that is worse on return may not be evaluated any further.
    """
    headline = f"{RETURN}{HEADLINE}"
    version = versions.version(challenger.version)
    if champion.champion != version.number or headline not in versions.metrics(version):
        versions.log_metrics(version, figures.metrics(), [headline])
    if champion.refit is not None:
        versions.log_metrics(versions.version(champion.refit.version), figures.metrics(CHAMPION), [headline])
