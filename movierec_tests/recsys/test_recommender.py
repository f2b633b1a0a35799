"""Claims about a model: it lists no liked movie, always lists something, and names the movies and users it lacks."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from movierec_assets.recsys import als, ranking
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import NEVER, FloatArray, IdMaps, IntArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, FoldIn, NextMovie, Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_tests.ranked_lists import assert_same_lists
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings

RECIPE = Recipe(factors=2, alpha=20.0, regularization=0.5, fold_in=FoldIn(floor=0.3, boost=2.0, tau=4.0))
USERS, MOVIES = np.array([2, 3, 5, 7, 11]), np.array([10, 20, 30, 40, 50, 60])

# Movies 10 to 30 are of one kind, 40 to 60 of another. Likes of each: 1, 3, 2, 0, 3, 1. User 11 has none.
LIKES: list[Row] = [
    *((0, 0, 5.0, 1), (0, 1, 4.0, 2), (0, 4, 4.5, 3)),
    *((1, 1, 4.0, 4), (1, 2, 4.0, 5)),
    *((2, 1, 4.0, 1), (2, 2, 5.0, 2), (2, 4, 4.0, 9)),
    *((3, 4, 4.0, 7), (3, 5, 4.0, 8)),
]
FACTORS = np.array([[1, 0.1], [1.1, 0], [0.9, 0.1], [0, 1.2], [0.1, 1], [0, 0.8]], dtype=np.float32)


def fitted(movie_factors: FloatArray) -> Factors:
    """A fit with these movie factors, in which all likes weigh the same."""
    movies = len(movie_factors)
    return Factors(movie_factors[:0], movie_factors, Confidence("binary", np.ones(movies, np.float32), 2.0))


@pytest.fixture
def recommender() -> Recommender:
    return Recommender.of(fitted(FACTORS), likes(), IdMaps(USERS, MOVIES), RECIPE)


def likes(rows: list[Row] = LIKES, users: int = len(USERS)) -> Interactions:
    return interactions_of(rows, (users, len(MOVIES)))


def drawn_recommender(drawn: Ratings, seed: int) -> Recommender:
    users, movies = drawn.shape
    factors = np.random.default_rng(seed).normal(size=(movies, 2)).astype(np.float32)
    ids = IdMaps(np.arange(users) * 3 + 1, np.arange(movies) * 5 + 2)
    return Recommender.of(fitted(factors), drawn.interactions(), ids, RECIPE)


def listed(recommender: Recommender, lists: TopK, row: int = 0) -> list[int]:
    ids: list[int] = recommender.movie_ids_of(lists)[row].tolist()
    return [movie for movie in ids if movie >= 0]


@settings(deadline=None)
@given(ratings(), st.integers(1, 10), st.integers(0, 100))
def test_known_users_are_shown_every_other_movie_before_a_list_ends_and_never_one_they_liked(
    drawn: Ratings, k: int, seed: int
) -> None:
    recommender = drawn_recommender(drawn, seed)
    lists = recommender.for_known(recommender.ids.user_ids, k)
    for user in range(drawn.shape[0]):
        liked = {int(recommender.ids.movie_ids[movie]) for of, movie, _, _ in drawn.rows if of == user}
        shown = listed(recommender, lists, user)
        assert not liked & set(shown)
        assert len(shown) == min(k, drawn.shape[1] - len(liked))


def test_known_users_are_ranked_by_their_folded_in_vectors_in_the_order_asked_for(recommender: Recommender) -> None:
    vectors = als.fold_in(FACTORS, likes(), RECIPE)
    lists = recommender.for_known(np.array([7, 2]), 3)
    for row, user in enumerate((3, 0)):
        own = {movie for of, movie, _, _ in LIKES if of == user}
        scores = vectors[user] @ FACTORS.T
        best = [movie for movie in np.argsort(-scores).tolist() if movie not in own][:3]
        assert lists.items[row].tolist() == best
        assert lists.scores[row] == pytest.approx(scores[best], abs=1e-4)
    assert recommender.movie_ids_of(lists)[0, 0] == 40


def test_unknown_users_are_named_five_at_most(recommender: Recommender) -> None:
    with pytest.raises(RecsysError, match=r"does not know user 1, 4, 6, 8, 9;"):
        recommender.for_known(np.array([1, 2, 4, 6, 8, 9, 12, 13]), 3)


def test_movie_ids_are_those_of_the_columns_and_minus_one_where_a_list_is_empty(recommender: Recommender) -> None:
    lists = TopK(np.array([[5, 0, -1]]), np.array([[2.0, 1.0, np.nan]]))
    assert recommender.movie_ids_of(lists).tolist() == [[60, 10, -1]]


def test_liked_movies_bring_others_of_their_kind_and_not_themselves(recommender: Recommender) -> None:
    assert set(listed(recommender, recommender.for_liked(np.array([10]), 2))) == {20, 30}
    assert set(listed(recommender, recommender.for_liked(np.array([60, 40]), 6))) == {10, 20, 30, 50}
    assert listed(recommender, recommender.for_liked(np.array([60, 40]), 6))[0] == 50


def test_liked_movies_count_alike_whatever_their_order_and_repeats_and_unknown_ones_do_not_count(
    recommender: Recommender,
) -> None:
    together = likes([(0, 0, 4.0, 1), (0, 4, 4.0, 1)], users=1)
    expected = recommender.for_histories(together, together.stars, 6)
    for movie_ids in ([10, 50], [50, 10], [50, 10, 50, 999, -1]):
        assert_same_lists(recommender.for_liked(np.array(movie_ids), 6), expected)


@pytest.mark.parametrize("movie_ids", [[], [999], [-1, 0, 61]])
def test_liking_only_unknown_movies_is_an_error(recommender: Recommender, movie_ids: list[int]) -> None:
    with pytest.raises(RecsysError, match="None of the liked movies is in the model"):
        recommender.for_liked(np.array(movie_ids), 3)


def test_nobody_is_shown_the_most_liked_movies_with_their_numbers_of_likes(recommender: Recommender) -> None:
    assert recommender.likes.tolist() == [1, 3, 2, 0, 3, 1]
    lists = recommender.for_nobody(8)
    assert recommender.movie_ids_of(lists).tolist() == [[20, 50, 30, 10, 60, 40, -1, -1]]
    assert lists.scores[0, :6].tolist() == [3, 3, 2, 1, 1, 0]


def test_movies_that_nobody_likes_come_last_for_nobody_and_are_not_forgotten() -> None:
    only_the_first = Recommender.of(fitted(FACTORS), likes([(0, 0, 4.0, 1)]), IdMaps(USERS, MOVIES), RECIPE)
    assert only_the_first.likes.tolist() == [1, 0, 0, 0, 0, 0]
    assert listed(only_the_first, only_the_first.for_nobody(6)) == MOVIES.tolist()


def test_histories_of_the_fit_give_the_lists_of_the_known_users(recommender: Recommender) -> None:
    with_likes = USERS[:4]
    histories = likes().rows(np.arange(4))
    assert_same_lists(recommender.for_histories(histories, histories.stars, 6), recommender.for_known(with_likes, 6))


@pytest.mark.parametrize("who", [USERS, USERS[[3, 2, 1, 0, 4]], USERS + 1000], ids=["right", "others", "unknown"])
def test_who_they_are_changes_no_list(recommender: Recommender, who: IntArray) -> None:
    histories = likes()
    assert len(histories) > len(MOVIES)  # enough to be solved for together
    expected = recommender.for_histories(histories, histories.stars, 6)
    assert_same_lists(recommender.for_histories(histories, histories.stars, 6, user_ids=who), expected)


def test_movies_like_the_later_one_gain_and_movies_like_the_older_one_lose(recommender: Recommender) -> None:
    unsure = replace(recommender, recipe=replace(RECIPE, alpha=1.0))

    def scores(when_10: int, when_60: int) -> dict[int, float]:
        history = likes([(0, 0, 4.0, when_10), (0, 5, 4.0, when_60)], users=1)
        lists = unsure.for_histories(history, history.stars, 4)
        return dict(zip(listed(recommender, lists), lists.scores[0].tolist(), strict=True))

    first, last = scores(1, 2), scores(2, 1)
    assert set(first) == set(last) == {20, 30, 40, 50}
    assert all(last[movie] > first[movie] + 0.01 for movie in (20, 30))
    assert all(last[movie] < first[movie] - 0.01 for movie in (40, 50))


def test_strangers_get_popular_movies_they_have_not_rated_with_score_zero(recommender: Recommender) -> None:
    histories = likes([(1, 0, 5.0, 1)], users=3)
    rated_low = csr_matrix(([1.0, 1.0, 1.0], ([0, 0, 1], [1, 3, 0])), shape=(3, 6))
    lists = recommender.for_histories(histories, rated_low, 5)
    ids = recommender.movie_ids_of(lists)
    assert ids[0].tolist() == [50, 30, 10, 60, -1]
    assert ids[2].tolist() == [20, 50, 30, 10, 60]
    assert lists.scores[0].tolist()[:4] == [0, 0, 0, 0]
    assert np.isnan(lists.scores[0, 4])
    assert lists.scores[2].tolist() == [0] * 5
    alone = histories.rows(np.array([1]))
    assert_same_lists(TopK(lists.items[[1]], lists.scores[[1]]), recommender.for_histories(alone, rated_low[[1]], 5))
    assert lists.scores[1, 0] > 0
    assert set(ids[1, :2].tolist()) == {20, 30}


def test_what_was_rated_low_is_left_out_of_the_list_of_a_history(recommender: Recommender) -> None:
    histories = likes([(0, 0, 5.0, 1)], users=1)
    seen = csr_matrix(([1.0, 1.0], ([0, 0], [0, 2])), shape=(1, 6))
    assert listed(recommender, recommender.for_histories(histories, seen, 6))[0] == 20
    assert set(listed(recommender, recommender.for_histories(histories, seen, 6))) == {20, 40, 50, 60}


def test_movies_outside_the_catalogue_are_dropped_and_nothing_else_changes(recommender: Recommender) -> None:
    catalogue = np.array([5, 10, 30, 40, 60, 70])
    smaller = recommender.within(catalogue)
    kept = [0, 2, 3, 5]
    assert smaller.ids.movie_ids.tolist() == [10, 30, 40, 60]
    assert np.array_equal(smaller.movie_factors, FACTORS[kept])
    assert np.array_equal(smaller.user_vectors, recommender.user_vectors)
    assert np.array_equal(smaller.seen.toarray(), recommender.seen.toarray()[:, kept])
    assert smaller.likes.tolist() == [1, 2, 0, 1]
    for user in USERS:
        whole = listed(recommender, recommender.for_known(np.array([user]), 6))
        part = listed(smaller, smaller.for_known(np.array([user]), 6))
        assert part == [movie for movie in whole if movie in catalogue]


def test_a_catalogue_with_every_movie_leaves_the_model_as_it_is(recommender: Recommender) -> None:
    assert recommender.within(np.arange(100)) is recommender


def test_a_catalogue_without_any_movie_of_the_model_gives_empty_lists(recommender: Recommender) -> None:
    empty = recommender.within(np.array([77]))
    for lists in (empty.for_nobody(2), empty.for_known(np.array([2]), 2)):
        assert empty.movie_ids_of(lists).tolist() == [[-1, -1]]
        assert np.isnan(lists.scores).all()


def stored(recommender: Recommender) -> Recommender:
    file = io.BytesIO()
    np.savez(file, **recommender.to_arrays())  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return Recommender.from_arrays(arrays)


@settings(deadline=None)
@given(ratings(), st.integers(0, 100))
def test_a_stored_model_gives_the_same_answers(drawn: Ratings, seed: int) -> None:
    recommender = drawn_recommender(drawn, seed)
    recommender = replace(recommender, recipe=replace(RECIPE, alpha=float(seed + 1)))
    back = stored(recommender)
    assert back.recipe == recommender.recipe
    assert np.array_equal(back.ids.user_ids, recommender.ids.user_ids)
    assert np.array_equal(back.ids.movie_ids, recommender.ids.movie_ids)
    users: IntArray = recommender.ids.user_ids
    assert_same_lists(back.for_known(users, 9), recommender.for_known(users, 9))
    assert_same_lists(back.for_nobody(9), recommender.for_nobody(9))
    movie = recommender.ids.movie_ids[:1]
    assert_same_lists(back.for_liked(movie, 9), recommender.for_liked(movie, 9))
    for name, array in recommender.to_arrays().items():
        assert np.array_equal(back.to_arrays()[name], array), name


def test_factors_of_another_catalogue_do_not_make_a_model() -> None:
    with pytest.raises(RecsysError, match=r"\(5, 2\) do not fit"):
        Recommender.of(fitted(FACTORS[:5]), likes(), IdMaps(USERS, MOVIES), RECIPE)


def test_lists_are_those_of_ranking_over_the_same_vectors(recommender: Recommender) -> None:
    expected = ranking.recommend(recommender.user_vectors, FACTORS, likes().stars, 6)
    assert_same_lists(recommender.for_known(USERS, 6), expected)


@settings(deadline=None)
@given(ratings(), st.integers(0, 100))
def test_what_each_like_adds_sums_to_the_score_of_a_recommended_movie(drawn: Ratings, seed: int) -> None:
    recommender = drawn_recommender(drawn, seed)
    histories = drawn.interactions()
    lists = recommender.for_histories(histories, histories.stars, 5)
    for user in np.flatnonzero(histories.per_user):
        shown = lists.items[user] >= 0
        movie_ids = recommender.movie_ids_of(lists)[user][shown]
        explained = recommender.explain(histories.rows(np.array([user])), movie_ids)
        added = explained.because_of
        assert not explained.after.any()
        assert added.shape == explained.after.shape == (shown.sum(), histories.per_user[user])
        np.testing.assert_allclose(added.sum(axis=1), lists.scores[user][shown], rtol=1e-3, atol=1e-3)


def test_progress_counts_users_once_for_their_vector_and_once_for_their_list(recommender: Recommender) -> None:
    reported: list[tuple[int, int]] = []
    histories = likes().rows(np.arange(2))
    recommender.for_histories(
        histories, histories.stars, 2, batch_bytes=1, progress=lambda done, total: reported.append((done, total))
    )
    assert reported == [(1, 4), (2, 4), (3, 4), (4, 4)]


# With the next-movie signal

SITTING_RECIPE = replace(RECIPE, next_movie=NextMovie(window=3, tau=3.0, weight=2.0, fade_hours=10.0))


def with_signal(positives: Interactions, movie_factors: FloatArray, ids: IdMaps) -> Recommender:
    """A model whose transitions were counted in the same positives."""
    factors = fitted(movie_factors).with_next(NextMovies.of(positives, SITTING_RECIPE.next_movie))
    return Recommender.of(factors, positives, ids, SITTING_RECIPE)


@pytest.fixture
def of_two_moments() -> Recommender:
    return with_signal(likes(), FACTORS, IdMaps(USERS, MOVIES))


def drawn_with_signal(drawn: Ratings, seed: int) -> Recommender:
    plain = drawn_recommender(drawn, seed)
    return with_signal(drawn.interactions(), plain.movie_factors, plain.ids)


@given(ratings(max_users=4, times=20_000), st.integers(0, 100), st.sampled_from([0, 7_200, 86_400, 10**9]))
def test_what_each_like_adds_in_both_ways_sums_to_the_score_at_any_moment(
    drawn: Ratings, seed: int, elapsed: int
) -> None:
    recommender, histories = drawn_with_signal(drawn, seed), drawn.interactions()
    lists = recommender.for_histories(histories, histories.stars, 5, elapsed=np.full(histories.shape[0], elapsed))
    for user in np.flatnonzero(histories.per_user):
        shown = lists.items[user] >= 0
        movie_ids = recommender.movie_ids_of(lists)[user][shown]
        explained = recommender.explain(histories.rows(np.array([user])), movie_ids, elapsed)
        assert explained.because_of.shape == explained.after.shape == (shown.sum(), histories.per_user[user])
        if elapsed == 10**9:
            assert not explained.after.any()
        np.testing.assert_allclose(explained.scores, lists.scores[user][shown], rtol=1e-3, atol=2e-3)


def test_the_movie_that_is_liked_next_leads_in_the_sitting_and_not_on_return(of_two_moments: Recommender) -> None:
    """Movie 50 follows 20 twice, though it is of the other kind."""
    history = likes([(0, 1, 4.0, 1)], users=1)
    sitting = of_two_moments.for_histories(history, history.stars, 5, elapsed=np.array([0]))
    back = of_two_moments.for_histories(history, history.stars, 5, elapsed=np.array([10**9]))
    assert listed(of_two_moments, sitting)[0] in (30, 50)
    assert listed(of_two_moments, back)[:2] == [10, 30]
    after = of_two_moments.explain(history, np.array([30, 50, 60]), 0).after[:, 0]
    assert after[0] > 0
    assert after[1] > 0
    assert after[2] < 0, "what never follows loses"


def test_a_known_user_is_ranked_as_the_same_history_at_the_same_moment(of_two_moments: Recommender) -> None:
    histories = likes().rows(np.arange(4))
    latest = np.array([3, 5, 9, 8])
    for elapsed in (0, 3_600, 10**6):
        expected = of_two_moments.for_histories(histories, histories.stars, 6, elapsed=np.full(4, elapsed))
        assert_same_lists(of_two_moments.for_known(USERS[:4], 6, latest + elapsed), expected)
    sitting = of_two_moments.for_known(USERS[:4], 6, latest)
    assert_same_lists(of_two_moments.for_known(USERS[:4], 6, -(10**6)), sitting)
    with pytest.raises(AssertionError):
        assert_same_lists(of_two_moments.for_known(USERS[:4], 6), sitting)


def test_without_a_time_a_request_is_one_at_a_return(of_two_moments: Recommender) -> None:
    histories = likes().rows(np.arange(4))
    a_day_later = of_two_moments.for_histories(histories, histories.stars, 6, elapsed=np.full(4, 86_400))
    assert_same_lists(of_two_moments.for_histories(histories, histories.stars, 6), a_day_later)
    assert_same_lists(of_two_moments.for_known(USERS[:4], 6), a_day_later)


def test_liked_titles_are_of_the_sitting(of_two_moments: Recommender) -> None:
    history = of_two_moments.history_of(np.array([20]))
    expected = of_two_moments.for_histories(history, history.stars, 6, elapsed=np.zeros(1))
    assert_same_lists(of_two_moments.for_liked(np.array([20]), 6), expected)


def test_users_without_likes_have_no_latest_one_and_get_a_list_at_any_time(of_two_moments: Recommender) -> None:
    assert of_two_moments.latest_at is not None
    assert of_two_moments.latest_at.tolist() == [3, 5, 9, 8, NEVER]
    for at in (None, 0, 2**40):
        assert len(listed(of_two_moments, of_two_moments.for_known(np.array([11]), 6, at))) == 6


@given(ratings(), st.integers(0, 100), st.sampled_from([None, -5, 3, 10**6]))
def test_a_stored_model_with_a_signal_gives_the_same_answers_at_any_time(
    drawn: Ratings, seed: int, at: int | None
) -> None:
    recommender = drawn_with_signal(drawn, seed)
    back = stored(recommender)
    users: IntArray = recommender.ids.user_ids
    assert_same_lists(back.for_known(users, 9, at), recommender.for_known(users, 9, at))
    movie = recommender.ids.movie_ids[:1]
    assert_same_lists(back.for_liked(movie, 9), recommender.for_liked(movie, 9))
    assert set(back.to_arrays()) == set(recommender.to_arrays())
    for name, array in recommender.to_arrays().items():
        assert np.array_equal(back.to_arrays()[name], array), name


def test_the_arrays_of_an_earlier_release_are_served_by_als_alone(recommender: Recommender) -> None:
    """Its recipe has no field of the signal, and its version calls with two arguments."""
    arrays = recommender.to_arrays()
    assert not [name for name in arrays if name.startswith(("next_", "recent_", "latest_"))]
    recipe = {name: value for name, value in RECIPE.as_dict().items() if not name.startswith("next_movie_")}
    old = Recommender.from_arrays({**arrays, "recipe": np.array(json.dumps(recipe))})
    assert old.next_movies is old.recent is old.latest_at is None
    assert not old.recipe.next_movie.on
    expected = ranking.recommend(recommender.user_vectors, FACTORS, likes().stars, 6)
    for at in (None, 0):
        assert_same_lists(old.for_known(USERS, 6, at), expected)


def test_a_recipe_that_switches_the_signal_off_keeps_no_matrix() -> None:
    off = replace(SITTING_RECIPE, next_movie=NO_NEXT_MOVIE)
    factors = fitted(FACTORS).with_next(NextMovies.of(likes(), SITTING_RECIPE.next_movie))
    made = Recommender.of(factors, likes(), IdMaps(USERS, MOVIES), off)
    assert made.next_movies is None
    assert "latest_at" not in made.to_arrays()


@pytest.mark.parametrize("catalogue", [[5, 10, 30, 40, 60, 70], [50], [77]])
def test_movies_that_left_the_catalogue_neither_follow_nor_are_followed(
    of_two_moments: Recommender, catalogue: list[int]
) -> None:
    smaller = of_two_moments.within(np.array(catalogue))
    kept = np.flatnonzero(np.isin(MOVIES, catalogue))
    assert smaller.next_movies is not None
    assert of_two_moments.next_movies is not None
    expected = of_two_moments.next_movies.matrix.toarray()[np.ix_(kept, kept)]
    assert np.array_equal(smaller.next_movies.matrix.toarray(), expected)
    for at in (None, 9):
        lists = smaller.for_known(USERS, 3, at)
        shown = set(np.unique(smaller.movie_ids_of(lists)).tolist())
        assert shown <= {-1, *catalogue}
        assert np.isfinite(lists.scores[lists.items >= 0]).all()


@pytest.mark.parametrize(
    "rows",
    [[(0, 2, 4.0, 5)], [(0, movie, 4.0, 5) for movie in range(5)]],
    ids=["one like", "all likes in the same second"],
)
def test_histories_without_an_order_are_ranked_and_explained(of_two_moments: Recommender, rows: list[Row]) -> None:
    history = likes(rows, users=1)
    lists = of_two_moments.for_histories(history, history.stars, 6, elapsed=np.zeros(1))
    assert len(listed(of_two_moments, lists)) == 6 - len(rows)
    explained = of_two_moments.explain(history, of_two_moments.movie_ids_of(lists)[0, :1], 0)
    assert explained.scores == pytest.approx(lists.scores[0, :1], abs=1e-3)
