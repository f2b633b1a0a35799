"""Searching the recipe that ranks best on interactions that were held out for the search.

Belongs here: the score of a recipe, and the search. It sees only the training and validation parts of a split. Does
not: the space of recipes (`search_space`), and where trials are kept; the caller passes an Optuna storage URL, or they
stay in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import numpy as np
import optuna
from numpy.random import Generator
from optuna.trial import FrozenTrial, TrialState

from movierec_assets.progress import Log
from movierec_assets.recsys import scoring
from movierec_assets.recsys.comparison import Interval, paired_difference
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors, Fit, Iteration, OnIteration
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.few_users import why_few
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, FoldIn, NextMovie, Recipe, without_signal
from movierec_assets.recsys.return_constraint import GuardedRecipe, keep_return
from movierec_assets.recsys.returns import Returns
from movierec_assets.recsys.search_space import Space, as_recipe, drawn_of, recipe_of
from movierec_assets.recsys.split import MIN_TRAIN_TO_EVALUATE, StrongSplit, Task, latest_of_each_user
from movierec_assets.recsys.warm_start import mixed_order

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_ABANDONED = "abandoned trial "
_PRUNING_ITERATIONS = (6, 12)
_FITTED = 1000
"""Steps at which a trial may be pruned, by the latest moment: after some iterations, and when the fit is finished."""
_KEPT_PERCENT = 40.0
_KEPT = 4
"""Fits, and next-movie matrices, that a search keeps in memory."""
_MOMENT_USERS = 5000
"""Users of each moment at most: more would tell recipes hardly better apart, and take longer than the fit."""
_RETURN_LIKES = 1_000_000
"""Likes in the comparison on return at most, because it fits once for each window."""
_EACH_KIND = 0.36
"""Share of the budget in which the kinds of confidence take turns: early luck of one would keep the search with it."""
_WHOLE = 0.6
"""Share of the budget for trials that draw all numbers of a recipe; the others move some of the best one's."""
_NEEDS_NO_FIT = ("fold_in_", "next_movie_")
_NEW_FIT = 0.35
"""Share of the trials near the best in which numbers of the fit may move as well."""
_SPREAD, _LAST_SPREAD = 0.2, 0.04
"""Size of these moves at first and at the end, as a share of the range."""
_NEAR_ENOUGH = 0.98
"""Share of the best trial's value for the latest moment that a trial near it must reach, or is pruned."""
_OTHER_STARTS = tuple(
    Recipe(
        confidence="bm25",
        alpha=1.5,
        regularization=regularization,
        factors=factors,
        iterations=12,
        fold_in=FoldIn(floor=0.1, boost=1.8, tau=5.0),
        next_movie=NextMovie(
            window=10,
            decay=0.95,
            out_exponent=0.6,
            in_exponent=0.4,
            smoothing=30.0,
            tau=8.0,
            weight=0.3,
            fade_hours=0.5,
        ),
    )
    for factors, regularization in ((64, 16.0), (128, 18.0))
)
"""Recipes among the first trials that do well on data unlike the demo set: many factors need a regularization within a
narrow range, which trials at random hardly meet."""
_STARTUP = 12
"""Trials before any is drawn by what the others found."""


@dataclass(frozen=True)
class Budget:
    """Limits of a search, which stops at the first one it reaches."""

    trials: int = 60
    seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.trials < 1 or not self.seconds > 0:
            raise RecsysError(
                f"A search of {self.trials} trials in {self.seconds:g} s finds nothing; allow at least one trial."
            )


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried; `value` is its mean NDCG@10, or None when it was pruned or failed."""

    number: int
    state: str
    recipe: dict[str, Any]
    value: float | None
    seconds: float

    def __str__(self) -> str:
        value = self.state if self.value is None else f"{self.value:.4f}"
        return f"{self.number}: {value} in {self.seconds:.1f} s"


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes
    ----------
    recipe : Recipe
        `best`, if its lead is above 0 beyond chance; else the built-in recipe, with or without its signal.
    best : Recipe
        The best on the held-out interactions. Its signal is off where it does not help beyond chance, and weaker where
        it harmed people who come back.
    lead : Interval
        NDCG@10 of `best` minus that of the built-in recipe, with its signal or without, for the same users.
    on_return : GuardedRecipe
        What the signal of `recipe` changes on return, and whether it was weakened for that.
    trials : list of Trial
    """

    recipe: Recipe
    best: Recipe
    lead: Interval
    on_return: GuardedRecipe
    trials: list[Trial] = field(default_factory=list)


