"""States of users: the same vectors and lists as a fold-in at the time of a request, as of a moment that is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.recsys import als
from movierec_assets.recsys.interactions import NEVER
from movierec_assets.recsys.next_movies import recency_weights
from movierec_assets.serving.online import user_states
from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.requests import Request
from movierec_assets.serving.online.snapshot import Champion, Snapshot, UserStates
from movierec_assets.serving.online.user_states import NoMomentError
from movierec_assets.tables import histories
from movierec_assets.tables.database import SCHEMA, Database, Load, record_load
from movierec_assets.tables.histories import histories_of, read_users
from movierec_tests.serving.api.small import LAST_MOVIE, USERS

BATCH = 16_000_000


@contextmanager
def open_transaction(database: Database) -> Iterator[Cursor]:
    with closing(psycopg2.connect(database.url)) as connection, connection, connection.cursor() as cursor:
        yield cursor


def champion_of(snapshot: Snapshot) -> Champion:
    assert snapshot.champion is not None
    return snapshot.champion


def post(database: Database, user: int, movie: int, stars: float | None = 5.0) -> int:
    return int(
        database.scalar(
            f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, %s, %s) RETURNING rating_id",
            [user, movie, stars],
        )
    )


def require_same_as_live(database: Database, champion: Champion, states: UserStates) -> None:
    """Compare each state with what the user's ratings give one by one."""
    recommender = champion.recommender
    for row, user in enumerate(states.user_ids.tolist()):
        (ratings,) = read_users(database, champion.positive_threshold, [user])
        found = histories_of(ratings, recommender.ids.movie_ids)
        vector = als.fold_in(recommender.movie_factors, found.liked, recommender.recipe, recommender.confidence)
        np.testing.assert_allclose(states.vectors[row : row + 1], vector, atol=1e-4)
        assert states.rated[row].indices.tolist() == sorted(found.seen.indices.tolist())
        likes = ratings.liked_at.tolist()
        assert states.latest_at[row] == (max(likes) if len(found.liked) else NEVER)
        assert states.recent is not None
        weights = recency_weights(found.liked, recommender.recipe.next_movie.tau)
        assert (states.recent[row] != weights).nnz == 0


def test_states_are_those_of_a_fold_in_at_the_time_of_a_request(database: Database, snapshot: Snapshot) -> None:
    champion = champion_of(snapshot)
    post(database, 1, 50)
    post(database, 2, LAST_MOVIE)  # unknown to the model
    post(database, 3, 50, 1.0)
    states = user_states.make(database, champion, BATCH)
    assert states.user_ids.tolist() == list(USERS)
    assert (states.version, states.run_id, states.watermark) == (champion.version, champion.run_id, 3)
    require_same_as_live(database, champion, states)
    require_lists_of_the_ranker(replace(snapshot, users=states))


def require_lists_of_the_ranker(snapshot: Snapshot) -> None:
    """Compare everybody's list with that of a ranker that has no lists."""
    assert snapshot.users is not None
    lists = snapshot.users.lists
    assert lists is not None
    ranker = Ranker(replace(snapshot, users=replace(snapshot.users, lists=None)))
    for row, user in enumerate(snapshot.users.user_ids.tolist()):
        answer = ranker.answer(Request(user_id=user, n=lists.length, elapsed=10**6))
        assert lists.movie_ids[row].tolist() == answer.movie_ids
        np.testing.assert_allclose(lists.scores[row], answer.scores, atol=1e-4)


def test_users_without_likes_have_a_zero_vector_and_no_latest_like(database: Database, snapshot: Snapshot) -> None:
    champion = champion_of(snapshot)
    with database.transaction() as cursor:
        cursor.execute(f"UPDATE {SCHEMA}.ratings SET rating = 1 WHERE user_id = 7")
    states = user_states.make(database, champion, BATCH)
    row = states.user_ids.tolist().index(7)
    assert not states.vectors[row].any()
    assert states.latest_at[row] == NEVER
    assert states.rated[row].nnz > 0


def test_a_rating_below_the_watermark_is_never_missing(
    database: Database, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first of two ratings is committed last; a state that has the second one's number must have the first one.
    monkeypatch.setattr(user_states, "LOCK_TIMEOUT", "100ms")
    champion = champion_of(snapshot)
    with open_transaction(database) as cursor:
        cursor.execute(f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (1, 50, 5)")
        assert post(database, 2, 50) == 2
        with pytest.raises(NoMomentError):
            user_states.make(database, champion, BATCH)
    states = user_states.make(database, champion, BATCH)
    assert states.watermark == 2
    require_same_as_live(database, champion, states)


def test_a_file_that_is_loaded_meanwhile_leaves_no_states(
    database: Database, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: object, **options: object) -> object:
        with database.transaction() as cursor:
            record_load(cursor, "ratings", Load("another", "/data/small", {}), 1)
        return read_users(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(user_states, "read_users", slow)
    with pytest.raises(NoMomentError, match="loaded"):
        user_states.make(database, champion_of(snapshot), BATCH)


def test_blocks_do_not_change_the_states(
    database: Database, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = user_states.make(database, champion_of(snapshot), BATCH)
    monkeypatch.setattr(histories, "_MIN_BLOCK", 50)
    assert len(list(read_users(database, 4.0, memory=1))) > 3
    many = user_states.make(database, champion_of(snapshot), 1)
    np.testing.assert_array_equal(one.user_ids, many.user_ids)
    np.testing.assert_allclose(one.vectors, many.vectors, atol=1e-4)
    assert (one.rated.indices.tolist(), one.rated.indptr.tolist()) == (
        many.rated.indices.tolist(),
        many.rated.indptr.tolist(),
    )
