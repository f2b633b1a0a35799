"""One experiment in memory: choose a recipe on validation, fit it, and score it beside every baseline.

Belongs here: the order of the steps, for all protocols. Does not: the steps (`split`, `search`, `baselines`,
`evaluation`, `both_moments`), reading ratings and writing results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Self

import numpy as np

from movierec_assets.progress import Log
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import baselines, metrics
from movierec_assets.recsys.both_moments import MomentScores
from movierec_assets.recsys.engine import Fit
from movierec_assets.recsys.evaluation import HEADLINE, WITH_INTERVALS, Evaluation, evaluate, with_intervals
from movierec_assets.recsys.few_users import SIGNAL_IS_OFF, has_order, nobody_returns, nobody_to_score
from movierec_assets.recsys.interactions import FloatArray, IdMaps, IntArray, Interactions
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.rankers import EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.recsys.returns import sample_of_users
from movierec_assets.recsys.scoring import fitted, rank
from movierec_assets.recsys.search import Budget, SearchObjective, SearchResult, Trial, search
from movierec_assets.recsys.split import (
    WINDOWS,
    ProtocolName,
    Task,
    Window,
    as_matrix,
    last_time_window,
    latest_of_each_user,
    latest_split,
    pooled,
    strong_generalization,
    time_windows,
)

CUTOFFS_OF: dict[ProtocolName, tuple[int, ...]] = {
    "leave-latest-out": CUTOFFS,
    "time-split": CUTOFFS,
    "strong-generalization": (10, 20, 50, 100),
}
"""List lengths that each protocol is reported at."""
HEADLINES_OF: dict[ProtocolName, tuple[str, ...]] = {
    "leave-latest-out": WITH_INTERVALS,
    "time-split": WITH_INTERVALS,
    "strong-generalization": (
        "ndcg_at_100",
        "recall_at_20",
        "recall_at_50",
        "truncated_recall_at_20",
        "truncated_recall_at_50",
    ),
}
"""Metrics that are shown with their uncertainty."""

MAX_LIKES_OF_OTHER_MOMENT = 1_000_000
"""Likes up to which all baselines are scored at the other moment, too. With more, popularity alone is, and a sample of
users with so many likes is scored on return."""

MAY_BE_SEEN: dict[ProtocolName, str] = {
    "leave-latest-out": "The search may have seen some of the likes to find on return; "
    "`--protocol time-split` keeps them from it.",
    "time-split": "The search may have seen some of the likes to find in the sitting; "
    "`--protocol leave-latest-out` keeps them from it.",
}
"""What is said about the moment that a protocol does not measure."""

_EASE_CUT = 0.8
"""Share of the likes before the first cut that EASE learns from while its regularization is chosen."""


@dataclass(frozen=True)
class Span:
    """A window in time without its data: Unix seconds of its cut and its end, and the number of scored users."""

    cut: int
    end: int
    users: int

    @classmethod
    def of(cls, window: Window) -> Self:
        """The span of a window."""
        return cls(window.cut, window.end, len(window.task.users))


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
        Training data, scored users, histories and held-out likes. Under time-split, the rows of all windows are pooled,
        one for each user of each window, and the training data is that before the last cut.
    ids : IdMaps
    lists : TopK
        Of the recipe.
    evaluations : list of Evaluation
        Of the recipe first, then without its signal where it has one, then of each baseline; all for the same users.
    spans : tuple of Span
        Windows of time-split, in the order of the rows of `task`; empty under other protocols.
    moments : tuple of MomentScores
        In the sitting and on return, as far as there are users to score; empty under strong-generalization.
    notes : tuple of str
        Sentences on the signal of the recipe that was found, on what was switched off or left out, and on what the
        search may have seen.
    """

    protocol: ProtocolName
    recipe: Recipe
    found: SearchResult | None
    task: Task
    ids: IdMaps
    lists: TopK
    evaluations: list[Evaluation]
    spans: tuple[Span, ...] = ()
    moments: tuple[MomentScores, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_users(self) -> int:
        """Number of different scored users."""
        return len(np.unique(self.task.users))

    @property
    def cuts(self) -> IntArray:
        """Unix seconds of the cut of each row of `task`, shape (n_rows,); only for time-split."""
        return np.repeat([span.cut for span in self.spans], [span.users for span in self.spans])


@dataclass(frozen=True)
class _Part:
    """A task to fit, rank and score; of a window where the protocol has windows."""

    task: Task
    span: Span | None = None


@dataclass(frozen=True)
class _Plan:
    """The data of a protocol.

    Attributes
    ----------
    ids : IdMaps
    positives : Interactions
        All that any fit may see.
    parts : iterable of _Part
        To fit and score, one after the other.
    objective : callable
        Makes the objective of the search; raises where there is nothing to choose on.
    validation : Task or None
        To choose EASE's regularization on.
    has_order : bool
        Whether any movie follows another in the likes to learn from; else the signal is off.
    """

    ids: IdMaps
    positives: Interactions
    parts: Iterable[_Part]
    objective: Callable[[], SearchObjective]
    validation: Task | None
    has_order: bool = True


@dataclass(frozen=True)
class _Rankers:
    """A recipe and baselines to fit and rank with."""

    recipe: Recipe
    fit: Fit
    baselines: tuple[str, ...]
    ease_regularization: float

    @classmethod
    def feasible(cls, recipe: Recipe, fit: Fit, plan: _Plan) -> Self:
        """The recipe and all baselines that fit in memory."""
        names = [ORIGINAL, POPULARITY, ITEM_KNN]
        regularization = baselines.EASE_GRID[len(baselines.EASE_GRID) // 2]
        if baselines.ease_feasible(plan.positives):
            names.append(EASE)
            if (part := plan.validation) is not None:
                regularization = baselines.choose_ease_lambda(part.train, part.histories, part.held_out)
        return cls(recipe, fit, tuple(names), regularization)

    def cheap_for(self, positives: Interactions) -> Self:
        """The same for few likes, and with popularity as the only baseline for many."""
        return self if len(positives) <= MAX_LIKES_OF_OTHER_MOMENT else replace(self, baselines=(POPULARITY,))

    def lists(self, task: Task, k: int) -> dict[str, TopK]:
        """Fit all to a task, and rank for its users."""
        factors = fitted(task.train, self.recipe, self.fit)
        found = {MODEL: rank(task, factors, self.recipe, k)}
        if self.recipe.next_movie.on:
            found[WITHOUT_SIGNAL] = rank(task, factors, without_signal(self.recipe), k)
        seed, regularization = self.recipe.seed, self.ease_regularization
        return found | baselines.rank(self.baselines, task, k, seed=seed, ease_regularization=regularization)

    def ndcg(self, task: Task) -> dict[str, FloatArray]:
        """NDCG@10 of all, for each user of a task."""
        lists = self.lists(task, 10)
        return {name: metrics.score(each.items, task.held_out.stars, 10).ndcg for name, each in lists.items()}


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
    protocol : {"leave-latest-out", "time-split", "strong-generalization"}
    budget : Budget or None
        Of the search; with None the built-in recipe is used, without its signal where likes are not divided by time.
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
    plan = _PLANS[protocol](positives, seed)
    in_time = protocol != "strong-generalization"
    recipe, found = Recipe(seed=seed), None
    if budget is not None:
        log("Searching for a recipe on the validation part")
        found = search(plan.objective(), fit, budget=budget, built_in=recipe, seed=seed, progress=progress, log=log)
        recipe = found.recipe
    if not plan.has_order or (found is None and not in_time):
        recipe = without_signal(recipe)
    rankers = _Rankers.feasible(recipe, fit, plan)
    parts, lists = _ranked(rankers, plan.parts, max(CUTOFFS_OF[protocol]), log)
    spans = tuple(part.span for part in parts if part.span is not None)
    task = pooled([part.task for part in parts])
    evaluations = with_intervals(
        [
            evaluate(name, each, task.held_out, task.train, CUTOFFS_OF[protocol], task.histories, in_time=in_time)
            for name, each in lists.items()
        ],
        HEADLINES_OF[protocol],
        groups=task.users if spans else None,
    )
    moments: list[MomentScores] = []
    notes = [] if plan.has_order else [SIGNAL_IS_OFF]
    if found is not None and plan.has_order:
        notes.append(str(found.on_return))
    if in_time:
        scores = {each.ranker: each.per_user[HEADLINE] for each in evaluations}
        if spans:
            moments = [_in_the_sitting(rankers, plan, log), MomentScores.on_return(scores, task.users, len(spans))]
        else:
            returned = _on_return(rankers, plan, log)
            moments = [MomentScores.in_the_sitting(scores, task.users), *([] if returned is None else [returned])]
            notes += [] if returned is not None else [str(nobody_returns(plan.positives))]
    if found is not None and len(moments) > 1:
        notes.append(MAY_BE_SEEN[protocol])
    return Experiment(
        protocol, recipe, found, task, plan.ids, lists[MODEL], evaluations, spans, tuple(moments), tuple(notes)
    )


def _ranked(rankers: _Rankers, parts: Iterable[_Part], k: int, log: Log) -> tuple[list[_Part], dict[str, TopK]]:
    """The parts, and the lists of each ranker for the users of all parts in turn."""
    done: list[_Part] = []
    lists: dict[str, list[TopK]] = {}
    for number, part in enumerate(parts, start=1):
        log("Fitting the recipe and the baselines" if part.span is None else _progress(number, part.span))
        for name, each in rankers.lists(part.task, k).items():
            lists.setdefault(name, []).append(each)
        done.append(part)
    return done, {name: TopK.stacked(each) for name, each in lists.items()}


def _in_the_sitting(rankers: _Rankers, plan: _Plan, log: Log) -> MomentScores:
    log("Scoring in the sitting")
    task = latest_split(plan.positives).task("test")
    return MomentScores.in_the_sitting(rankers.cheap_for(plan.positives).ndcg(task), task.users)


def _on_return(rankers: _Rankers, plan: _Plan, log: Log) -> MomentScores | None:
    """Scores of all users, or of a sample; None where nobody returns."""
    sample = sample_of_users(plan.positives, MAX_LIKES_OF_OTHER_MOMENT, plan.ids.user_ids)
    rankers = rankers.cheap_for(plan.positives)
    users: list[IntArray] = []
    scores: dict[str, list[FloatArray]] = {}
    for number, window in enumerate(time_windows(sample), start=1):
        log(f"{_progress(number, Span.of(window))} on return")
        for name, each in rankers.ndcg(window.task).items():
            scores.setdefault(name, []).append(each)
        users.append(window.task.users)
    if not users:
        return None
    sampled_from = None if sample is plan.positives else int((plan.positives.per_user > 0).sum())
    return MomentScores.on_return(
        {name: np.concatenate(each) for name, each in scores.items()}, np.concatenate(users), len(users), sampled_from
    )


def _progress(number: int, span: Span) -> str:
    cut, end = np.array([span.cut, span.end], dtype="datetime64[s]").astype("datetime64[D]")
    return f"Window {number} of at most {WINDOWS}, {cut} to {end}, {span.users:,} users"


def _leave_latest_out(positives: RatingColumns, _: int) -> _Plan:
    together, ids = as_matrix(positives)
    split = latest_split(together)
    task, validation = split.task("test"), split.task("validation")
    if len(task.users) == 0:
        raise nobody_to_score(split.history, split.test)
    return _Plan(
        ids,
        together,
        [_Part(task)],
        lambda: SearchObjective.latest(split.train, split.validation),
        validation if len(validation.users) else None,
        has_order(task.train),
    )


def _time_split(positives: RatingColumns, _: int) -> _Plan:
    """The search and EASE's regularization see nothing from the first cut on."""
    together, ids = as_matrix(positives)
    windows = time_windows(together)
    first = next(windows, None)
    if first is None:
        raise nobody_returns(together)
    before = first.task.train
    inner = next(time_windows(before, windows=1, first_cut=_EASE_CUT), None)
    last = last_time_window(together)
    in_order = last is not None and has_order(last.task.train)
    del last
    return _Plan(
        ids,
        together,
        (_Part(window.task, Span.of(window)) for window in chain([first], windows)),
        lambda: SearchObjective.latest(*latest_of_each_user(before)),
        None if inner is None else inner.task,
        in_order,
    )


def _strong_generalization(positives: RatingColumns, seed: int) -> _Plan:
    split, ids = strong_generalization(positives, seed=seed)
    task = split.task("test")
    return _Plan(
        ids,
        task.train,
        [_Part(task)],
        lambda: SearchObjective.strong(split),
        split.task("validation"),
        has_order(task.train),
    )


_PLANS: dict[ProtocolName, Callable[[RatingColumns, int], _Plan]] = {
    "leave-latest-out": _leave_latest_out,
    "time-split": _time_split,
    "strong-generalization": _strong_generalization,
}
