"""Claims about the seam for engines: only the engine that is handed in fits, and threads do not change results."""

from __future__ import annotations

import numpy as np
import pytest

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, experiment, ranking, repeated_fits, search, warm_start
from movierec_assets.recsys.engine import Factors, Fit, OnIteration
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import Split, leave_latest_out, time_windows
from movierec_assets.recsys.training_state import Predecessor
from movierec_tests.ranked_lists import assert_same_lists

RECIPE = Recipe(factors=8, iterations=3)


class Recorder:
    """The real engine, and the number of positives of each fit that it made."""

    def __init__(self, engine: Fit) -> None:
        self._engine = engine
        self.positives: list[int] = []

    def __call__(
        self,
        positives: Interactions,
        recipe: Recipe,
        progress: OnIteration | None = None,
        *,
        loss_every: int = 0,
        start: FloatArray | None = None,
    ) -> Factors:
        self.positives.append(len(positives))
        return self._engine(positives, recipe, progress, loss_every=loss_every, start=start)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """An engine that was made before fitting by name was forbidden."""
    real = als.fit

    def by_name(*_: object, **__: object) -> Factors:
        raise AssertionError("a fit was called by name")

    monkeypatch.setattr(als, "fit", by_name)
    return Recorder(real)


def columns(n_users: int = 300) -> RatingColumns:
    random = np.random.default_rng(1)
    users, movies = np.nonzero(random.random((n_users, 60)) < 0.3)
    return RatingColumns.cast(users, movies, np.full(len(users), 4.0), random.permutation(len(users)))


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_latest_out(columns())[0]


def test_training_fits_with_its_engine_only(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start, "MAX_NDCG_LOSS", 1.0)
    monkeypatch.setattr(warm_start, "MAX_LEFT_OUT", 1.0)
    split, ids = leave_latest_out(columns())
    first = warm_start.train(split, ids, RECIPE, None, recorder)
    assert recorder.positives == [len(split.history), len(split.positives)]
    assert not first.warm
    first_columns, random = columns(), np.random.default_rng(2)
    users, movies = np.unique([random.integers(300, size=500), random.integers(60, 90, size=500)], axis=1)
    times = len(first_columns) + random.permutation(len(users))
    more = RatingColumns.cast(users, movies, np.full(len(users), 4.0), times)
    grown, ids = leave_latest_out(RatingColumns.joined([first_columns, more]))
    recorder.positives.clear()
    _, before = leave_latest_out(columns())
    predecessor = Predecessor(RECIPE, before, split.positives.stars, first.state)
    second = warm_start.train(grown, ids, RECIPE, predecessor, recorder)
    assert second.warm, second.reason
    assert recorder.positives == [len(grown.train), len(grown.history), len(grown.positives)]


def test_search_and_evaluation_fit_with_their_engine_only(recorder: Recorder, split: Split) -> None:
    objective = search.SearchObjective.latest(split.train, split.validation)
    search.search(objective, recorder, budget=search.Budget(2, 1e9), built_in=RECIPE)
    before_cuts = {len(window.task.train) for window in objective.returns().windows}
    assert {len(objective.train)} <= set(recorder.positives) <= {len(objective.train)} | before_cuts
    recorder.positives.clear()
    task = split.task("test")
    repeated_fits.scores(task, RECIPE, 2, recorder)
    assert recorder.positives == [len(task.train)] * 2
    recorder.positives.clear()
    few = columns(40)  # the original recipe has a fit of its own in every window
    experiment.run(few, fit=recorder)
    divided, _ = leave_latest_out(few)
    windows = [len(window.task.train) for window in time_windows(divided.positives)]
    assert recorder.positives == [len(divided.task("test").train), *windows]


def test_one_thread_and_two_give_the_same_factors_vectors_and_lists(split: Split) -> None:
    task = split.task("test")
    start = np.random.default_rng(3).random((task.train.shape[1], RECIPE.factors), dtype=np.float32)
    one, two = (als.engine(threads)(task.train, RECIPE, start=start) for threads in (1, 2))
    assert one.movies == pytest.approx(two.movies, abs=1e-5)
    vectors = [als.fold_in(one.movies, task.histories, RECIPE, threads=threads) for threads in (1, 2)]
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-5)
    for kind in ("recommend", "similar"):
        lists = [
            ranking.recommend(vectors[0], one.movies, task.histories.stars, 10, threads=threads)
            if kind == "recommend"
            else ranking.similar(one.movies, 10, threads=threads)
            for threads in (1, 2)
        ]
        assert_same_lists(lists[0], lists[1])
