"""Claims about the baselines: each is the method it is named after, for users of the fit and for strangers alike."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import bm25_weight
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from movierec_assets.recsys import baselines, metrics, ranking
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.ranking import TopK
from movierec_tests.ranked_lists import assert_same_lists
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings

BASELINES: dict[str, Callable[[Interactions, Interactions, int], TopK]] = {
    "popularity": baselines.popularity,
    "original": lambda train, histories, k: baselines.original_recipe(train, histories, k, seed=1),
    "original, own factors": lambda train, histories, k: baselines.original_recipe(
        train, histories, k, seed=1, users=np.arange(histories.shape[0])
    ),
    "item-kNN": baselines.item_knn,
    "EASE": lambda train, histories, k: baselines.ease(train, histories, k, 10.0),
}


def tastes(users: int, movies: int, seed: int, groups: int = 3) -> Interactions:
    """Users like most of the movies of their group, and a few others."""
    random = np.random.default_rng(seed)
    same = np.arange(users)[:, None] % groups == np.arange(movies)[None] % groups
    liked = random.random((users, movies)) < np.where(same, 0.7, 0.05)
    rows: list[Row] = [(int(u), int(m), 4.0, int(random.integers(9))) for u, m in np.argwhere(liked)]
    return interactions_of(rows, (users, movies))


def dense(likes: Interactions) -> FloatArray:
    liked: FloatArray = (likes.stars.toarray() > 0).astype(np.float64)
    return liked


def scores_of(lists: TopK, n_movies: int) -> FloatArray:
    """Scores by movie, NaN where it is not listed."""
    found = np.full((len(lists.items), n_movies), np.nan)
    users, ranks = np.nonzero(lists.items >= 0)
    found[users, lists.items[users, ranks]] = lists.scores[users, ranks]
    return found


@pytest.mark.parametrize("name", BASELINES)
@settings(deadline=None, max_examples=10)
@given(drawn=ratings(min_size=1), known=ratings(), k=st.integers(1, 12))
def test_no_list_holds_a_movie_of_the_history_or_one_twice(name: str, drawn: Ratings, known: Ratings, k: int) -> None:
    train = drawn.interactions()
    rows = [row for row in known.rows if row[1] < train.shape[1]]
    histories = interactions_of(rows, (known.shape[0], train.shape[1]))
    lists = BASELINES[name](train, histories, k)
    assert lists.items.shape == lists.scores.shape == (known.shape[0], k)
    assert np.array_equal(lists.items < 0, np.isnan(lists.scores))
    for user, (items, scores) in enumerate(zip(lists.items.tolist(), lists.scores, strict=True)):
        listed = [item for item in items if item >= 0]
        assert items == listed + [-1] * (k - len(listed))
        assert len(set(listed)) == len(listed)
        assert set(listed).isdisjoint(movie for who, movie, _, _ in rows if who == user)
        assert np.all(np.diff(scores[: len(listed)]) <= 0)


@pytest.mark.parametrize("name", sorted(set(BASELINES) - {"popularity"}))
def test_the_others_taste_is_found_for_strangers_where_popularity_finds_none(name: str) -> None:
    likes = tastes(60, 45, seed=1)
    train, strangers = likes.rows(np.arange(50)), likes.rows(np.arange(50, 60))
    users, movies, stars, times = strangers.triplets()
    known = movies < 30
    parts = [
        interactions_of(
            list(zip(users[m].tolist(), movies[m].tolist(), stars[m].tolist(), times[m].tolist(), strict=True)),
            strangers.shape,
        )
        for m in (known, ~known)
    ]
    if name == "original, own factors":
        lists = baselines.original_recipe(likes.rows(np.arange(60)), parts[0], 5, 1, np.arange(50, 60))
    else:
        lists = BASELINES[name](train, parts[0], 5)
    found = metrics.score(lists.items, parts[1].stars, 5).ndcg.mean()
    popular = metrics.score(baselines.popularity(train, parts[0], 5).items, parts[1].stars, 5).ndcg.mean()
    assert found > popular


@pytest.mark.parametrize("name", sorted(set(BASELINES) - {"popularity"}))
def test_nothing_to_learn_from_is_an_error(name: str) -> None:
    empty = interactions_of([], (3, 4))
    with pytest.raises(RecsysError, match="no positive rating to train a baseline on"):
        BASELINES[name](empty, empty, 2)


def test_popularity_counts_the_likes_of_the_training_part_only() -> None:
    train = interactions_of([(0, 2, 4.0, 1), (1, 2, 4.0, 1), (1, 0, 5.0, 1)], (2, 4))
    histories = interactions_of([(0, 2, 4.0, 1), (1, 3, 4.0, 1)], (2, 4))
    lists = baselines.popularity(train, histories, 3)
    assert lists.items.tolist() == [[0, 1, 3], [2, 0, 1]]
    assert lists.scores.tolist() == [[1, 0, 0], [2, 1, 0]]


# The original recipe

CLOSE = 2e-5
"""Unseen movies score about 0.01, and rounding in single precision grows to about a thousandth over 25 iterations."""


def plain_original(train: Interactions, seed: int) -> tuple[AlternatingLeastSquares, csr_matrix]:
    """As the original writes it."""
    weighted = bm25_weight(csr_matrix(dense(train).astype(np.float32)), K1=100, B=0.8).tocsr()
    model = AlternatingLeastSquares(factors=128, regularization=0.1, iterations=25, random_state=seed)
    with threadpool_limits(1, user_api="blas"):  # the order of its sums, and so their rounding, depends on the threads
        model.fit(weighted, show_progress=False)
    return model, weighted


def test_users_of_the_fit_get_the_lists_of_the_plain_original() -> None:
    train, seed = tastes(30, 40, seed=1), 2
    users = np.array([7, 3, 20])
    model, weighted = plain_original(train, seed)
    # To the end of the catalogue: `implicit` fills empty positions with movies of the lowest score.
    expected = ranking.recommend(model.user_factors[users], model.item_factors, train.rows(users).stars, 40)
    items, scores = model.recommend(users, weighted[users], N=6)
    assert_same_lists(TopK(items, scores), TopK(expected.items[:, :6], expected.scores[:, :6]), CLOSE)
    assert_same_lists(baselines.original_recipe(train, train.rows(users), 40, seed, users), expected, CLOSE)


def test_strangers_are_folded_in_with_the_weights_of_the_fit() -> None:
    train = tastes(30, 40, seed=1)
    model, weighted = plain_original(train, 1)
    vectors = model.recalculate_user(np.arange(30), weighted)
    expected = ranking.recommend(vectors, model.item_factors, train.stars, 40)
    assert_same_lists(baselines.original_recipe(train, train, 40, 1), expected, CLOSE)


def test_users_without_a_row_to_train_on_are_folded_in_and_change_nothing_for_the_others() -> None:
    train = tastes(30, 40, seed=1)
    strangers = tastes(2, 40, seed=5)
    users, movies, stars, times = train.triplets()
    wider = Interactions.from_triplets(users + 1, movies, stars, times, (32, 40))  # rows 0 and 31 are empty
    known = baselines.original_recipe(train, train, 40, 1, np.arange(30))
    assert_same_lists(baselines.original_recipe(wider, train, 40, 1, np.arange(1, 31)), known, CLOSE)
    folded = baselines.original_recipe(train, strangers, 40, 1)
    assert_same_lists(baselines.original_recipe(wider, strangers, 40, 1, np.array([0, 31])), folded, CLOSE)
    as_strangers = baselines.original_recipe(train, train, 40, 1)
    assert np.nanmax(np.abs(scores_of(known, 40) - scores_of(as_strangers, 40))) > 100 * CLOSE


# Item-kNN


@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(ratings(min_size=1))
def test_item_knn_sums_the_cosines_of_tf_idf_weighted_likes(drawn: Ratings) -> None:
    likes = dense(drawn.interactions())
    n_users, n_movies = likes.shape
    idf = [math.log(n_movies) - math.log1p(likes[user].sum()) for user in range(n_users)]
    assume(min(map(abs, idf)) > 1e-9)  # else the direction of a movie is rounding
    vectors = (likes * np.array(idf)[:, None]).T
    found = scores_of(baselines.item_knn(drawn.interactions(), drawn.interactions(), n_movies), n_movies)
    for user, movie in np.ndindex(*likes.shape):
        expected = 0.0
        for liked in np.flatnonzero(likes[user]):
            norm = np.linalg.norm(vectors[liked]) * np.linalg.norm(vectors[movie])
            expected += vectors[liked] @ vectors[movie] / norm if norm else 0
        if likes[user, movie] or expected == 0:
            assert np.isnan(found[user, movie])
        else:
            assert found[user, movie] == pytest.approx(expected, abs=1e-5)


def test_item_knn_lists_neighbours_only() -> None:
    train = interactions_of([(0, 0, 4.0, 1), (0, 1, 4.0, 1), (1, 2, 4.0, 1), (1, 3, 4.0, 1)], (2, 5))
    known = interactions_of([(0, 0, 4.0, 1), (1, 4, 4.0, 1)], (3, 5))
    assert baselines.item_knn(train, known, 2).items.tolist() == [[1, -1], [-1, -1], [-1, -1]]


def test_fewer_neighbours_leave_more_movies_unlisted() -> None:
    train = tastes(60, 45, seed=1)
    listed = [int((baselines.item_knn(train, train, 40, neighbours=n).items >= 0).sum()) for n in (2, 10, 45)]
    assert listed == sorted(listed)
    assert listed[0] < listed[-1]


# EASE


def plain_ease(train: Interactions, histories: Interactions, regularization: float) -> FloatArray:
    """Steck (2019), figure 1."""
    x = dense(train)
    p = np.linalg.inv(x.T @ x + regularization * np.eye(x.shape[1]))
    b = p / -np.diag(p)
    np.fill_diagonal(b, 0)
    scores: FloatArray = dense(histories) @ b
    scores[histories.stars.toarray() > 0] = np.nan
    return scores


@settings(deadline=None)
@given(ratings(min_size=1, max_users=12), st.sampled_from([0.5, 2.0, 50.0, 1000.0]))
def test_ease_is_the_closed_form_whether_users_or_movies_are_more(drawn: Ratings, regularization: float) -> None:
    train = drawn.interactions()
    found = baselines.ease(train, train, train.shape[1], regularization)
    expected = plain_ease(train, train, regularization)
    assert scores_of(found, train.shape[1]) == pytest.approx(expected, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize("shape", [(900, 700), (300, 700)], ids=["more users", "more movies"])
def test_ease_is_the_closed_form_beyond_one_block(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    users, movies = np.nonzero(random.random(shape) < 0.02)
    train = Interactions.from_triplets(users, movies, np.full(len(users), 4.0), users, shape)
    known = train.rows(np.arange(600) % shape[0])
    found = scores_of(baselines.ease(train, known, shape[1], 20.0), shape[1])
    np.testing.assert_allclose(found, plain_ease(train, known, 20.0), atol=1e-4)


def test_equal_scores_of_ease_keep_the_order_of_columns() -> None:
    train = interactions_of([(0, 0, 4.0, 1), (0, 3, 4.0, 1)], (1, 9))
    known = interactions_of([(0, 0, 4.0, 1)], (1, 9))
    assert baselines.ease(train, known, 4, 1.0).items.tolist() == [[3, 1, 2, 4]]


@pytest.mark.parametrize("regularization", [0.0, -1.0, math.nan])
def test_ease_without_regularization_is_refused(regularization: float) -> None:
    likes = tastes(10, 8, seed=1)
    with pytest.raises(RecsysError, match="raise it"):
        baselines.ease(likes, likes, 3, regularization)


def test_ease_of_too_many_movies_is_refused_before_any_work() -> None:
    side = baselines.MAX_EASE_MOVIES + 1
    each = np.arange(side)
    large = Interactions.from_triplets(each, each, np.full(side, 4.0), each, (side, side))
    assert not baselines.ease_feasible(large)
    assert baselines.ease_feasible(large, max_movies=side)
    assert baselines.ease_feasible(interactions_of([(0, 0, 4.0, 1)], (side, side)))  # one user: a matrix of one row
    with pytest.raises(RecsysError, match="20001 movies needs too much memory"):
        baselines.ease(large, large, 3, 100.0)


def test_the_chosen_lambda_is_the_first_best_on_the_held_out_part() -> None:
    likes, held_out = tastes(40, 30, seed=1), tastes(40, 30, seed=2)
    grid = (0.001, 1.0, 10.0, 1e6, 10.0)
    ndcg = []
    for regularization in grid:
        lists = baselines.ease(likes, likes, 10, regularization)
        ndcg.append(metrics.score(lists.items, held_out.stars, 10).ndcg.mean())
    assert max(ndcg) - min(ndcg) > 0.05
    chosen = baselines.choose_ease_lambda(likes, likes, held_out, grid)
    assert ndcg[grid.index(chosen)] == pytest.approx(max(ndcg), abs=1e-3)
    # Where only one movie is left, all are equally good.
    known, left = (interactions_of([(0, movie, 4.0, 1) for movie in movies], (1, 30)) for movies in (range(29), [29]))
    for equal in ((1.0, 10.0, 100.0), (100.0, 1.0, 10.0)):
        assert baselines.choose_ease_lambda(likes, known, left, equal) == equal[0]


def test_a_lambda_cannot_be_chosen_from_nothing() -> None:
    likes, nobody = tastes(10, 8, seed=1), interactions_of([], (0, 8))
    with pytest.raises(RecsysError, match="0 values to try on 10 users"):
        baselines.choose_ease_lambda(likes, likes, likes, ())
    with pytest.raises(RecsysError, match="on 0 users"):
        baselines.choose_ease_lambda(likes, nobody, nobody)