class SearchObjective:
    """The data that recipes are scored on.

    Parameters
    ----------
    train : Interactions, shape (all users, n_movies)
        To fit to.
    moments : sequence of Task
        Histories, and the likes to find. The `train` of these tasks is not used, because one fit serves all.
    k : int
        Length of the lists.
    held_out : Interactions, optional
        Latest likes of all users, to explain why nobody can be scored.
    history : Interactions, optional
        Likes up to the test, whose windows of time decide how a recipe does on return; without them, no recipe is
        compared on return.
    """

    def __init__(
        self,
        train: Interactions,
        moments: Sequence[Task],
        k: int,
        held_out: Interactions | None = None,
        history: Interactions | None = None,
    ) -> None:
        if not any(len(moment.users) for moment in moments):
            reason = why_few(moments[0].train, held_out) if held_out is not None else "Load more ratings."
            raise RecsysError(
                f"There is nothing to choose a recipe on: nobody has {MIN_TRAIN_TO_EVALUATE} likes before the "
                f"validation part. {reason} Or take the built-in recipe (--search-trials 0)."
            )
        self.train = train
        self.moments = [moment for moment in moments if len(moment.users)]
        self._k = k
        self._history = history
        self._fits: dict[Recipe, Factors] = {}
        self._matrices: dict[tuple[int, float, float, float, float], NextMovies] = {}

    @classmethod
    def latest(cls, train: Interactions, validation: Interactions, moments: int = 5) -> Self:
        """Predict each user's latest likes before the test, in several groups.

        One held-out group per user says little about a recipe when there are few users. So the validation part of a
        leave-latest-out split and the latest groups of the training part before it are one moment each. One fit, to the
        likes before the earliest moment, scores all moments, each with the histories up to it.

        Raises
        ------
        RecsysError
            When nobody has enough likes before any of them.
        """
        earlier, held_out = train, validation
        tasks = []
        for number in range(moments):
            users = np.flatnonzero((held_out.per_user > 0) & (earlier.per_user >= MIN_TRAIN_TO_EVALUATE))
            users = np.sort(users[mixed_order(users)[:_MOMENT_USERS]])
            tasks.append(Task(earlier, users, earlier.rows(users), held_out.rows(users)))
            if number + 1 == moments or len(users) == 0:
                break
            earlier, held_out = latest_of_each_user(earlier)
        return cls(tasks[-1].train, tasks, 10, validation, train.union(validation))

    @classmethod
    def strong(cls, split: StrongSplit) -> Self:
        """Find the held-out likes of validation users, who are not in the fit."""
        task = split.task("validation")
        return cls(task.train, [task], 100)

    def returns(self) -> Returns:
        """Windows of time in the likes up to the test, of a sample of users where there are many likes."""
        return Returns(()) if self._history is None else Returns.of(self._history, max_likes=_RETURN_LIKES)

    def score(self, factors: Factors, recipe: Recipe, moments: int | None = None) -> FloatArray:
        """NDCG of each user, mean over the user's moments, shape (all users,); NaN for users without a moment.

        `moments` is how many of the moments count, latest first; all by default.
        """
        n_users = self.train.shape[0]
        total, count = np.zeros(n_users), np.zeros(n_users)
        factors = factors.with_next(self._next_movies(recipe.next_movie))
        for moment in self.moments[:moments]:
            total[moment.users] += scoring.ndcg(moment, factors, recipe, self._k)
            count[moment.users] += 1
        mean: FloatArray = np.divide(total, count, out=np.full(n_users, np.nan), where=count > 0)
        return mean

    def fit_and_score(self, recipe: Recipe, fit: Fit, progress: OnIteration | None = None) -> FloatArray:
        """Fit a recipe, and score the fit; a fit that was made lately is used again."""
        return self.score(self.fitted(recipe, fit, progress), recipe)

    def fitted(self, recipe: Recipe, fit: Fit, progress: OnIteration | None = None) -> Factors:
        """The fit of a recipe, without user vectors."""
        key = _fit_of(recipe)
        if key not in self._fits:
            factors = fit(self.train, recipe, progress)
            self._fits[key] = Factors.of_movies(factors.movies, factors.confidence)
        return _kept(self._fits, key)

    def _next_movies(self, signal: NextMovie) -> NextMovies | None:
        if not signal.on:
            return None
        if signal.matrix not in self._matrices:
            self._matrices[signal.matrix] = NextMovies.of(self.train, signal)
        return _kept(self._matrices, signal.matrix)


