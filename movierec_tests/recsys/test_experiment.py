"""Claims about experiments: the search sees nothing late, both moments are scored, and windows are pooled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, baselines, experiment
from movierec_assets.recsys.baselines import item_knn
from movierec_assets.recsys.comparison import mean_interval, paired_difference
from movierec_assets.recsys.engine import Fit
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.evaluation import HEADLINE, evaluate
from movierec_assets.recsys.experiment import Experiment, run
from movierec_assets.recsys.few_users import SIGNAL_IS_OFF
from movierec_assets.recsys.rankers import EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.recsys.returns import Returns
from movierec_assets.recsys.scoring import fitted, rank
from movierec_assets.recsys.search import Budget, SearchObjective
from movierec_assets.recsys.split import ProtocolName, as_matrix, time_windows

ALL = [MODEL, WITHOUT_SIGNAL, ORIGINAL, POPULARITY, ITEM_KNN, EASE]
LOGGED: list[str] = []
"""Lines of the run `latest`."""
NEAR_TIES = 0.02  # a swap of near ties in a few lists


def sittings(users: int = 60, seed: int = 3, *, movies: int = 50) -> RatingColumns:
    """Three sittings of five likes each, at times that differ from user to user."""
    random = np.random.default_rng(seed)
    starts = np.sort(random.integers(10**9, 10**9 + 10**8, (users, 3)), axis=1)
    rated_at = (starts[:, :, None] + 40 * np.arange(5)).reshape(users, 15)
    liked = np.stack([random.choice(movies, 15, replace=False, p=popularity(movies)) for _ in range(users)])
    user_id = np.repeat(3 * np.arange(users) + 1, 15)
    return RatingColumns.cast(user_id, 2 * liked.ravel() + 5, np.full(len(user_id), 4.5), rated_at.ravel())


def popularity(movies: int) -> Any:
    weights = 1 / np.arange(1, movies + 1)
    return weights / weights.sum()


@pytest.fixture(scope="module", autouse=True)
def _quick_original_recipe() -> Iterator[None]:
    """No claim here is about the original recipe, whose fits take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "original_recipe", lambda train, histories, k, *_: item_knn(train, histories, k, 5))
        yield


@pytest.fixture(scope="module")
def engine() -> Fit:
    return als.engine()


@pytest.fixture(scope="module")
def windows(engine: Fit) -> Experiment:
    return run(sittings(), fit=engine, protocol="time-split", seed=2)


@pytest.fixture(scope="module")
def latest(engine: Fit) -> Experiment:
    return run(sittings(), fit=engine, protocol="leave-latest-out", seed=2, log=LOGGED.append)


def test_the_rows_of_a_time_split_are_the_users_of_all_windows(windows: Experiment) -> None:
    together, ids = as_matrix(sittings())
    expected = list(time_windows(together))
    assert [(span.cut, span.end, span.users) for span in windows.spans] == [
        (each.cut, each.end, len(each.task.users)) for each in expected
    ]
    assert windows.task.users.tolist() == Returns.of(together).users.tolist()
    assert windows.cuts.tolist() == [each.cut for each in expected for _ in each.task.users]
    assert windows.n_users == len(set(windows.task.users.tolist())) < len(windows.task.users)
    assert np.array_equal(windows.ids.user_ids, ids.user_ids)
    assert [each.ranker for each in windows.evaluations] == ALL
    for each in windows.evaluations:
        assert len(each.per_user[HEADLINE]) == len(windows.task.users)


