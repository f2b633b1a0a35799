"""Lists and scores of the challenger, of the baselines and of the champion, for the same users.

Belongs here: who takes part, ranking, scoring, the lead, and the report and pictures of it. Does not: what becomes of
them (`evaluation`), and metrics (`recsys.metrics`).
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import pandas as pd
from dagster import AssetExecutionContext

from movierec_assets.defs.presentation import (
    encoded,
    interval_panels,
    metric_panels,
)
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.return_figures import ReturnFigures
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.version_page import MOMENTS, RETURN
from movierec_assets.progress import Log
from movierec_assets.recsys import baselines, repeated_fits
from movierec_assets.recsys.comparison import Interval, lead
from movierec_assets.recsys.engine import Factors, Fit
from movierec_assets.recsys.evaluation import HEADLINE, SHOWN, WITH_INTERVALS, Evaluation, evaluate, with_intervals
from movierec_assets.recsys.few_users import nobody_to_score
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.promotion import opponent
from movierec_assets.recsys.rankers import CHAMPION, EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.recsys.report import as_markdown, markdown_table
from movierec_assets.recsys.scoring import rank
from movierec_assets.recsys.split import Split, Task
from movierec_assets.settings import get_settings

MAX_POSITIVES_FOR_BASELINES = 2_000_000
MAX_MOVIES_FOR_EASE = 8_000
"""Its work grows with the cube of the movies: seconds here, minutes with twice as many."""
EASE_REGULARIZATION = 500.0
"""`movierec evaluate` chooses it on validation; a daily report takes this."""

BASELINES = (POPULARITY, ITEM_KNN, ORIGINAL, EASE)


@dataclass(frozen=True)
class Contest:
    """The challenger and the champion, for the users whose held-out likes the challenger has not seen.

    Attributes
    ----------
    task : Task
    challenger : Challenger
    champion : ChampionFit
    left_out : int
        Users whose held-out likes an earlier training of the challenger has seen.
    """

    task: Task
    challenger: Challenger
    champion: ChampionFit
    left_out: int

    @classmethod
    def of(cls, split: Split, challenger: Challenger, champion: ChampionFit) -> Self:
        """Compare on the test part.

        Raises
        ------
        RecsysError
            When no user is left to score.
        """
        everybody = split.task("test")
        task = everybody.without(~challenger.unseen)
        if len(task.users) == 0:
            raise nobody_to_score(everybody.train, split.test)
        return cls(task, challenger, champion, len(everybody.users) - len(task.users))

    @cached_property
    def comparable(self) -> BoolArray:
        """Users of the task whose held-out likes the champion's fit has not seen either."""
        return self.champion.unseen[self.task.users]


@dataclass(frozen=True)
class Results:
    """The lists of every ranker, and how good they are.

    Attributes
    ----------
    contest : Contest
    lists : dict of str to TopK
        By ranker, the challenger's first.
    baselines_seconds : float
    evaluations : list of Evaluation
        In the order of `lists`.
    lead : dict or None
        The challenger's lead over the champion; None where the champion was not scored.
    on_return : ReturnFigures
    """

    contest: Contest
    lists: dict[str, TopK]
    baselines_seconds: float
    evaluations: list[Evaluation]
    lead: dict[str, Any] | None
    on_return: ReturnFigures

    @classmethod
    def of(cls, context: AssetExecutionContext, contest: Contest, engine: Fit, on_return: ReturnFigures) -> Self:
        """Rank and score."""
        task, challenger, champion = contest.task, contest.challenger, contest.champion
        started = time.perf_counter()
        affordable = _baselines(task, challenger.recipe.seed)
        seconds = time.perf_counter() - started
        lists = {MODEL: _ranked(context, task, challenger.scored, challenger.recipe)}
        if challenger.recipe.next_movie.on and len(task.train) <= MAX_POSITIVES_FOR_BASELINES:
            lists[WITHOUT_SIGNAL] = _ranked(context, task, challenger.scored, without_signal(challenger.recipe))
        lists |= affordable
        if champion.scored is not None and contest.comparable.sum() >= get_settings().min_evaluated_users:
            assert champion.recipe is not None
            lists[CHAMPION] = _ranked(context, task, champion.scored, champion.recipe)
        evaluations = report_progress(context.log, "Scoring", lambda log: _scored(log, lists, contest))
        return cls(contest, lists, seconds, evaluations, _lead(context, contest, evaluations, engine), on_return)

    @cached_property
    def means(self) -> dict[str, dict[str, float]]:
        """Mean of each metric by ranker."""
        return {evaluation.ranker: evaluation.means() for evaluation in self.evaluations}

    @cached_property
    def report(self) -> str:
        """Markdown: both moments side by side, all figures of each, and a line for each part that is left out."""
        task, users = self.contest.task, self.contest.left_out
        moments = self.moments
        rankers = list(dict.fromkeys(ranker for of in moments.values() for ranker in of))
        cells = ([ranker, *(str(of.get(ranker, "")) for of in moments.values())] for ranker in rankers)
        report = f"# Both moments\n\n{markdown_table(['NDCG@10, 95 % interval', *moments], cells)}\n\n"
        report += f"# On return\n\n{self.on_return.as_markdown()}\n"
        report += as_markdown(self.evaluations, users=len(task.users), held_out=len(task.held_out))
        if users:
            report += f"\n{users:,} users are left out: an earlier training has seen their held-out likes.\n"
        if rankers := [name for name in BASELINES if name not in self.lists]:
            report += f"\nLeft out of data of this size: {', '.join(rankers)}.\n"
        return report

    @cached_property
    def moments(self) -> dict[str, dict[str, Interval]]:
        """NDCG@10 of each ranker with its interval, in the sitting and on return."""
        returned = {ranker: of[HEADLINE] for ranker, of in self.on_return.intervals.items()}
        return {MOMENTS[""]: {each.ranker: each.interval() for each in self.evaluations}, MOMENTS[RETURN]: returned}

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """PNG by name: both moments, all metrics, the headline metrics with their intervals, and NDCG by slice."""
        title = f"Held-out latest likes of {len(self.contest.task.users):,} users"
        scored = {f"NDCG@10 {moment}": intervals for moment, intervals in self.moments.items() if intervals}
        pictures = {
            "moments": interval_panels(scored, "Both moments: mean and 95 % interval"),
            "metrics": metric_panels(self.means, SHOWN, title),
            "intervals": interval_panels(
                {name: {each.ranker: each.interval(name) for each in self.evaluations} for name in WITH_INTERVALS},
                f"{title}: mean and 95 % interval",
            ),
        }
        slices = {
            f"{first.by}:\n{first.name}": {
                each.ranker: each.slices[number].interval() for each in self.evaluations if len(each.slices) > number
            }
            for number, first in enumerate(self.evaluations[0].slices)
        }
        if slices:
            title = "NDCG@10 by activity, by popularity of the held-out movies, and by the time since the like before"
            pictures["slices"] = interval_panels(slices, title)
        return {name: encoded(figure) for name, figure in pictures.items()}

    def scores(self, user_ids: IntArray) -> pd.DataFrame:
        """Scores of each ranker for its users, given the ids of all users of the task."""
        held_out = self.contest.task.held_out.per_user.astype(np.int32)
        return pd.concat(
            [
                pd.DataFrame(
                    {"ranker": each.ranker, "user_id": user_ids, "held_out": held_out, **each.per_user}
                ).dropna()
                for each in self.evaluations
            ],
            ignore_index=True,
        )


