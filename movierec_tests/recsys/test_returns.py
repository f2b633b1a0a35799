"""Claims about scores on return: whole users are sampled, and every score belongs to the user of its row."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.returns import Returns, sample_of_split, sample_of_users
from movierec_assets.recsys.split import latest_split
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings


def likes_of(users: int, per_user: int, movies: int = 40, seed: int = 1) -> Interactions:
    random = np.random.default_rng(seed)
    rows: list[Row] = [
        (user, int(movie), 4.0, int(random.integers(10_000)))
        for user in range(users)
        for movie in random.choice(movies, per_user, replace=False)
    ]
    return interactions_of(rows, (users, movies))


@given(ratings(min_size=1), st.integers(0, 30))
def test_a_sample_has_whole_users_and_no_more_likes_than_allowed(drawn: Ratings, max_likes: int) -> None:
    positives = drawn.interactions()
    sample = sample_of_users(positives, max_likes)
    assert sample.shape == positives.shape
    assert len(sample) <= max_likes or len(positives) <= max_likes
    users = np.flatnonzero(sample.per_user)
    assert sample.per_user[users].tolist() == positives.per_user[users].tolist()
    assert sample.rows(users).fingerprint() == positives.rows(users).fingerprint()
    assert sample_of_split(latest_split(positives), max_likes).fingerprint() == sample.fingerprint()


def test_a_sample_is_nearly_as_large_as_allowed_and_everything_where_that_is_allowed() -> None:
    positives = likes_of(200, 10)
    assert 990 <= len(sample_of_users(positives, 999)) <= 999
    assert sample_of_users(positives, 2000) is positives


def test_the_ids_of_users_decide_who_is_in_the_sample() -> None:
    positives, ids = likes_of(200, 10), 7 * np.arange(200) + 3
    chosen = set(ids[np.flatnonzero(sample_of_users(positives, 1000, ids).per_user)].tolist())
    later, more_ids = likes_of(210, 10), np.sort(np.append(ids, 7 * np.arange(10) + 4))
    again = set(more_ids[np.flatnonzero(sample_of_users(later, 1000, more_ids).per_user)].tolist())
    assert len(chosen & again) >= 90
    assert len(chosen) == len(again) == 100


def test_windows_of_a_sample_hold_users_of_the_sample_under_their_rows() -> None:
    positives = likes_of(60, 20)
    sample = np.flatnonzero(sample_of_users(positives, 600).per_user)
    returns = Returns.of(positives, windows=3, max_likes=600)
    assert len(returns.windows) == 3
    assert set(returns.users.tolist()) <= set(sample.tolist())
    assert len(returns.users) == sum(len(window.task.users) for window in returns.windows)
    for window in returns.windows:
        assert set(np.flatnonzero(window.task.train.per_user).tolist()) <= set(sample.tolist())
    assert len(set(Returns.of(positives, windows=3).users.tolist())) > len(sample)
