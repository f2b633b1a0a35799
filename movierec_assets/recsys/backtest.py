"""One month as it would have been: a fit to what was known before it, scored on what people liked in it.

Belongs here: the two moments of a month, their figures, and the level to expect of a month after a year. Does not:
windows that divide a whole set (`returns`), and where figures are kept (`tables.backtests`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self, get_args

import numpy as np

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import baselines, metrics, scoring
from movierec_assets.recsys.batches import BATCH_BYTES
from movierec_assets.recsys.comparison import Interval, mean_interval
from movierec_assets.recsys.engine import Fit
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.rankers import POPULARITY
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.recsys.returns import CUTOFF
from movierec_assets.recsys.split import MIN_TRAIN_TO_EVALUATE, Task, as_matrix, latest_of_each_user, time_window

Moment = Literal["in the sitting", "on return"]
IN_THE_SITTING, ON_RETURN = get_args(Moment)
MOMENTS: tuple[Moment, ...] = (IN_THE_SITTING, ON_RETURN)

RECIPE, WITHOUT_SIGNAL = "recipe", "without the signal"
RANKERS = (RECIPE, WITHOUT_SIGNAL, POPULARITY)

MIN_USERS = 10
"""With fewer users, the figures of a month have no interval, and no month is compared with them."""

MONTHS_BEFORE = 12
"""Months that a month is compared with."""


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month in UTC.

    Attributes
    ----------
    year, number : int
        The number is 1 for January.
    """

    year: int
    number: int

    @classmethod
    def of(cls, name: str) -> Self:
        """Read a name such as 2003-05.

        Raises
        ------
        RecsysError
            When the text is something else.
        """
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", name) or name.startswith("0000"):
            raise RecsysError(f"{name!r} is no month; expected one as in 2003-05.")
        return cls(int(name[:4]), int(name[5:]))

    @classmethod
    def at(cls, seconds: int) -> Self:
        """The month of a time in Unix seconds."""
        time = datetime.fromtimestamp(seconds, UTC)
        return cls(time.year, time.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    def later(self, months: int) -> Month:
        """The month some months after this one, or before it."""
        year, number = divmod(12 * self.year + self.number - 1 + months, 12)
        return Month(year, number + 1)

    @classmethod
    def last_complete(cls) -> Month:
        """The month before the current one."""
        return cls.at(int(datetime.now(UTC).timestamp())).later(-1)

    @property
    def start(self) -> int:
        """Unix seconds of its first moment."""
        return int(datetime(self.year, self.number, 1, tzinfo=UTC).timestamp())

    @property
    def end(self) -> int:
        """Unix seconds of the first moment after it."""
        return self.later(1).start


FIRST_MONTH = Month(1995, 1)
"""The first month to backtest: MovieLens has no rating from before it."""


@dataclass(frozen=True)
class Figure:
    """NDCG@10 of one ranker in one moment of a month.

    Attributes
    ----------
    moment : {"in the sitting", "on return"}
    ranker : {"recipe", "without the signal", "popularity"}
    users : int
        Each is scored once.
    ndcg : float
        Mean over the users.
    deviation : float
        Standard deviation over the users.
    interval : Interval or None
        Of the mean; None for fewer users than `MIN_USERS`.
    """

    moment: Moment
    ranker: str
    users: int
    ndcg: float
    deviation: float
    interval: Interval | None

    @classmethod
    def of(cls, moment: Moment, ranker: str, scores: FloatArray) -> Self:
        """The figure of scores of at least one user."""
        interval = mean_interval(scores) if len(scores) >= MIN_USERS else None
        return cls(moment, ranker, len(scores), float(scores.mean()), float(scores.std()), interval)


def tasks_of(positives: RatingColumns, month: Month) -> dict[Moment, Task]:
    """What rankers know, and have to find, in both moments of a month; moments without users are left out.

    Both tasks train on all likes before the month. On return, users with 5 likes before the month are scored on all
    their likes of the month. In the sitting, users are scored on their latest likes of the month, and everything before
    them is known, likes of the month as well. Rows and columns are the users and movies that have a like before the end
    of the month, so nothing depends on later ones.
    """
    known = positives.chosen(positives.rated_at < month.end)
    if len(known) == 0 or known.rated_at.min() >= month.start:
        return {}
    likes, _ = as_matrix(known)
    window = time_window(likes, month.start, month.end)
    earlier, latest = latest_of_each_user(likes)
    in_month = latest.only(latest.rated_at >= month.start)
    users = np.flatnonzero((in_month.per_user > 0) & (earlier.per_user >= MIN_TRAIN_TO_EVALUATE))
    sitting = Task(window.task.train, users, earlier.rows(users), in_month.rows(users))
    tasks = dict(zip(MOMENTS, (sitting, window.task), strict=True))
    return {moment: task for moment, task in tasks.items() if len(task.users)}


def score(tasks: dict[Moment, Task], recipe: Recipe, fit: Fit, *, batch_bytes: int = BATCH_BYTES) -> list[Figure]:
    """Fit a recipe once, and score it beside itself without the next-movie signal, and beside popularity.

    Parameters
    ----------
    tasks : dict of Task
        Of one month, see `tasks_of`.
    recipe : Recipe
    fit : Fit
    batch_bytes : int
        Memory for the temporary arrays of a batch.

    Returns
    -------
    list of Figure
        Empty without a task. A recipe whose signal is off is not scored without it again.
    """
    if not tasks:
        return []
    train = next(iter(tasks.values())).train
    factors = fit(train, recipe)
    recipes = {RECIPE: recipe}
    if recipe.next_movie.on:
        factors = factors.with_next(NextMovies.of(train, recipe.next_movie, batch_bytes=batch_bytes))
        recipes[WITHOUT_SIGNAL] = without_signal(recipe)
    found = []
    for moment, task in tasks.items():
        lists = {
            ranker: scoring.rank(task, factors, each, CUTOFF, batch_bytes=batch_bytes)
            for ranker, each in recipes.items()
        }
        lists[POPULARITY] = baselines.popularity(task.train, task.histories, CUTOFF)
        found += [
            Figure.of(moment, ranker, metrics.score(each.items, task.held_out.stars, CUTOFF).ndcg)
            for ranker, each in lists.items()
        ]
    return found


def pooled(figures: Sequence[Figure]) -> Figure | None:
    """Several months of one ranker in one moment as one, a user counted in each month; None without a month.

    References
    ----------
    Cochran (1977), Sampling Techniques, chapter 5: mean and variance of strata taken together.
    """
    if not figures:
        return None
    users = sum(each.users for each in figures)
    weights, means = np.array([each.users / users for each in figures]), np.array([each.ndcg for each in figures])
    mean = float(weights @ means)
    deviation = float(weights @ (np.array([each.deviation for each in figures]) ** 2 + (means - mean) ** 2)) ** 0.5
    interval = _around(mean, deviation * users**-0.5) if users >= MIN_USERS else None
    return Figure(figures[0].moment, figures[0].ranker, users, mean, deviation, interval)


def _around(mean: float, error: float) -> Interval:
    return Interval(mean, max(0.0, mean - 1.96 * error), mean + 1.96 * error)


def expected(before: Sequence[Figure], users: int) -> Interval | None:
    """Interval in which the mean of a month with some users lies, 95 times of 100, if it is like the months before.

    Parameters
    ----------
    before : sequence of Figure
        Of one ranker in one moment of several months.
    users : int
        Of the month that is compared.

    Returns
    -------
    Interval or None
        Its mean is over all users of the months before. It is as wide as the chance in that mean and in the mean of the
        month require. None when the months before have fewer users than `MIN_USERS` together.
    """
    year = pooled(before)
    if year is None or year.interval is None:
        return None
    return _around(year.ndcg, year.deviation * (1 / year.users + 1 / users) ** 0.5)


def by_year(figures: Iterable[tuple[Month, Figure]]) -> dict[int, dict[tuple[Moment, str], Figure]]:
    """Months of each calendar year as one, by moment and ranker; the earliest year first."""
    found: dict[int, dict[tuple[Moment, str], list[Figure]]] = {}
    for month, figure in sorted(figures, key=lambda each: each[0]):
        found.setdefault(month.year, {}).setdefault((figure.moment, figure.ranker), []).append(figure)
    return {
        year: {key: whole for key, months in of_year.items() if (whole := pooled(months)) is not None}
        for year, of_year in found.items()
    }


def years_up_to(figures: Iterable[tuple[Month, Figure]]) -> dict[Month, Figure]:
    """The twelve months that end with each month as one, given the months of one ranker in one moment."""
    of_month = dict(figures)
    found = {
        month: pooled([of_month[each] for each in map(month.later, range(1 - MONTHS_BEFORE, 1)) if each in of_month])
        for month in sorted(of_month)
    }
    return {month: year for month, year in found.items() if year is not None}


def compared(figures: Iterable[tuple[Month, Figure]], moment: Moment) -> tuple[Month, Figure, Interval | None] | None:
    """The latest month of one ranker with enough users in a moment, and the interval to expect of it.

    Returns
    -------
    month, figure and interval, or None
        None without such a month. The interval follows from the year before, and is None when that had too few users.
    """
    of_moment = {month: figure for month, figure in figures if figure.moment == moment}
    latest = max((month for month, figure in of_moment.items() if figure.users >= MIN_USERS), default=None)
    if latest is None:
        return None
    before = [of_moment[each] for each in map(latest.later, range(-MONTHS_BEFORE, 0)) if each in of_moment]
    return latest, of_moment[latest], expected(before, of_moment[latest].users)
