"""A fit for a task, and its lists and scores for the users of the task.

Belongs here: fitting both parts of a recipe, folding users in, ranking for them and scoring the lists, in this order.
Does not: each of these (`als`, `next_movies`, `moment`, `metrics`).
"""

from __future__ import annotations

from movierec_assets.progress import Progress
from movierec_assets.recsys import als, metrics
from movierec_assets.recsys.batches import BATCH_BYTES, stage
from movierec_assets.recsys.engine import Factors, Fit
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.moment import Scorer
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import Task
from movierec_assets.recsys.threads import ALL_CORES


def fitted(train: Interactions, recipe: Recipe, fit: Fit) -> Factors:
    """A fit of a recipe, with its next-movie matrix where the recipe has a signal."""
    factors = fit(train, recipe)
    return factors.with_next(NextMovies.of(train, recipe.next_movie)) if recipe.next_movie.on else factors


def rank(
    task: Task,
    factors: Factors,
    recipe: Recipe,
    k: int,
    *,
    batch_bytes: int = BATCH_BYTES,
    threads: int = ALL_CORES,
    progress: Progress | None = None,
) -> TopK:
    """Lists of a fit for the scored users of a task, folded in from their histories, at the time of their request.

    `batch_bytes`, `threads` and `progress` are as for `ranking.recommend`. Progress counts each user twice: once for
    the vector and once for the list.
    """
    vectors = als.fold_in(
        factors.movies,
        task.histories,
        recipe,
        factors.confidence,
        batch_bytes=batch_bytes,
        threads=threads,
        progress=stage(progress, 0, 2),
    )
    scorer = Scorer(factors.movies, factors.next_movies, recipe.next_movie)
    return scorer.recommend(
        vectors,
        scorer.recent(task.histories),
        task.histories.stars,
        k,
        elapsed=task.elapsed,
        batch_bytes=batch_bytes,
        threads=threads,
        progress=stage(progress, 1, 2),
    )


def ndcg(task: Task, factors: Factors, recipe: Recipe, k: int) -> FloatArray:
    """NDCG@k of each scored user of a task, shape (n_users,)."""
    lists = rank(task, factors, recipe, k)
    return metrics.score(lists.items, task.held_out.stars, k).ndcg
