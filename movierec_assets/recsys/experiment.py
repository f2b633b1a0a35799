"""One experiment in memory: choose a recipe on validation, fit it, and score it beside every baseline.

Belongs here: the order of the steps, for both protocols. Does not: the steps (`split`, `search`, `baselines`,
`evaluation`), reading ratings and writing results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from movierec_assets.progress import Log
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import baselines
from movierec_assets.recsys.engine import Fit
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.evaluation import WITH_INTERVALS, Evaluation, evaluate, with_intervals
from movierec_assets.recsys.few_users import nobody_to_score
from movierec_assets.recsys.interactions import IdMaps
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.rankers import EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.scoring import rank
from movierec_assets.recsys.search import Budget, SearchObjective, SearchResult, Trial, search
from movierec_assets.recsys.split import ProtocolName, Split, StrongSplit, Task, leave_latest_out, strong_generalization

CUTOFFS_OF: dict[ProtocolName, tuple[int, ...]] = {
    "leave-latest-out": CUTOFFS,
    "strong-generalization": (10, 20, 50, 100),
}
"""List lengths that each protocol is reported at."""
HEADLINES_OF: dict[ProtocolName, tuple[str, ...]] = {
    "leave-latest-out": WITH_INTERVALS,
    "strong-generalization": (
        "ndcg_at_100",
        "recall_at_20",
        "recall_at_50",
        "truncated_recall_at_20",
        "truncated_recall_at_50",
    ),
}
"""Metrics that are shown with their uncertainty."""


@dataclass(frozen=True)
class Experiment:
    """The result of an experiment.

    Attributes
    ----------
    protocol : str
    recipe : Recipe
        The one that was fitted.
    found : SearchResult or None
        Result of the search; None when there was none.
    task : Task
        Training data, scored users, histories and held-out likes.
    ids : IdMaps
    lists : TopK
        Of the recipe.
    evaluations : list of Evaluation
        Of the recipe first, then of each baseline; all for the same users.
    """

    protocol: ProtocolName
    recipe: Recipe
    found: SearchResult | None
    task: Task
    ids: IdMaps
    lists: TopK
    evaluations: list[Evaluation]


def run(
    positives: RatingColumns,
    *,
    fit: Fit,
    protocol: ProtocolName = "leave-latest-out",
    budget: Budget | None = None,
    seed: int = 0,
    progress: Callable[[Trial, float], None] | None = None,
    log: Log = lambda _: None,
) -> Experiment:
    """Search, fit and evaluate.

    Parameters
    ----------
    positives : RatingColumns
    fit : Fit
    protocol : {"leave-latest-out", "strong-generalization"}
    budget : Budget or None
        Of the search; with None the built-in recipe is used.
    seed : int
        Of the search, of all fits, and of the choice of held-out users.
    progress : callable, optional
        Called with each trial when it ends, and the best value so far.
    log : callable
        Called with the name of each step.

    Raises
    ------
    RecsysError
        When there is nothing to learn from, to choose on or to score.
    """
    split: Split | StrongSplit
    if protocol == "leave-latest-out":
        split, ids = leave_latest_out(positives)
    else:
        split, ids = strong_generalization(positives, seed=seed)
    recipe, found = Recipe(seed=seed), None
    if budget is not None:
        log("Searching for a recipe on the validation part")
        objective = (
            SearchObjective.latest(split.train, split.validation)
            if isinstance(split, Split)
            else SearchObjective.strong(split)
        )
        found = search(objective, fit, budget=budget, built_in=recipe, seed=seed, progress=progress)
        recipe = found.recipe
    task, validation = split.task("test"), split.task("validation")
    if len(task.users) == 0:
        if isinstance(split, Split):
            raise nobody_to_score(split.history, split.test)
        raise RecsysError("No user can be scored: nobody is held out. Load more ratings.")
    cutoffs = CUTOFFS_OF[protocol]
    k = max(cutoffs)
    log("Fitting the recipe")
    lists = rank(task, fit(task.train, recipe), recipe, k)
    log("Fitting the baselines")
    names = [ORIGINAL, POPULARITY, ITEM_KNN]
    regularization = baselines.EASE_GRID[len(baselines.EASE_GRID) // 2]
    if baselines.ease_feasible(task.train):
        names.append(EASE)
        if len(validation.users):
            regularization = baselines.choose_ease_lambda(validation.train, validation.histories, validation.held_out)
    ranked = {MODEL: lists, **baselines.rank(names, task, k, seed=seed, ease_regularization=regularization)}
    evaluations = [
        evaluate(name, each, task.held_out, task.train, cutoffs, histories=task.histories)
        for name, each in ranked.items()
    ]
    evaluations = with_intervals(evaluations, HEADLINES_OF[protocol])
    return Experiment(protocol, recipe, found, task, ids, lists, evaluations)
