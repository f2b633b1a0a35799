"""One honest experiment in memory: choose a recipe on validation, fit it, and score it beside every baseline.

Belongs here: the order of things, for both protocols. The parts are in `split`, `search`, `als`, `baselines` and
`evaluation`; reading ratings and writing results is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from movierec_assets.progress import Log, Progress
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, baselines, ranking
from movierec_assets.recsys.als import Recipe
from movierec_assets.recsys.batches import BATCH_BYTES, stage
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.evaluation import WITH_INTERVALS, Evaluation, evaluate, with_intervals
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.search import Budget, Exam, Found, Trial, search
from movierec_assets.recsys.shortage import why_few
from movierec_assets.recsys.split import Protocol, Split, StrongSplit, Task, leave_latest_out, strong_generalization

MODEL, ORIGINAL, POPULARITY, ITEM_KNN, EASE = "als", "original recipe", "popularity", "item-kNN", "EASE"
CUTOFFS_OF: dict[Protocol, tuple[int, ...]] = {
    "leave-latest-out": CUTOFFS,
    "strong-generalization": (10, 20, 50, 100),
}
"""List lengths that each protocol is reported at."""
HEADLINES_OF: dict[Protocol, tuple[str, ...]] = {
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


def nobody_to_score(earlier: Interactions, held_out: Interactions) -> RecsysError:
    """What to raise when no user can be scored."""
    return RecsysError(
        f"No user can be scored: nobody has enough likes before the held-out ones. {why_few(earlier, held_out)}"
    )


@dataclass(frozen=True)
class Experiment:
    """What came out.

    Attributes
    ----------
    protocol : str
    recipe : Recipe
        The one that was fitted.
    found : Found or None
        The search; None when there was none.
    task : Task
        Training data, scored users, histories and what was held out.
    ids : IdMaps
    lists : TopK
        The model's.
    evaluations : list of Evaluation
        The model first, then each baseline; all for the same users.
    """

    protocol: Protocol
    recipe: Recipe
    found: Found | None
    task: Task
    ids: IdMaps
    lists: TopK
    evaluations: list[Evaluation]


def run(
    positives: RatingColumns,
    *,
    protocol: Protocol = "leave-latest-out",
    budget: Budget | None = None,
    seed: int = 0,
    progress: Callable[[Trial, float], None] | None = None,
    log: Log = lambda _: None,
) -> Experiment:
    """Search, fit and evaluate.

    Parameters
    ----------
    positives : RatingColumns
    protocol : {"leave-latest-out", "strong-generalization"}
    budget : Budget or None
        Of the search; None takes the built-in recipe.
    seed : int
        Of the search, of all fits, and of the choice of held-out users.
    progress : callable, optional
        Called after each trial with it and the best value so far.
    log : callable
        Told what is going on.

    Returns
    -------
    Experiment

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
        exam = Exam.latest(split.train, split.validation) if isinstance(split, Split) else Exam.strong(split)
        found = search(exam, budget=budget, built_in=recipe, seed=seed, progress=progress)
        recipe = found.recipe
    task, validation = split.task("test"), split.task("validation")
    if len(task.users) == 0:
        if isinstance(split, Split):
            raise nobody_to_score(split.before("test"), split.test)
        raise RecsysError("No user can be scored: nobody is held out. Load more ratings.")
    cutoffs = CUTOFFS_OF[protocol]
    k = max(cutoffs)
    log("Fitting the recipe")
    factors = als.fit(task.train, recipe)
    lists = rank(task, factors, recipe, k)
    log("Fitting the baselines")
    ranked = {
        MODEL: lists,
        ORIGINAL: baselines.original_recipe(task.train, task.histories, k, seed, task.users),
        POPULARITY: baselines.popularity(task.train, task.histories, k),
        ITEM_KNN: baselines.item_knn(task.train, task.histories, k),
    }
    if baselines.ease_feasible(task.train):
        regularization = (
            baselines.choose_ease_lambda(validation.train, validation.histories, validation.held_out)
            if len(validation.users)
            else baselines.EASE_GRID[len(baselines.EASE_GRID) // 2]
        )
        ranked[EASE] = baselines.ease(task.train, task.histories, k, regularization)
    evaluations = [
        evaluate(name, each, task.held_out, task.train, cutoffs, histories=task.histories)
        for name, each in ranked.items()
    ]
    evaluations = with_intervals(evaluations, HEADLINES_OF[protocol])
    return Experiment(protocol, recipe, found, task, ids, lists, evaluations)


def rank(
    task: Task,
    factors: als.Factors,
    recipe: Recipe,
    k: int,
    *,
    batch_bytes: int = BATCH_BYTES,
    progress: Progress | None = None,
) -> TopK:
    """Lists of a fit for the scored users of a task, folded in from their histories.

    `batch_bytes` and `progress` are as for `ranking.recommend`; progress counts each user twice, once for each step.
    """
    vectors = als.fold_in(
        factors.movies,
        task.histories,
        recipe,
        factors.confidence,
        batch_bytes=batch_bytes,
        progress=stage(progress, 0, 2),
    )
    return ranking.recommend(
        vectors, factors.movies, task.histories.stars, k, batch_bytes=batch_bytes, progress=stage(progress, 1, 2)
    )
