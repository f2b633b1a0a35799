"""The search sees no test data, is reproducible, continues after a crash, and does not replace a recipe by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.als import fit
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, FoldIn, NextMovie, Recipe, without_signal
from movierec_assets.recsys.search import Budget, SearchObjective, SearchResult, Trial, search
from movierec_assets.recsys.search_space import Space, drawn_of, recipe_of
from movierec_assets.recsys.split import Split, leave_latest_out, strong_generalization

PLENTY = 1e9
"""Seconds of a search whose end is its number of trials, however slow the machine is."""
SMALL = Space(factors=(4, 8), iterations=(3, 7))
BUILT_IN = Recipe(factors=8, iterations=4)


def likes(users: int = 40, movies: int = 30, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Two camps of users and movies, each user's likes one after the other."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        own = np.arange(user % 2, movies, 2)
        for time, movie in enumerate(random.permutation(own)[: random.integers(8, len(own) + 1)]):
            rows.append((user + 1, movie + 1, random.choice([4.0, 4.5, 5.0]), 1000 + time))
    user, movie, stars, time = np.array(rows).T
    return user.astype(np.int32), movie.astype(np.int32), stars, time.astype(np.int64)


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_latest_out(RatingColumns.cast(*likes()))[0]


@pytest.fixture(scope="module")
def objective(split: Split) -> SearchObjective:
    return SearchObjective.latest(split.train, split.validation)


def pairs(part: Interactions) -> set[tuple[int, int]]:
    users, movies, _, _ = part.triplets()
    return set(zip(users.tolist(), movies.tolist(), strict=True))


def values_of(found: SearchResult) -> list[float | None]:
    return [trial.value for trial in found.trials]


def test_likes_to_find_are_neither_fitted_nor_folded_in(split: Split) -> None:
    objective = SearchObjective.latest(split.train, split.validation, moments=3)
    assert len(objective.moments) == 3
    for moment in objective.moments:
        scored = {(int(moment.users[row]), movie) for row, movie in pairs(moment.held_out)}
        known = {(int(moment.users[row]), movie) for row, movie in pairs(moment.histories)}
        assert not scored & known
        assert not scored & pairs(objective.train)
        assert not scored & pairs(split.test)
        assert not known & pairs(split.test)


def test_each_moment_is_earlier_than_the_one_before_it(split: Split) -> None:
    objective = SearchObjective.latest(split.train, split.validation, moments=3)
    for later, earlier in zip(objective.moments, objective.moments[1:], strict=False):
        both = np.intersect1d(later.users, earlier.users)
        for user in both:
            when = [m.held_out.rows(np.flatnonzero(m.users == user)).rated_at.max() for m in (earlier, later)]
            assert when[0] < when[1]


def test_held_out_users_are_not_in_the_fit() -> None:
    split, _ = strong_generalization(RatingColumns.cast(*likes()), seed=3)
    objective = SearchObjective.strong(split)
    assert (objective.train.per_user[objective.moments[0].users] == 0).all()
    assert not pairs(objective.train) & pairs(split.test_target)


def test_the_built_in_recipe_is_the_first_to_be_tried(objective: SearchObjective) -> None:
    found = search(objective, fit, space=SMALL, budget=Budget(2, PLENTY), built_in=BUILT_IN)
    assert Recipe.from_dict({**found.trials[0].recipe, "seed": BUILT_IN.seed}) == BUILT_IN


def test_the_same_seed_tries_the_same_recipes_and_finds_the_same_winner(objective: SearchObjective) -> None:
    def searched(seed: int) -> SearchResult:
        return search(objective, fit, space=SMALL, budget=Budget(6, PLENTY), built_in=BUILT_IN, seed=seed)

    first, second = searched(5), searched(5)
    assert [trial.recipe for trial in first.trials] == [trial.recipe for trial in second.trials]
    # A fit whose sums come out in another order swaps a pair of near ties: that changes a value by about 0.002.
    assert values_of(second) == pytest.approx(values_of(first), abs=0.01)
    assert second.best == first.best
    other = searched(6)
    assert [trial.recipe for trial in other.trials] != [trial.recipe for trial in first.trials]


def test_an_interrupted_search_continues_with_its_trials(objective: SearchObjective, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    trials: list[int] = []

    def crash(trial: Trial, best: float) -> None:
        trials.append(trial.number)
        if len(trials) == 3:
            raise ConnectionError("the machine went away")

    def stored(progress: Callable[[Trial, float], None] | None = None) -> SearchResult:
        budget = Budget(6, PLENTY)
        return search(
            objective, fit, space=SMALL, budget=budget, built_in=BUILT_IN, storage=storage, name="s", progress=progress
        )

    with pytest.raises(ConnectionError):
        stored(crash)
    found = stored()
    assert [trial.number for trial in found.trials] == list(range(6))
    straight = search(objective, fit, space=SMALL, budget=Budget(6, PLENTY), built_in=BUILT_IN)
    assert [trial.recipe for trial in found.trials] == [trial.recipe for trial in straight.trials]
    again = stored()
    assert len(again.trials) == 6
    assert again.best == found.best
    assert again.lead.mean == pytest.approx(found.lead.mean, abs=0.01)


def test_a_trial_that_was_killed_is_made_again(objective: SearchObjective, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    search(objective, fit, space=SMALL, budget=Budget(2, PLENTY), built_in=BUILT_IN, storage=storage, name="s")
    killed = optuna.load_study(study_name="s", storage=storage).ask()
    found = search(objective, fit, space=SMALL, budget=Budget(5, PLENTY), built_in=BUILT_IN, storage=storage, name="s")
    assert [trial.state for trial in found.trials].count("fail") == 1
    assert found.trials[killed.number].state == "fail"
    straight = search(objective, fit, space=SMALL, budget=Budget(5, PLENTY), built_in=BUILT_IN)
    made = [trial.recipe for trial in found.trials if trial.state != "fail"]
    assert made == [trial.recipe for trial in straight.trials]


def test_a_space_without_the_built_in_recipe_is_searched_without_it(objective: SearchObjective) -> None:
    found = search(objective, fit, space=replace(SMALL, factors=(5,)), budget=Budget(2, PLENTY), built_in=BUILT_IN)
    assert {trial.recipe["factors"] for trial in found.trials} == {5}


def test_a_recipe_that_is_no_better_beyond_chance_does_not_replace_the_built_in_one(objective: SearchObjective) -> None:
    only = Space(
        confidence=("binary",),
        alpha=(5.0, 5.0),
        regularization_ratio=(2.0, 2.0),
        factors=(8,),
        iterations=(4, 4),
        fold_in_floor=(0.2, 0.2),
        fold_in_boost=(3.0, 3.0),
        fold_in_tau=(10.0, 10.0),
        next_movie_window=(30,),
        next_movie_decay=(0.95,),
        next_movie_out_exponent=(0.5, 0.5),
        next_movie_in_exponent=(0.7, 0.7),
        next_movie_smoothing=(200.0, 200.0),
        next_movie_tau=(4.0, 4.0),
        next_movie_weight=(0.0, 0.0),
        next_movie_fade_hours=(1.0, 1.0),
    )
    built_in = without_signal(BUILT_IN)
    found = search(objective, fit, space=only, budget=Budget(3, PLENTY), built_in=built_in)
    assert found.recipe == built_in
    assert (found.lead.low, found.lead.high) == (0.0, 0.0)


def test_a_clearly_better_recipe_replaces_the_built_in_one(objective: SearchObjective) -> None:
    hopeless = Recipe(alpha=0.5, regularization=1e6, factors=4, iterations=1, fold_in=FoldIn(0.03, 0.5, 2.0))
    space = replace(SMALL, next_movie_weight=(0.0, 0.0))  # these likes have no order that a signal could learn
    found = search(objective, fit, space=space, budget=Budget(10, PLENTY), built_in=without_signal(hopeless))
    assert found.lead.low > 0
    assert found.recipe == found.best != hopeless
    users = objective.moments[0].users
    better, worse = (objective.fit_and_score(recipe, fit)[users].mean() for recipe in (found.recipe, hopeless))
    assert better > worse


def test_each_part_of_the_signal_can_be_switched_off() -> None:
    space = Space()
    for part in (NO_NEXT_MOVIE, NextMovie(decay=1.0), NextMovie(out_exponent=0.0, in_exponent=0.0)):
        assert space.holds(Recipe(next_movie=part))

    off = Recipe(factors=96, next_movie=NextMovie(window=5, weight=0.0, tau=2.0))
    study = optuna.create_study()
    study.enqueue_trial(drawn_of(off))
    assert space.suggest(study.ask(), seed=1) == replace(off, next_movie=NO_NEXT_MOVIE)


def test_trials_of_searches_from_before_the_signal_are_recipes_without_it() -> None:
    old = {name: value for name, value in BUILT_IN.as_dict().items() if not name.startswith("next_movie")}
    assert recipe_of(old, seed=1) == without_signal(BUILT_IN)


def test_the_second_trial_is_the_built_in_recipe_without_its_signal(objective: SearchObjective) -> None:
    found = search(objective, fit, space=SMALL, budget=Budget(2, PLENTY), built_in=BUILT_IN)
    assert recipe_of(found.trials[1].recipe, BUILT_IN.seed) == without_signal(BUILT_IN)


def test_recipes_for_other_data_are_among_the_first_trials_where_the_space_holds_them(
    objective: SearchObjective,
) -> None:
    space = replace(Space(), confidence=("bm25",))
    found = search(objective, fit, space=space, budget=Budget(5, PLENTY), built_in=Recipe(confidence="bm25"))
    starts = [recipe_of(drawn_of(Recipe.from_dict({**trial.recipe, "seed": 1})), 1) for trial in found.trials[2:4]]
    assert [each.factors for each in starts] == [64, 128]
    assert [each.regularization / each.alpha for each in starts] == pytest.approx([32 / 3, 12])
    assert found.trials[4].recipe["factors"] in space.factors
    small = search(objective, fit, space=SMALL, budget=Budget(5, PLENTY), built_in=BUILT_IN)
    assert {trial.recipe["factors"] for trial in small.trials} <= set(SMALL.factors)


def test_a_signal_that_does_not_help_beyond_chance_is_switched_off(objective: SearchObjective) -> None:
    lines: list[str] = []
    # Too little to move a movie past another.
    space = replace(SMALL, regularization_ratio=(0.1, 1.0), factors=(8,), next_movie_weight=(1e-6, 1e-6))
    found = search(objective, fit, space=space, budget=Budget(2, PLENTY), built_in=BUILT_IN, log=lines.append)
    assert not found.best.next_movie.on
    assert any("switched off" in line for line in lines)


def test_kinds_of_confidence_take_turns_and_the_last_trials_are_near_the_best_one(objective: SearchObjective) -> None:
    fits = []

    def counted(positives: Interactions, recipe: Recipe, *given: Any, **options: Any) -> Factors:
        if positives is objective.train:
            fits.append(recipe)
        return fit(positives, recipe, *given, **options)

    found = search(objective, counted, space=SMALL, budget=Budget(20, PLENTY), built_in=BUILT_IN, seed=3)
    assert 1 < len(fits) < len(found.trials), "a trial that moves the signal only needs no fit"
    assert {trial.recipe["confidence"] for trial in found.trials[4:7]} == set(SMALL.confidence)
    for trial in found.trials[12:]:
        before = [each for each in found.trials[: trial.number] if each.value is not None]
        best = max(before, key=lambda each: (each.value or 0.0, -each.number)).recipe
        assert len(_moved(best, trial.recipe)) <= 3


def _moved(recipe: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Numbers that differ; the regularization follows alpha."""
    moved = {name for name in recipe if recipe[name] != other[name]}
    return moved - ({"regularization"} if "alpha" in moved else set())