def test_each_window_is_ranked_by_a_fit_to_what_was_known_before_it(windows: Experiment, engine: Fit) -> None:
    recipe = Recipe(seed=2)
    returns = Returns.of(as_matrix(sittings())[0])
    found = returns.scores(recipe, returns.fits(recipe, engine))
    assert windows.evaluations[0].per_user[HEADLINE].mean() == pytest.approx(found.mean(), abs=NEAR_TIES)
    popular = [baselines.popularity(window.task.train, window.task.histories, 20).items for window in returns.windows]
    lists = baselines.popularity(returns.windows[-1].task.train, windows.task.histories, 20).items
    assert not np.array_equal(np.concatenate(popular), lists)
    again = evaluate(
        POPULARITY,
        TopK(np.concatenate(popular), np.zeros((len(lists), 20))),
        windows.task.held_out,
        windows.task.train,
    )
    assert windows.evaluations[3].per_user[HEADLINE] == pytest.approx(again.per_user[HEADLINE], abs=1e-12)


def test_intervals_of_a_time_split_draw_whole_users(windows: Experiment) -> None:
    for each in windows.evaluations:
        scores = each.per_user[HEADLINE]
        drawn, alone = mean_interval(scores, groups=windows.task.users), mean_interval(scores)
        found = each.interval()
        assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=1e-12)
        assert (found.low, found.high) != pytest.approx((alone.low, alone.high), abs=1e-12)


@pytest.mark.parametrize("protocol", ["windows", "latest"])
def test_every_ranker_is_scored_at_both_moments(protocol: str, request: pytest.FixtureRequest) -> None:
    found: Experiment = request.getfixturevalue(protocol)
    sitting, returned = found.moments
    assert (sitting.name, returned.name) == ("in the sitting", "on return")
    assert list(sitting.ndcg) == list(returned.ndcg) == list(sitting.intervals) == ALL
    assert (sitting.windows, sitting.n_users) == (None, 60)
    assert returned.windows == len(list(time_windows(as_matrix(sittings())[0])))
    own = returned if found.spans else sitting
    for each in found.evaluations:
        assert own.ndcg[each.ranker] is each.per_user[HEADLINE]
    gain = paired_difference(returned.ndcg[MODEL], returned.ndcg[WITHOUT_SIGNAL], groups=returned.users)
    assert returned.signal_gain == gain


def test_both_protocols_find_the_same_scores_at_a_moment(windows: Experiment, latest: Experiment) -> None:
    for one, other in zip(windows.moments, latest.moments, strict=True):
        assert one.users.tolist() == other.users.tolist()
        assert one.ndcg[POPULARITY] == pytest.approx(other.ndcg[POPULARITY], abs=1e-12)
        for name in ALL[:5]:  # EASE's regularization is chosen on other likes
            assert one.ndcg[name].mean() == pytest.approx(other.ndcg[name].mean(), abs=NEAR_TIES)


def test_a_fit_without_its_signal_is_the_same_fit(latest: Experiment, engine: Fit) -> None:
    recipe = without_signal(Recipe(seed=2))
    lists = rank(latest.task, fitted(latest.task.train, recipe, engine), recipe, 20)
    found = evaluate(WITHOUT_SIGNAL, lists, latest.task.held_out, latest.task.train)
    assert latest.evaluations[1].means()[HEADLINE] == pytest.approx(found.means()[HEADLINE], abs=NEAR_TIES)
    assert latest.evaluations[0].means()[HEADLINE] != pytest.approx(found.means()[HEADLINE], abs=1e-6)


def test_many_likes_are_scored_at_the_other_moment_by_a_sample_and_beside_popularity_alone(
    engine: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "MAX_LIKES_OF_OTHER_MOMENT", 450)
    sitting, returned = run(sittings(), fit=engine, seed=2).moments
    assert list(sitting.ndcg) == ALL
    assert list(returned.ndcg) == [MODEL, WITHOUT_SIGNAL, POPULARITY]
    assert (sitting.sampled_from, returned.sampled_from) == (None, 60)
    assert returned.n_users <= 30


class Stopped(Exception):  # noqa: N818
    """Ends an experiment where the search begins."""


