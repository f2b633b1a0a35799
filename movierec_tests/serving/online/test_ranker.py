"""Claims about lists: they are those of the recommender, whatever the way to them, and filters only take away."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from movierec_assets.recsys import als
from movierec_assets.recsys.ranking import EMPTY, TopK, popular
from movierec_assets.recsys.recipe import ConfidenceKind
from movierec_assets.recsys.recommender import NEVER
from movierec_assets.serving.online.answers import Answer
from movierec_assets.serving.online.live import Freshness
from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.requests import Request
from movierec_tests.ranked_lists import assert_same_lists
from movierec_tests.serving.online.snapshots import DATASET, World, latest_of, positives_of, seen_of, world

KINDS: list[ConfidenceKind] = ["binary", "rating", "bm25"]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    return world(
        draw(st.integers(0, 1000)),
        movies=draw(st.sampled_from([1, 4, 12, 40])),
        factors=draw(st.integers(1, 5)),
        signal=draw(st.booleans()),
        confidence=draw(st.sampled_from(KINDS)),
        times=draw(st.sampled_from([1, 6, 20_000])),
    )


def columns_of(world: World, answer: Answer, k: int) -> TopK:
    """The list of an answer as the columns of the recommender."""
    items, scores = np.full((1, k), EMPTY), np.full((1, k), np.nan)
    count = len(answer.movie_ids)
    items[0, :count] = world.fitted.ids.movies_at(np.array(answer.movie_ids, dtype=np.int64))
    scores[0, :count] = answer.scores
    return TopK(items, scores)


@settings(deadline=None, max_examples=40)
@given(worlds(), st.integers(1, 20), st.sampled_from([0, 600, 4000, 10**6]))
def test_users_get_the_lists_of_the_recommender_from_ratings_and_from_stored_states(
    world: World, k: int, elapsed: int
) -> None:
    ranker, model = Ranker(world.snapshot), world.fitted
    liked, seen = positives_of(world.ratings, model.ids.movie_ids), seen_of(world.ratings, model.ids.movie_ids)
    latest = latest_of(world.ratings)
    vectors = als.fold_in(model.movie_factors, liked, model.recipe, model.confidence)
    lists = model.for_histories(liked, seen, k, elapsed=np.full(len(latest), elapsed))
    for row, ratings in enumerate(world.ratings):
        at = None if latest[row] == NEVER else int(latest[row]) + elapsed
        request = Request(user_id=ratings.user_id, n=k, at=at)
        expected = TopK(lists.items[row : row + 1], lists.scores[row : row + 1])
        for answer in (ranker.answer(request, ratings), ranker.answer(request)):
            found = columns_of(world, answer, k)
            if vectors[row].any():
                assert answer.source == "model"
                assert_same_lists(found, expected)
            else:
                assert answer.source == "popular"
                assert np.array_equal(found.items, popular(model.likes, seen[row], k).items)


@settings(deadline=None, max_examples=40)
@given(worlds(), st.data())
def test_liked_movies_get_the_list_of_the_recommender(world: World, data: st.DataObject) -> None:
    known = world.fitted.ids.movie_ids.tolist()
    liked = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=8))
    answer = Ranker(world.snapshot).answer(Request(liked_movie_ids=(*liked, 10**9), n=15))
    assume(answer.source == "model")
    assert_same_lists(columns_of(world, answer, 15), world.fitted.for_liked(np.array(liked), 15))


def test_a_stored_state_answers_until_something_is_newer_or_ratings_are_needed() -> None:
    made = world(1)
    ranker, user_id = Ranker(made.snapshot), made.ratings[2].user_id
    fresh = Freshness("v1", 100, DATASET)
    assert ranker.has_state(Request(user_id=user_id), fresh)
    assert not ranker.has_state(Request(user_id=user_id, explain=True), fresh)
    assert not ranker.has_state(Request(user_id=user_id, liked_movie_ids=(1,)), fresh)
    assert not ranker.has_state(Request(user_id=user_id + 1), fresh)
    for other in (Freshness("v2", 100, DATASET), Freshness("v1", 101, DATASET), Freshness("v1", 100, DATASET + 1)):
        assert not ranker.has_state(Request(user_id=user_id), other)
