"""Claims about the backtest: a month is scored as it would have been then, and compared with the year before it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, backtest
from movierec_assets.recsys.backtest import (
    IN_THE_SITTING,
    MIN_USERS,
    MOMENTS,
    ON_RETURN,
    RECIPE,
    WITHOUT_SIGNAL,
    Figure,
    Moment,
    Month,
)
from movierec_assets.recsys.engine import Factors, OnIteration
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.rankers import POPULARITY
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, Recipe
from movierec_assets.recsys.split import MIN_LIKES_BEFORE_CUT, MIN_TRAIN_TO_EVALUATE, Task
from movierec_tests.recsys.strategies import Row, columns_of

MAY = Month(2003, 5)
SMALL = Recipe(factors=4, iterations=2)

SECONDS = st.integers(0, 3)
TIMES = {
    "earlier": SECONDS.map(lambda at: MAY.start - 4 + at),
    "within": SECONDS.map(lambda at: MAY.start + at) | SECONDS.map(lambda at: MAY.end - 4 + at),
    "later": SECONDS.map(lambda at: MAY.end + at),
}


@st.composite
def likes(draw: st.DrawFn, *when: str, users: int = 4, movies: int = 12) -> list[Row]:
    """Likes of few users at the edges of a month, under ids with gaps."""
    pair = st.tuples(st.integers(0, users - 1), st.integers(0, movies - 1))
    time = st.one_of(*(TIMES[name] for name in when))
    pairs = draw(st.lists(pair, unique=True, min_size=5, max_size=40))
    return [(10 * user + 3, 7 * movie + 1, draw(st.sampled_from([4.0, 5.0])), draw(time)) for user, movie in pairs]


EVER = likes("earlier", "within", "later")


def tasks_of(rows: list[Row]) -> dict[Moment, Task]:
    return backtest.tasks_of(RatingColumns.cast(*columns_of(rows)), MAY)


def plain_tasks(rows: list[Row]) -> dict[Moment, dict[int, tuple[set[int], set[int]]]]:
    """Movies of the history and movies to find, by user."""
    of_user: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row[3] < MAY.end:
            of_user[row[0]].append(row)
    found: dict[Moment, dict[int, tuple[set[int], set[int]]]] = {moment: {} for moment in MOMENTS}
    if not any(row[3] < MAY.start for row in rows):
        return {}
    for user, own in of_user.items():
        month = [row for row in own if row[3] >= MAY.start]
        before = [row for row in own if row[3] < MAY.start]
        if month and len(before) >= MIN_LIKES_BEFORE_CUT:
            found[ON_RETURN][user] = {row[1] for row in before}, {row[1] for row in month}
        latest = max(row[3] for row in own)
        earlier = {row[1] for row in own if row[3] < latest}
        if month and len(earlier) >= MIN_TRAIN_TO_EVALUATE:
            found[IN_THE_SITTING][user] = earlier, {row[1] for row in own if row[3] == latest}
    return {moment: users for moment, users in found.items() if users}


def as_sets(rows: list[Row]) -> dict[Moment, dict[int, tuple[set[int], set[int]]]]:
    known = [row for row in rows if row[3] < MAY.end]
    user_ids, movie_ids = sorted({row[0] for row in known}), sorted({row[1] for row in known})

    def movies(part: Interactions, row: int) -> set[int]:
        return {movie_ids[column] for column in part.rows(np.array([row])).stars.indices}

    return {
        moment: {
            user_ids[user]: (movies(task.histories, at), movies(task.held_out, at))
            for at, user in enumerate(task.users)
        }
        for moment, task in tasks_of(rows).items()
    }


def content(tasks: dict[Moment, Task]) -> dict[Moment, list[str]]:
    return {
        moment: [part.fingerprint() for part in (task.train, task.histories, task.held_out)] + [str(task.users)]
        for moment, task in tasks.items()
    }


@given(EVER)
def test_both_moments_are_those_of_a_plain_implementation(rows: list[Row]) -> None:
    assert as_sets(rows) == plain_tasks(rows)


@given(EVER, likes("later", users=6, movies=20))
def test_likes_after_the_month_change_nothing(rows: list[Row], others: list[Row]) -> None:
    known = [row for row in rows if row[3] < MAY.end]
    pairs = {row[:2] for row in known}
    changed = known + [row for row in others if row[:2] not in pairs]
    assert content(tasks_of(changed)) == content(tasks_of(rows))


@given(EVER)
def test_a_fit_never_sees_a_like_of_the_month(rows: list[Row]) -> None:
    seen: list[Interactions] = []

    def fit(
        positives: Interactions,
        recipe: Recipe,
        progress: OnIteration | None = None,
        *,
        loss_every: int = 0,
        start: FloatArray | None = None,
    ) -> Factors:
        seen.append(positives)
        return als.engine()(positives, recipe)

    tasks = tasks_of(rows)
    backtest.score(tasks, SMALL, fit)
    assert len(seen) == bool(tasks)
    for positives in seen:
        assert len(positives) == sum(row[3] < MAY.start for row in rows)
        assert positives.rated_at.max() < MAY.start


@given(EVER)
def test_all_rankers_are_scored_for_the_same_users(rows: list[Row]) -> None:
    tasks = tasks_of(rows)
    figures = backtest.score(tasks, SMALL, als.engine())
    assert [(figure.moment, figure.ranker, figure.users) for figure in figures] == [
        (moment, ranker, len(task.users))
        for moment, task in tasks.items()
        for ranker in (RECIPE, WITHOUT_SIGNAL, POPULARITY)
    ]
    alone = backtest.score(tasks, replace(SMALL, next_movie=NO_NEXT_MOVIE), als.engine())
    assert {figure.ranker for figure in alone} == ({RECIPE, POPULARITY} if tasks else set())
    without = {figure.moment: figure.ndcg for figure in figures if figure.ranker == WITHOUT_SIGNAL}
    assert {figure.moment: figure.ndcg for figure in alone if figure.ranker == RECIPE} == pytest.approx(without)


def test_nothing_is_known_before_the_first_month_of_the_data() -> None:
    rows = [(1, movie, 5.0, MAY.start + movie) for movie in range(9)]
    assert not tasks_of(rows)
    assert backtest.score({}, SMALL, als.engine()) == []


@given(st.integers(1, 9999), st.integers(1, 12))
def test_a_month_reads_its_own_name_and_follows_the_one_before(year: int, number: int) -> None:
    month = Month(year, number)
    assert Month.of(str(month)) == month
    assert month.later(1).later(-1) == month.later(-12).later(12) == month


def test_a_month_ends_where_the_next_begins_in_utc() -> None:
    assert (Month(2003, 12).end, str(Month(2003, 12).later(1))) == (Month(2004, 1).start, "2004-01")
    assert [str(Month.at(at)) for at in (1072915199, 1072915200)] == ["2003-12", "2004-01"]


@pytest.mark.parametrize("text", ["", "2003", "2003-13", "2003-00", "2003-5", "May 2003", "2003-05-01", "\u0662003-05"])
def test_other_text_is_no_month(text: str) -> None:
    with pytest.raises(RecsysError, match="expected one as in 2003-05"):
        Month.of(text)


def figure(scores: list[float] | FloatArray, moment: Moment = ON_RETURN) -> Figure:
    return Figure.of(moment, RECIPE, np.asarray(scores, dtype=float))


def test_a_month_of_few_users_has_figures_without_an_interval() -> None:
    assert figure([0.5] * (MIN_USERS - 1)).interval is None
    assert figure([0.5] * MIN_USERS).interval is not None


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=9), min_size=3, max_size=9), st.integers(1, 50))
def test_months_taken_together_have_the_mean_and_spread_of_their_users(months: list[list[float]], users: int) -> None:
    everybody = np.concatenate(months)
    found = backtest.expected([figure(scores) for scores in months], users)
    if len(everybody) < MIN_USERS:
        assert found is None
        return
    half_width = 1.96 * everybody.std() * (1 / len(everybody) + 1 / users) ** 0.5
    assert found is not None
    assert (found.mean, found.high - found.mean) == pytest.approx((everybody.mean(), half_width), abs=1e-6)
    assert found.low == pytest.approx(max(0.0, everybody.mean() - half_width), abs=1e-6)


def test_the_latest_month_with_enough_users_is_compared_with_the_twelve_before_it() -> None:
    full, thin = figure([0.2] * MIN_USERS), figure([0.9])
    months = {
        MAY.later(-13): figure([1.0] * 99),
        MAY.later(-12): full,
        MAY.later(-1): thin,
        MAY: full,
        MAY.later(1): thin,
    }
    found = backtest.compared(months.items(), ON_RETURN)
    assert found is not None
    month, compared, interval = found
    assert (month, compared) == (MAY, full)
    assert interval is not None
    assert interval.mean == pytest.approx((0.2 * MIN_USERS + 0.9) / (MIN_USERS + 1))
    assert backtest.compared(months.items(), IN_THE_SITTING) is None
    assert backtest.compared([(MAY, full)], ON_RETURN) == (MAY, full, None)