def test_the_search_of_a_time_split_and_the_choice_of_ease_see_nothing_from_the_first_cut_on(
    engine: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def look(objective: SearchObjective, *_: Any, **__: Any) -> None:
        parts = [objective.train, *(part for task in objective.moments for part in (task.histories, task.held_out))]
        seen.extend(int(part.rated_at.max()) for part in parts if len(part))
        raise Stopped

    def look_again(train: Any, histories: Any, held_out: Any) -> float:
        seen.extend(int(part.rated_at.max()) for part in (train, histories, held_out))
        raise Stopped

    first = next(time_windows(as_matrix(sittings())[0]))
    monkeypatch.setattr(experiment, "search", look)
    with pytest.raises(Stopped):
        run(sittings(), fit=engine, protocol="time-split", budget=Budget(1, 1.0))
    searched = len(seen)
    monkeypatch.setattr(baselines, "choose_ease_lambda", look_again)
    with pytest.raises(Stopped):
        run(sittings(), fit=engine, protocol="time-split")
    assert len(seen) == searched + 3 >= 6
    assert max(seen) == first.task.train.rated_at.max() < first.cut


def test_progress_names_every_window(latest: Experiment) -> None:
    lines = LOGGED
    assert latest.moments[1].windows == 10
    assert lines[0] == "Fitting the recipe and the baselines"
    assert [line.split(",")[0] for line in lines[1:]] == [f"Window {each} of at most 10" for each in range(1, 11)]
    assert lines[1].endswith("users on return")


def test_equal_times_switch_the_signal_off_and_the_report_says_so(engine: Fit) -> None:
    columns = sittings()
    equal = RatingColumns.cast(columns.user_id, columns.movie_id, columns.rating, np.full(len(columns), 10**9))
    with pytest.raises(RecsysError, match=r"nobody has 5 likes before a cut.*All 900 likes are of one time"):
        run(equal, fit=engine, protocol="time-split")
    for budget in (None, Budget(2, 1e9)):
        found = run(equal, fit=engine, protocol="strong-generalization", budget=budget)
        assert found.notes == (SIGNAL_IS_OFF,)
        assert (found.moments, found.spans) == ((), ())
        assert not found.recipe.next_movie.on
        assert WITHOUT_SIGNAL not in [each.ranker for each in found.evaluations]
    assert run(columns, fit=engine, protocol="strong-generalization").notes == ()


@pytest.mark.parametrize("protocol", ["leave-latest-out", "time-split"])
def test_likes_that_differ_in_time_from_those_to_find_alone_switch_the_signal_off(
    engine: Fit, protocol: ProtocolName
) -> None:
    columns = sittings().chosen(np.arange(900) % 15 < 12)
    days = np.where(np.arange(720) % 12 < 8, 10, 20)
    twice = RatingColumns.cast(columns.user_id, columns.movie_id, columns.rating, 10**9 + 86_400 * days)
    found = run(twice, fit=engine, protocol=protocol)
    assert SIGNAL_IS_OFF in found.notes
    assert not found.recipe.next_movie.on
    assert WITHOUT_SIGNAL not in [each.ranker for each in found.evaluations]
    # One user with likes at two times before the last cut is enough.
    days[0] = 9
    once = RatingColumns.cast(columns.user_id, columns.movie_id, columns.rating, 10**9 + 86_400 * days)
    found = run(once, fit=engine, protocol=protocol)
    assert SIGNAL_IS_OFF not in found.notes
    assert found.recipe.next_movie.on


def test_users_who_never_come_back_are_scored_in_the_sitting_alone(engine: Fit) -> None:
    columns = sittings().chosen(np.arange(900) % 15 < 5)
    order = np.arange(300) % 5
    times = np.where(order == 4, 2 * 10**9, 10**9 + order)
    once = RatingColumns.cast(columns.user_id, columns.movie_id, columns.rating, times)
    found = run(once, fit=engine)
    assert [each.name for each in found.moments] == ["in the sitting"]
    (note,) = found.notes
    assert "No user can be scored on return" in note
    with pytest.raises(RecsysError, match="No user can be scored on return"):
        run(once, fit=engine, protocol="time-split")