class _OnlyOnTheWhole(SearchObjective):
    """Ratings as confidence score highest over all moments, and lowest at the latest one; the rest is alike."""

    def score(self, factors: Factors, recipe: Recipe, moments: int | None = None) -> np.ndarray:
        best = recipe.confidence == "rating"
        if moments == 1:
            return np.full(self.train.shape[0], 0.2 if best else 0.4)
        return super().score(factors, recipe) / 100 + (0.3 if best else 0.1)


def test_trials_near_the_best_are_finished_also_where_its_latest_moment_is_not_among_the_best(split: Split) -> None:
    latest = SearchObjective.latest(split.train, split.validation)
    objective = _OnlyOnTheWhole(latest.train, latest.moments, 10)
    found = search(objective, fit, space=SMALL, budget=Budget(30, PLENTY), built_in=BUILT_IN, seed=3)
    near = found.trials[18:]
    assert {trial.recipe["confidence"] for trial in near} == {"rating"}
    assert {trial.state for trial in near} == {"complete"}


@given(
    st.fixed_dictionaries(
        {
            "factors": st.sampled_from(Space().factors),
            "iterations": st.integers(*Space().iterations),
            "alpha": st.floats(*Space().alpha),
            "next_movie_fade_hours": st.floats(*Space().next_movie_fade_hours),
            "next_movie_window": st.sampled_from(Space().next_movie_window),
            "next_movie_weight": st.integers(0, 30).map(lambda tenths: round(tenths / 10, 9)),
        }
    ),
    st.data(),
    st.floats(0.001, 3.0),
    st.integers(0, 10_000),
)
def test_a_recipe_near_another_is_within_the_space_and_differs_in_what_was_named(
    drawn: dict[str, Any], data: st.DataObject, spread: float, seed: int
) -> None:
    space, whole = Space(), drawn_of(BUILT_IN) | drawn
    moved = data.draw(st.lists(st.sampled_from(sorted(drawn)), unique=True, min_size=1))
    near = space.near(whole, moved, spread, np.random.default_rng(seed))
    assert {name for name in whole if near[name] != whole[name]} <= set(moved)
    study = optuna.create_study()
    study.enqueue_trial(near)
    trial = study.ask()
    assert space.holds(space.suggest(trial, seed=1)) or not near["next_movie_weight"]
    assert trial.params == near, "nothing had to be drawn instead"