def _fit_of(recipe: Recipe) -> Recipe:
    """The same for all recipes whose fits are equal: they differ in the fold-in and the next-movie signal only."""
    return replace(recipe, fold_in=FoldIn(), next_movie=NO_NEXT_MOVIE)


def _kept(cache: dict[_Key, _Value], key: _Key) -> _Value:
    """A value of a cache, of which the latest `_KEPT` stay."""
    cache[key] = value = cache.pop(key)
    while len(cache) > _KEPT:
        del cache[next(iter(cache))]
    return value


def search(
    objective: SearchObjective,
    fit: Fit,
    *,
    space: Space | None = None,
    budget: Budget | None = None,
    built_in: Recipe | None = None,
    seed: int = 0,
    storage: str | None = None,
    name: str | None = None,
    progress: Callable[[Trial, float], None] | None = None,
    log: Log = lambda _: None,
) -> SearchResult:
    """Search for the recipe with the highest mean score whose signal is not clearly worse on return than without it.

    Parameters
    ----------
    objective : SearchObjective
    fit : Fit
    space, budget, built_in : optional
        The built-in recipe is the first trial, and without its signal the second.
    seed : int
        Same seed, same data and same number of trials: same result. A search that ends by time may differ.
    storage, name : str, optional
        Optuna storage URL and study name. A study that was interrupted there continues; its finished trials count
        towards the number of trials.
    progress : callable, optional
        Called with each trial when it ends, and the best value so far.
    log : callable
        Called with a line about what the signal changes on return.

    Raises
    ------
    RecsysError
        When not one trial succeeded.

    References
    ----------
    Akiba et al. (2019), Optuna: a next-generation hyperparameter optimization framework.
    """
    space, budget, built_in = space or Space(), budget or Budget(), built_in or Recipe()
    started = time.monotonic()
    scores: dict[Recipe, FloatArray] = {}
    lowest: float | None = None
    """For the latest moment, of a trial near the best; None for others, which are compared with all."""

    def run_trial(trial: optuna.Trial) -> float:
        recipe = space.suggest(trial, built_in.seed)

        def prune(factors: Factors, iterations: int) -> None:
            latest = float(np.nanmean(objective.score(factors, recipe, moments=1)))
            trial.report(latest, iterations)
            if trial.should_prune() if lowest is None else latest < lowest:
                raise optuna.TrialPruned

        def after(iteration: Iteration) -> None:
            if lowest is None and iteration.number in _PRUNING_ITERATIONS and iteration.number < iteration.of:
                prune(Factors.of_movies(iteration.movies, confidence), iteration.number)

        confidence = Confidence.of(objective.train, recipe.confidence)
        factors = objective.fitted(recipe, fit, after)
        prune(factors, _FITTED)
        scores[recipe] = objective.score(factors, recipe)
        return float(np.nanmean(scores[recipe]))

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the caller reports progress
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        direction="maximize",
        pruner=optuna.pruners.PercentilePruner(_KEPT_PERCENT, n_startup_trials=8),
        load_if_exists=True,
    )
    for trial in study.get_trials(states=[TrialState.RUNNING]):  # of a search that was killed; they are run again
        study.set_user_attr(f"{_ABANDONED}{trial.number}", True)
        study.tell(trial.number, state=TrialState.FAIL)
    abandoned = sum(name.startswith(_ABANDONED) for name in study.user_attrs)
    done = sum(trial.state.is_finished() for trial in study.trials) - abandoned

    def report(study: optuna.Study, frozen: FrozenTrial) -> None:
        if progress:
            progress(_trial(frozen), _best_value(study))

    for number in range(done, budget.trials):
        if time.monotonic() - started > budget.seconds and number > done:
            break
        # Each trial has a seed of its own, so that an interrupted search continues with the same trials.
        trial_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        spent = max(number / budget.trials, (time.monotonic() - started) / budget.seconds)
        leader = _best_trial(study) if spent >= _WHOLE and number >= len(_first(space, built_in)) else None
        if leader is None:
            lowest, given = None, _given(number, spent, space, built_in)
        else:
            lowest = _NEAR_ENOUGH * leader.intermediate_values[_FITTED]
            given = _near(leader.params, spent, space, np.random.default_rng(trial_seed))
        if given and not study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
            study.enqueue_trial(given)
        study.sampler = optuna.samplers.TPESampler(seed=trial_seed, multivariate=True, n_startup_trials=_STARTUP)
        study.optimize(run_trial, n_trials=1, callbacks=[report], catch=(RecsysError,))
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if not finished:
        raise RecsysError(f"Not one of {len(study.trials)} trials gave a recipe; widen the search space or the budget.")
    winner = recipe_of(study.best_trial.params, built_in.seed)
    best, taken, lead = _decided(winner, built_in, objective, fit, scores, log)
    return SearchResult(taken.recipe, best, lead, taken, [_trial(trial) for trial in study.trials])