def _lead(
    context: AssetExecutionContext, contest: Contest, evaluations: Sequence[Evaluation], engine: Fit
) -> dict[str, Any] | None:
    """The challenger's lead over the champion with its interval; None where the champion was not scored.

    Another recipe is fitted from several start values where that is cheap, and so is the champion's.
    """
    scores = {evaluation.ranker: evaluation.per_user[HEADLINE] for evaluation in evaluations}
    if CHAMPION not in scores:
        return None
    task, fit, recipe = contest.task, contest.champion, contest.challenger.recipe
    assert fit.recipe is not None
    users = contest.comparable
    challenger, champion = scores[MODEL][users][:, None], scores[CHAMPION][users][:, None]
    fits = 1 if fit.same_recipe else repeated_fits.number_of_fits(len(task.train))
    if fits > 1:
        context.log.info(f"Fitting both recipes from {fits} start values, for the chance in a fit")
        engine = repeated_fits.shared(engine)
        challenger = _repeated(task, recipe, fits, engine, contest.challenger.scored, scores[MODEL])[users]
        # A refit on changed data started warm, and not from the challenger's start values.
        known = scores[CHAMPION] if fit.refit is None else None
        champion = _repeated(task, opponent(fit.recipe, recipe), fits, engine, fit.scored, known)[users]
    champion_ndcg = float(champion.mean())
    differences = challenger - champion
    spread = repeated_fits.spread(differences, champion_ndcg)
    return {
        **asdict(lead(differences, spread)),
        "champion_ndcg": champion_ndcg,
        "users": len(differences),
        "fits": fits,
        "spread_between_fits": spread.deviation,
        "spread_source": spread.source,
    }


def _repeated(
    task: Task, recipe: Recipe, fits: int, engine: Fit, first: Factors | None, known: FloatArray | None
) -> FloatArray:
    """Scores of several fits of a recipe, all with the next-movie matrix of the first one."""
    next_movies = None if first is None else first.next_movies
    return repeated_fits.scores(task, recipe, fits, engine, known=known, next_movies=next_movies)


def _baselines(task: Task, seed: int) -> dict[str, TopK]:
    """Lists of the baselines that are cheap for data of this size."""
    small = len(task.train) <= MAX_POSITIVES_FOR_BASELINES
    affordable = {ITEM_KNN: small, ORIGINAL: small, EASE: baselines.ease_feasible(task.train, MAX_MOVIES_FOR_EASE)}
    names = [name for name in BASELINES if affordable.get(name, True)]
    return baselines.rank(names, task, max(CUTOFFS), seed=seed, ease_regularization=EASE_REGULARIZATION)


def _ranked(context: AssetExecutionContext, task: Task, factors: Factors, recipe: Recipe) -> TopK:
    work = partial(rank, task, factors, recipe, max(CUTOFFS), batch_bytes=get_settings().batch_bytes)
    return report_progress(
        context.log,
        f"Ranking for {len(task.users):,} users",
        # Each user is counted twice: once when the vector is solved, once when the list is there.
        lambda log: work(progress=lambda done, of: log(f"Ranked for {done // 2:,} of {of // 2:,} users")),
    )


def _scored(log: Log, lists: Mapping[str, TopK], contest: Contest) -> list[Evaluation]:
    task, comparable = contest.task, contest.comparable

    def score(name: str) -> Evaluation:
        log(f"Scoring {name}")
        evaluation = evaluate(name, lists[name], task.held_out, task.train, histories=task.histories)
        return evaluation if name != CHAMPION or comparable.all() else evaluation.of_some(comparable)

    with ThreadPoolExecutor() as pool:
        evaluations = list(pool.map(score, lists))
    return with_intervals(
        evaluations, progress=lambda done, of: log(f"Interval of each mean: {done:,} of {of:,} draws")
    )
