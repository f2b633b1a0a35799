"""Claims about explanations: summands of the very score that is served."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from movierec_assets.recsys import als
from movierec_assets.recsys.confidence import interaction_weights
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.explain import contributions, signal_contributions
from movierec_assets.recsys.recipe import FoldIn, Recipe
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings


@settings(deadline=None, max_examples=40)
@given(
    ratings(min_size=1, max_size=15),
    st.builds(
        Recipe,
        alpha=st.sampled_from([0.5, 1.0, 5.0, 20.0]),
        regularization=st.sampled_from([0.5, 2.0, 10.0]),
        factors=st.integers(1, 4),
        fold_in=st.builds(FoldIn, floor=st.sampled_from([0.1, 1.0]), boost=st.sampled_from([0.0, 3.0])),
    ),
    st.integers(0, 1000),
)
def test_contributions_sum_to_the_scores_of_the_fold_in(drawn: Ratings, recipe: Recipe, seed: int) -> None:
    histories = drawn.interactions()
    movies = np.random.default_rng(seed).uniform(-1, 1, (drawn.shape[1], recipe.factors)).astype(np.float32)
    vectors = als.fold_in(movies, histories, recipe)
    scores = vectors @ movies.T
    # In single precision a score is as exact as the lengths of its vectors allow, also where its terms cancel out.
    sizes = np.linalg.norm(vectors, axis=1)[:, None] * np.linalg.norm(movies, axis=1)
    confidences = interaction_weights(histories, recipe)
    wanted = np.arange(drawn.shape[1])
    for user in range(drawn.shape[0]):
        own = slice(histories.stars.indptr[user], histories.stars.indptr[user + 1])
        parts = contributions(
            movies, histories.stars.indices[own], confidences[own], recipe.regularization, wanted, movies.T @ movies
        )
        assert parts.shape == (drawn.shape[1], histories.per_user[user])
        assert np.all(np.abs(parts.sum(axis=1) - scores[user]) <= 1e-3 * sizes[user] + 1e-6)


@settings(deadline=None)
@given(ratings(min_size=2, max_users=1), st.integers(0, 1000))
def test_each_is_the_score_that_the_like_alone_would_give_with_the_same_matrix(drawn: Ratings, seed: int) -> None:
    liked = np.array(sorted(movie for _, movie, _, _ in drawn.rows))
    assume(len(liked))
    random = np.random.default_rng(seed)
    y, c, regularization = random.normal(size=(drawn.shape[1], 3)), random.uniform(0, 9, len(liked)), 0.7
    a = y.T @ y + regularization * np.eye(3)
    for movie, confidence in zip(liked, c, strict=True):
        a += (confidence - 1) * np.outer(y[movie], y[movie])
    inverse = np.linalg.inv(a)
    expected = [
        [confidence * y[movie] @ inverse @ y[wanted] for movie, confidence in zip(liked, c, strict=True)]
        for wanted in (0, drawn.shape[1] - 1)
    ]
    found = contributions(y, liked, c, regularization, np.array([0, drawn.shape[1] - 1]))
    assert found == pytest.approx(np.array(expected), abs=1e-9)


def test_a_movie_like_the_recommended_one_contributes_most_and_an_opposite_one_speaks_against_it() -> None:
    movies = np.array([[1.0, 0.1], [-1.0, 0.1], [0.0, 1.0], [1.0, 0.0]], dtype=np.float32)
    alike, opposite, other = contributions(movies, np.array([0, 1, 2]), np.full(3, 2.0), 1.0, np.array([3]))[0]
    assert alike > abs(other)
    assert opposite < 0


def test_differences_from_the_mean_score_sum_to_zero_over_all_movies() -> None:
    movies = np.random.default_rng(2).normal(size=(9, 3)).astype(np.float32)
    liked, confidences = np.array([1, 4]), np.array([2.0, 3.0])
    whole = contributions(movies, liked, confidences, 1.0, np.arange(9))
    less = contributions(movies, liked, confidences, 1.0, np.arange(9), less_the_mean=True)
    assert less == pytest.approx(whole - whole.mean(axis=0), abs=1e-9)
    assert less.sum(axis=0) == pytest.approx([0, 0], abs=1e-9)


def test_each_like_adds_its_row_of_the_transitions_times_its_recency_to_the_signal() -> None:
    followers = csr_matrix(np.array([[0, 2, 0, 4], [0, 0, 0, 0], [8, 0, 0, 0], [1, 1, 1, 0]], dtype=np.float32))
    summands, means = signal_contributions(followers, np.array([0, 2, 3]), np.array([1.0, 0.5, 0.0]), np.array([3, 0]))
    assert summands.tolist() == [[4, 0, 0], [0, 4, 0]]
    assert means.tolist() == [1.5, 1.0, 0.0]


def test_nothing_liked_explains_nothing() -> None:
    movies = np.ones((4, 2), dtype=np.float32)
    assert contributions(movies, np.array([], dtype=int), np.array([]), 1.0, np.array([1, 2])).shape == (2, 0)


def test_confidences_that_are_not_of_the_likes_are_refused() -> None:
    movies = np.ones((4, 2), dtype=np.float32)
    with pytest.raises(RecsysError, match="1 confidences for 2 likes"):
        contributions(movies, np.array([0, 1]), np.array([1.0]), 1.0, np.array([2]))
    with pytest.raises(RecsysError, match="negative confidence"):
        contributions(movies, np.array([0, 1]), np.array([1.0, -1.0]), 1.0, np.array([2]))


def test_a_vector_that_is_not_determined_is_an_error_that_says_what_to_change() -> None:
    with pytest.raises(RecsysError, match="raise the regularization"):
        contributions(np.zeros((4, 2)), np.array([0]), np.array([1.0]), 0.0, np.array([2]))


def test_the_default_recipe_is_explained_to_a_ten_thousandth() -> None:
    random = np.random.default_rng(1)
    rows: list[Row] = [
        (u, int(m), 4.0, int(random.integers(50))) for u in range(40) for m in random.permutation(60)[:20]
    ]
    likes, recipe = interactions_of(rows, (40, 60)), Recipe()
    movies = als.fit(likes, recipe).movies
    first = likes.rows(np.array([0]))
    parts = contributions(
        movies, first.stars.indices, interaction_weights(first, recipe), recipe.regularization, np.arange(60)
    )
    assert parts.sum(axis=1) == pytest.approx((als.fold_in(movies, first, recipe) @ movies.T)[0], rel=1e-4, abs=1e-5)