def _decided(
    winner: Recipe, built_in: Recipe, objective: SearchObjective, fit: Fit, scores: dict[Recipe, FloatArray], log: Log
) -> tuple[Recipe, GuardedRecipe, Interval]:
    """The best recipe, the one that is taken, and the lead of the best over the built-in one; see `SearchResult`."""

    def score(recipe: Recipe) -> FloatArray:
        if recipe not in scores:
            scores[recipe] = objective.fit_and_score(recipe, fit)
        return scores[recipe]

    def mean(recipe: Recipe) -> float:
        return float(np.nanmean(score(recipe)))

    def difference(recipe: Recipe, other: Recipe) -> Interval:
        ours, theirs = score(recipe), score(other)
        return paired_difference(ours[~np.isnan(ours)], theirs[~np.isnan(ours)])

    plain = without_signal(winner)
    if winner.next_movie.on and difference(winner, plain).low <= 0:
        log("The next-movie signal of the best trial does not help beyond chance and is switched off")
        winner = plain
    returns = objective.returns()
    best = keep_return(winner, returns, fit, mean)
    stays = keep_return(max(without_signal(built_in), built_in, key=mean), returns, fit, mean)
    lead = difference(best.recipe, stays.recipe)
    taken = best if lead.low > 0 else stays
    log(str(taken))
    return best.recipe, taken, lead


def _best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The best trial so far; None before the first is complete."""
    finished = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return max(finished, key=lambda trial: trial.value or 0.0, default=None)


def _first(space: Space, built_in: Recipe) -> list[Recipe]:
    """The first trials: the built-in recipe, without its signal, with each other kind of confidence, and the others."""
    kinds = [replace(built_in, confidence=kind) for kind in space.confidence if kind != built_in.confidence]
    others = [replace(each, seed=built_in.seed) for each in _OTHER_STARTS if space.holds(each)]
    return [built_in, without_signal(built_in), *kinds, *others]


def _given(number: int, spent: float, space: Space, built_in: Recipe) -> dict[str, Any]:
    """The numbers of a trial that are not drawn: all of the first ones, and then the kind of confidence for a while."""
    first = _first(space, built_in)
    if number < len(first):
        return drawn_of(first[number]) if space.holds(first[number]) else {}
    return {"confidence": space.confidence[number % len(space.confidence)]} if spent < _EACH_KIND else {}


def _near(best: Mapping[str, Any], spent: float, space: Space, random: Generator) -> dict[str, Any]:
    """The best numbers so far, one to three of them moved, by less and less towards the end of the budget."""
    names = [name for name in best if name != "confidence"]
    cheap = [name for name in names if name.startswith(_NEEDS_NO_FIT)]
    drawn_from = names if random.random() < _NEW_FIT else cheap
    moved = random.choice(drawn_from, size=min(len(drawn_from), int(random.integers(1, 4))), replace=False)
    left = (1.0 - min(spent, 1.0)) / (1.0 - _WHOLE)
    return space.near(best, map(str, moved), _LAST_SPREAD + (_SPREAD - _LAST_SPREAD) * left, random)


def _trial(frozen: FrozenTrial) -> Trial:
    seconds = frozen.duration.total_seconds() if frozen.duration else 0.0
    complete = frozen.state == TrialState.COMPLETE
    value = frozen.value if complete else None
    return Trial(frozen.number, frozen.state.name.lower(), as_recipe(frozen.params), value, seconds)


def _best_value(study: optuna.Study) -> float:
    finished = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return max((trial.value for trial in finished if trial.value is not None), default=float("nan"))
