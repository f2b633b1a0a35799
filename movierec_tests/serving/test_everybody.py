"""Lists for everybody are the lists of each user alone, a day after the latest like, whatever the size of a block."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_assets.recsys import als
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import NextMovie, Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.everybody import Tally, UserLists, for_everybody
from movierec_assets.tables import histories
from movierec_assets.tables.database import Database
from movierec_assets.tables.histories import histories_of, read_users
from movierec_tests.defs.harness import RATING_COLUMNS, count_users, load_films, new_app_users
from movierec_tests.ranked_lists import assert_same_lists

USERS, MOVIES, K = 60, 50, 8
A_DAY = 86_400


@pytest.fixture
def rated(database: Database) -> Recommender:
    """Ratings in the database, and a model without the last ten movies; the last user has liked nothing."""
    random = np.random.default_rng(4)
    users, movies = np.nonzero(random.random((USERS, MOVIES)) < 0.4)
    stars = random.integers(1, 11, len(users)) / 2
    stars[users == USERS - 1] = 1.0
    times = random.integers(10**9, 2 * 10**9, len(users))
    with database.replace("ratings") as table:
        columns = {"user_id": users * 3 + 7, "movie_id": movies * 2 + 1, "rating": stars, "rated_at": times}
        table.write(columns, RATING_COLUMNS)
        count_users(table)
    load_films(database, range(1, MOVIES * 2, 2))
    with database.transaction() as cursor:
        assert new_app_users(cursor) == [FIRST_APP_USER_ID]
        cursor.execute(
            "INSERT INTO movierec.app_ratings (user_id, movie_id, rating) VALUES (7, 3, 5), (%s, 5, 4.5)",
            [FIRST_APP_USER_ID],
        )
    recipe = Recipe(factors=4, iterations=3, next_movie=NextMovie(fade_hours=48.0))  # counts after a day, too
    known = (stars >= 4) & (movies < MOVIES - 10)
    positives = Interactions.from_triplets(
        users[known], movies[known], stars[known], times[known], (USERS, MOVIES - 10)
    )
    ids = IdMaps(np.arange(USERS) * 3 + 7, np.arange(MOVIES - 10) * 2 + 1)
    factors = als.fit(positives, recipe).with_next(NextMovies.of(positives, recipe.next_movie))
    return Recommender.of(factors, positives, ids, recipe)


def _by_user(blocks: list[UserLists]) -> dict[int, TopK]:
    """Movie ids and scores of each user."""
    found: dict[int, TopK] = {}
    for block in blocks:
        for user, movies, scores in zip(block.user_ids.tolist(), block.movie_ids, block.scores, strict=True):
            assert user not in found
            found[user] = TopK(movies[None], scores[None])
    return found


def test_blocks_of_users_change_no_list(
    database: Database, rated: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Lists as long as the catalogue, so that a near tie for the last position makes no difference.
    whole = list(for_everybody(database, rated, 4.0, MOVIES, 10**8))
    assert len(whole) == 1
    monkeypatch.setattr(histories, "_MIN_BLOCK", 1)
    blocks = list(for_everybody(database, rated, 4.0, MOVIES, 256 * 30))
    assert len(blocks) > 20
    lists, together = _by_user(blocks), _by_user(whole)
    assert sorted(lists) == [*range(7, 7 + 3 * USERS, 3), FIRST_APP_USER_ID]
    for user, found in lists.items():
        assert_same_lists(found, together[user])
        (ratings,) = read_users(database, 4.0, [user])
        alone = histories_of(ratings, rated.ids.movie_ids)
        expected = rated.for_histories(alone.liked, alone.seen, MOVIES, elapsed=np.array([A_DAY]))
        assert_same_lists(found, TopK(rated.movie_ids_of(expected), expected.scores), 1e-3)
        movies = found.items[found.items >= 0]
        assert np.isin(movies, ratings.movie_id).sum() == 0
        assert np.isin(movies, rated.ids.movie_ids).all()


def test_the_counts_of_blocks_add_up_to_those_of_all_lists(database: Database, rated: Recommender) -> None:
    (lists,) = for_everybody(database, rated, 4.0, K, 10**8)
    whole, parts = Tally(), Tally()
    whole.add(lists)
    for start in range(0, len(lists.user_ids), 7):
        chosen = slice(start, start + 7)
        parts.add(UserLists(*(getattr(lists, each.name)[chosen] for each in fields(lists))))
    assert parts.movie_ids == whole.movie_ids == set(lists.movie_ids.ravel().tolist())
    assert (parts.users, parts.with_full_lists, parts.without_likes) == (USERS + 1, USERS + 1, 1)
    rest = Tally()  # the last position of two lists is empty: one of the users has rated everything else
    shorter = lists.movie_ids.copy()
    shorter[:2, -1] = -1
    rest.add(replace(lists, movie_ids=shorter, unrated=np.where(np.arange(USERS + 1) == 1, K - 1, lists.unrated)))
    assert (rest.with_full_lists, rest.with_all_the_rest) == (USERS - 1, 1)
    assert (lists.unrated >= K).all()
    assert [example.likes for example in parts.examples] == sorted(lists.likes.tolist(), reverse=True)[:5]
    assert [example.likes for example in whole.examples] == [example.likes for example in parts.examples]
    at = lists.user_ids.tolist().index(parts.examples[0].user_id)
    assert parts.examples[0].movie_ids == lists.movie_ids[at, :5].tolist()