@given(st.floats(*Space().alpha), st.floats(*Space().regularization_ratio))
def test_the_regularization_is_drawn_as_a_ratio_to_alpha(alpha: float, ratio: float) -> None:
    drawn = drawn_of(BUILT_IN) | {"alpha": alpha, "regularization_ratio": ratio}
    recipe = recipe_of(drawn, seed=1)
    assert recipe == replace(BUILT_IN, seed=1, alpha=alpha, regularization=alpha * ratio)
    assert drawn_of(recipe) == pytest.approx(drawn)


def test_users_who_are_not_scored_have_no_score(objective: SearchObjective) -> None:
    score = objective.fit_and_score(BUILT_IN, fit)
    scored = np.unique(np.concatenate([moment.users for moment in objective.moments]))
    assert np.array_equal(np.flatnonzero(~np.isnan(score)), scored)
    assert ((score[scored] >= 0) & (score[scored] <= 1 + 1e-9)).all()


@pytest.mark.parametrize("budget", [(0, 10.0), (5, 0.0), (-1, 10.0), (5, float("nan"))])
def test_a_budget_of_nothing_is_refused(budget: tuple[int, float]) -> None:
    with pytest.raises(RecsysError, match="allow at least one trial"):
        Budget(*budget)


def test_an_impossible_space_is_refused_by_the_name_of_what_is_wrong() -> None:
    with pytest.raises(RecsysError, match="regularization_ratio is 10 to 1"):
        Space(regularization_ratio=(10, 1))
    with pytest.raises(RecsysError, match="alpha is 0 to 1"):
        Space(alpha=(0, 1))
    with pytest.raises(RecsysError, match="no choice for factors"):
        Space(factors=())
    with pytest.raises(RecsysError, match="confidence nonsense"):
        Space(confidence=("nonsense",))  # type: ignore[arg-type]
    with pytest.raises(RecsysError, match="next_movie_weight is -1 to 1"):
        Space(next_movie_weight=(-1, 1))
    with pytest.raises(RecsysError, match="0 < decay <= 1"):
        Space(next_movie_decay=(0.0, 0.5))
    with pytest.raises(RecsysError, match="whole numbers from 1"):
        Space(factors=(0, 8))
    with pytest.raises(RecsysError, match="alpha is 1 to inf"):
        Space(alpha=(1, float("inf")))


def test_an_empty_validation_part_is_a_clear_error(split: Split) -> None:
    none = np.array([], dtype=np.int64)
    empty = Interactions.from_triplets(none, none, none.astype(float), none, split.train.shape)
    with pytest.raises(RecsysError, match="nothing to choose a recipe on"):
        SearchObjective.latest(split.train, empty)


def test_bm25_counts_rare_movies_and_short_histories_for_more(split: Split) -> None:
    confidence = Confidence.of(split.train, "bm25")
    weights = confidence.weights(split.train)
    assert weights.mean() == pytest.approx(1.0, abs=1e-5)
    rarest, commonest = np.argmin(split.train.per_movie), np.argmax(split.train.per_movie)
    assert confidence.movie_weight[rarest] > confidence.movie_weight[commonest]


def test_a_star_more_doubles_the_confidence_of_a_rating(split: Split) -> None:
    weights = Confidence.of(split.train, "rating").weights(split.train)
    stars = split.train.stars.data
    assert weights[stars == 5.0][0] == pytest.approx(2 * weights[stars == 4.0][0])
    assert (weights > 0).all()
