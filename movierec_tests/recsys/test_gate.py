"""The gate as a whole, fits and all: chance promotes hardly ever, harm never, a clearly better recipe does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.movielens import MovieLensFiles, read_movies, read_ratings
from movierec_assets.recsys import als, baselines, metrics
from movierec_assets.recsys.als import Factors, FoldIn, Recipe
from movierec_assets.recsys.comparison import paired_difference
from movierec_assets.recsys.experiment import rank
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.promotion import Decision, Outcome, decide, opponent
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.split import Task, leave_latest_out

pytestmark = pytest.mark.slow

CHAMPION = Recipe(factors=32, iterations=8)
REPEATS = 20


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    files = MovieLensFiles.at(make_demo(tmp_path_factory.mktemp("gate") / "demo"))
    ratings = read_ratings(files, read_movies(files).movie_id)
    liked = ratings.rating >= 4
    split, _ = leave_latest_out(
        ratings.user_id[liked], ratings.movie_id[liked], ratings.rating[liked], ratings.rated_at[liked]
    )
    return split.task("test")


def _ndcg(task: Task, lists: TopK) -> FloatArray:
    return metrics.score(lists.items, task.held_out.stars, 10).ndcg


def _scores(task: Task, recipe: Recipe, factors: Factors | None = None) -> FloatArray:
    return _ndcg(task, rank(task, factors or als.fit(task.train, recipe), recipe, 10))


@pytest.fixture(scope="module")
def champion(task: Task) -> FloatArray:
    return _scores(task, CHAMPION)


def _decide(
    task: Task, challenger: FloatArray, champion: FloatArray | None, *, newer_data: bool, same_recipe: bool = False
) -> Decision:
    popularity = _ndcg(task, baselines.popularity(task.train, task.histories, 10))
    return decide(
        challenger_ndcg=float(challenger.mean()),
        over_popularity=paired_difference(challenger, popularity),
        over_champion=None if champion is None else paired_difference(challenger, champion),
        same_recipe=same_recipe,
        newer_data=newer_data,
    )


def test_another_seed_is_no_improvement(task: Task, champion: FloatArray) -> None:
    """On the platform: equal recipes are compared by the fits themselves, and are never an improvement."""
    for seed in range(101, 101 + REPEATS):
        challenger = replace(CHAMPION, seed=seed)
        assert opponent(CHAMPION, challenger) == challenger
        decision = _decide(task, _scores(task, challenger), champion, newer_data=False, same_recipe=True)
        assert decision.outcome == "kept"


def test_a_hardly_different_recipe_is_hardly_ever_an_improvement(task: Task) -> None:
    outcomes: Counter[Outcome] = Counter()
    for seed in range(101, 101 + REPEATS):
        challenger = replace(CHAMPION, seed=seed, regularization=CHAMPION.regularization * 1.01)
        refit = _scores(task, opponent(CHAMPION, challenger))
        outcomes[_decide(task, _scores(task, challenger), refit, newer_data=False).outcome] += 1
    assert outcomes["improvement"] <= 1, outcomes


def test_shuffled_movies_are_never_promoted(task: Task, champion: FloatArray) -> None:
    for seed in range(REPEATS):
        fitted = als.fit(task.train, CHAMPION)
        shuffled = replace(fitted, movies=np.random.default_rng(seed).permutation(fitted.movies))
        worse = _scores(task, CHAMPION, shuffled)
        for same_recipe in (False, True):
            assert not _decide(task, worse, champion, newer_data=True, same_recipe=same_recipe).promoted
        assert not _decide(task, worse, None, newer_data=True).promoted, "nor as the first"


def test_a_clearly_better_recipe_is_promoted(task: Task, champion: FloatArray) -> None:
    poor = Recipe(
        factors=2, iterations=1, alpha=1.0, regularization=500.0, fold_in=FoldIn(floor=1.0, boost=0.01, tau=1.0)
    )
    decision = _decide(task, champion, _scores(task, poor), newer_data=False)
    assert (decision.promoted, decision.outcome) == (True, "improvement")
    assert _decide(task, champion, None, newer_data=False).outcome == "first"
