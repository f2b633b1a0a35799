"""Claims about lists: they are those of the recommender, whatever the way to them, and filters only take away."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from movierec_assets.recsys import als
from movierec_assets.recsys.interactions import NEVER
from movierec_assets.recsys.ranking import TopK, popular
from movierec_assets.recsys.recipe import ConfidenceKind
from movierec_assets.serving.online import movie_index
from movierec_assets.serving.online.live import Freshness
from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.requests import MAX_WEIGHT, Boost, Filters, Request, RequestError
from movierec_assets.serving.online.return_lists import LENGTH, with_lists
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_tests.ranked_lists import assert_same_lists
from movierec_tests.serving.online.plain import best_of, boosted, columns_of, scores_of, unit_of
from movierec_tests.serving.online.snapshots import (
    DATASET,
    GENRES,
    World,
    latest_of,
    live,
    positives_of,
    seen_of,
    world,
)

KINDS: list[ConfidenceKind] = ["binary", "rating", "bm25"]
CLOSE = 1e-3
"""Scores with boosts of weight 10 are ten times as large as those that agree within 1e-4."""


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


@cache
def large_world(seed: int) -> World:
    """More movies than are scored for most lists; in the first, lengths of vectors say little."""
    spread = 2.0 if seed else 0.0
    return world(seed, users=8, movies=4000, unknown=100, factors=6, per_user=60, times=10_000, spread=spread)


def filters() -> st.SearchStrategy[Filters]:
    some = st.lists(st.sampled_from([*GENRES, "war", "DRAMA"]), max_size=2).map(tuple)
    year = st.none() | st.integers(1988, 2001)
    made = st.builds(Filters, st.just(()) | some, st.just(()) | some, st.just(()) | some, year, year)
    return made.filter(lambda each: each.year_from is None or each.year_to is None or each.year_from <= each.year_to)


def boosts() -> st.SearchStrategy[tuple[Boost, ...]]:
    weight = st.sampled_from([-MAX_WEIGHT, -0.5, 0.0, 0.3, 1.0, MAX_WEIGHT])
    boost = st.builds(Boost, st.sampled_from(["newer", "less_popular"]), weight)
    genre = st.builds(Boost, st.just("genre"), weight, st.just(("Drama", "war")))
    return st.lists(boost | genre, max_size=3).map(tuple)


@settings(deadline=None, max_examples=40)
@given(worlds(), st.integers(1, 20), st.sampled_from([0, 600, 4000, 10**6]))
def test_users_get_the_lists_of_the_recommender_from_ratings_and_from_stored_states(
    world: World, k: int, elapsed: int
) -> None:
    ranker, model = Ranker(world.snapshot), world.fitted
    by_lists = Ranker(listing(world.snapshot), ranker)
    liked, seen = positives_of(world.ratings, model.ids.movie_ids), seen_of(world.ratings, model.ids.movie_ids)
    latest = latest_of(world.ratings)
    vectors = als.fold_in(model.movie_factors, liked, model.recipe, model.confidence)
    lists = model.for_histories(liked, seen, k, elapsed=np.full(len(latest), elapsed))
    for row, ratings in enumerate(world.ratings):
        at = None if latest[row] == NEVER else int(latest[row]) + elapsed
        request = Request(user_id=ratings.user_id, n=k, at=at)
        expected = TopK(lists.items[row : row + 1], lists.scores[row : row + 1])
        for answer in (ranker.answer(request, ratings), ranker.answer(request), by_lists.answer(request)):
            found = columns_of(world, answer, k)
            if vectors[row].any():
                assert answer.source == "model"
                assert_same_lists(found, expected)
            else:
                assert answer.source == "popular"
                assert np.array_equal(found.items, popular(model.likes, seen[row], k).items)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2),
    st.integers(2, 7),
    st.sampled_from([1, 10, 100]),
    st.sampled_from([0, 600, 10**6]),
    filters(),
    boosts(),
    st.booleans(),
    st.sampled_from([0, 5, 300]),
)
def test_filters_and_boosts_give_the_list_of_all_scores(
    seed: int,
    row: int,
    n: int,
    elapsed: int,
    filters: Filters,
    boosts: tuple[Boost, ...],
    include_seen: bool,
    excluded: int,
) -> None:
    made = large_world(seed)
    ranker, ratings = Ranker(made.snapshot, RANKERS.get(seed)), made.ratings[row]
    RANKERS[seed] = ranker
    request = Request(
        user_id=ratings.user_id, n=n, filters=filters, boosts=boosts, include_seen=include_seen, elapsed=elapsed
    )
    everything = boosted(made, request, scores_of(made, ratings, elapsed), unit_of(made, ratings))
    best = best_of(made, request, ratings, everything).items[0, : excluded or None]
    request = replace(
        request, exclude_ids=tuple(made.fitted.ids.movie_ids[best[best >= 0]].tolist()) if excluded else ()
    )
    expected = best_of(made, request, ratings, everything)
    for answer in (ranker.answer(request, ratings), ranker.answer(request)):
        assert_same_lists(columns_of(made, answer, n), expected, ties=CLOSE)
        assert (answer.why_fewer is None) == (len(answer.movie_ids) == n)


RANKERS: dict[int, Ranker] = {}
"""Rankers of large worlds, so that they are made once."""


@settings(deadline=None, max_examples=40)
@given(worlds(), st.data())
def test_liked_movies_get_the_list_of_the_recommender(world: World, data: st.DataObject) -> None:
    known = world.fitted.ids.movie_ids.tolist()
    liked = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=8))
    answer = Ranker(world.snapshot).answer(Request(liked_movie_ids=(*liked, 10**9), n=15))
    assume(answer.source == "model")
    assert_same_lists(columns_of(world, answer, 15), world.fitted.for_liked(np.array(liked), 15))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 50), st.integers(2, 5))
def test_liked_movies_of_a_user_count_as_the_latest_likes(seed: int, row: int) -> None:
    made = world(seed, movies=30)
    ratings, now = made.ratings[row], 50
    liked = [int(movie) for movie in made.fitted.ids.movie_ids[[0, 3, 7]]]
    rows = list(zip(ratings.movie_ids.tolist(), ratings.stars.tolist(), ratings.rated_at.tolist(), strict=True))
    together = live(ratings.user_id, [each for each in rows if each[0] not in liked] + [(m, 4.5, now) for m in liked])
    ranker = Ranker(made.snapshot)
    found = ranker.answer(Request(user_id=1, liked_movie_ids=tuple(liked), n=20), ratings, now=now)
    expected = ranker.answer(Request(user_id=1, n=20), together, now=now)
    assert_same_lists(columns_of(made, found, 20), columns_of(made, expected, 20))
    assert found.moment == expected.moment


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


def listing(snapshot: Snapshot) -> Snapshot:
    """A snapshot with everybody's list."""
    assert snapshot.users is not None
    assert snapshot.champion is not None
    return replace(snapshot, users=with_lists(snapshot.users, snapshot.champion))


@settings(deadline=None, max_examples=40)
@given(worlds(), st.integers(1, 30))
def test_stored_lists_are_those_of_the_ranker(world: World, k: int) -> None:
    ranker, by_lists = Ranker(world.snapshot), Ranker(listing(world.snapshot))
    for ratings in world.ratings:
        request = Request(user_id=ratings.user_id, n=k, elapsed=10**6)
        found, expected = by_lists.answer(request), ranker.answer(request)
        assert_same_lists(columns_of(world, found, k), columns_of(world, expected, k))
        assert replace(found, movie_ids=[], scores=[]) == replace(expected, movie_ids=[], scores=[])


@pytest.mark.parametrize(
    "wish",
    [
        {"n": LENGTH + 1},
        {"filters": Filters(genres_none=("War",))},
        {"exclude_ids": (1,)},
        {"include_seen": True},
        {"boosts": (Boost("newer", 1.0),)},
        {"diversity": 0.5},
        {"explain": True},
        {"liked_movie_ids": (1,)},
        {"elapsed": 600},
        {"at": "latest"},
    ],
)
def test_a_request_with_a_wish_is_not_answered_from_a_stored_list(wish: dict[str, Any]) -> None:
    made = world(1, movies=40)
    listed = listing(made.snapshot)
    assert listed.users is not None
    assert listed.users.lists is not None
    wrong = replace(listed.users.lists, scores=np.full_like(listed.users.lists.scores, -99.0))
    ranker = Ranker(replace(listed, users=replace(listed.users, lists=wrong)))
    plain = Request(user_id=made.ratings[2].user_id, n=5, elapsed=10**6)
    assert ranker.answer(plain).scores == [-99.0] * 5
    assert ranker.answer(plain, made.ratings[2]).scores[0] != -99.0
    assert ranker.answer(plain, taken={1}).scores[0] != -99.0
    wished = replace(plain, **wish) if "at" not in wish else replace(plain, elapsed=None, **wish)
    assert ranker.answer(wished).scores[0] != -99.0


def test_states_of_another_champion_are_not_used() -> None:
    made = world(1)
    assert made.snapshot.users is not None
    other = replace(made.snapshot, users=replace(made.snapshot.users, run_id="another"))
    ranker = Ranker(other, Ranker(made.snapshot))
    assert ranker.users is None
    assert not ranker.has_state(Request(user_id=made.ratings[2].user_id), Freshness("v1", 100, DATASET))


def test_what_two_snapshots_share_is_made_once() -> None:
    made = world(1)
    before = Ranker(replace(made.snapshot, users=None))
    after = Ranker(made.snapshot, before)
    assert after.model is before.model
    assert after.catalogued is before.catalogued
    other = world(2)
    assert Ranker(other.snapshot, before).model is not before.model


@pytest.mark.parametrize("include_seen", [False, True])
def test_a_user_who_rated_everything_gets_an_empty_list_that_says_so(include_seen: bool) -> None:
    made = world(3)
    answer = Ranker(made.snapshot).answer(Request(user_id=13, include_seen=include_seen, n=12), made.ratings[1])
    assert len(answer.movie_ids) == (12 if include_seen else 0)
    expected = (
        "The catalogue has 15 movies; of these, 3 are unknown to the model, 12 are rated or liked by the user. "
        "0 of 12 are left to list."
    )
    assert answer.why_fewer == (None if include_seen else expected)


def test_an_answer_says_which_filter_left_how_many() -> None:
    made = world(4, movies=30)
    years = np.full(33, 1995, dtype=np.int16)
    snapshot = replace(made.snapshot, catalogue=replace(made.snapshot.catalogue, years=years))
    ranker, ratings = Ranker(snapshot), made.ratings[3]
    nothing = ranker.answer(Request(user_id=33, filters=Filters(year_from=1996)), ratings)
    assert nothing.movie_ids == []
    assert nothing.why_fewer == "0 movies pass the filters. 0 of 10 are left to list."
    few = ranker.answer(
        Request(user_id=33, n=40, filters=Filters(year_to=1995), exclude_ids=(-1, 10**12), include_seen=True), ratings
    )
    assert (
        few.why_fewer == "33 movies pass the filters; of these, 3 are unknown to the model. 30 of 40 are left to list."
    )


@pytest.mark.parametrize("genres_all", [(), ("Drama",), ("Drama", "War")])
@pytest.mark.parametrize("known", [True, False], ids=["model", "no model"])
@pytest.mark.parametrize("user", range(4))
def test_each_movie_that_is_not_listed_has_one_reason(genres_all: tuple[str, ...], known: bool, user: int) -> None:
    made = world(5, movies=25, unknown=9)
    catalogue, ratings = made.snapshot.catalogue, made.ratings[user]
    champion = made.snapshot.champion
    assert champion is not None
    within = set(champion.recommender.ids.movie_ids.tolist())
    if not known:
        within = set(catalogue.movie_ids[catalogue.ratings > 0].tolist())
    passing = {
        movie
        for movie, of_movie in zip(catalogue.movie_ids.tolist(), catalogue.genres, strict=True)
        if set(genres_all) <= set(of_movie)
    }
    ids = sorted(passing)
    excluded, taken, rated = set(ids[::3]), set(ids[1::3]), set(ratings.movie_ids.tolist())
    ranker = Ranker(made.snapshot if known else replace(made.snapshot, champion=None, users=None))
    request = Request(
        user_id=ratings.user_id, n=100, filters=Filters(genres_all=genres_all), exclude_ids=tuple(excluded)
    )
    answer = ranker.answer(request, ratings, taken=taken)
    counts, left = [], passing
    for reason, those in (
        ("unknown to the model" if known else "without a rating in the loaded dataset", passing - within),
        ("rated or liked by the user", rated),
        ("excluded by the request", excluded),
        ("in an earlier list of the batch", taken),
    ):
        if n := len(left & those):
            counts.append(f"{n} {'is' if n == 1 else 'are'} {reason}")
        left = left - those
    total = len(passing)
    among = (
        f"{total} movie{'s pass' if total != 1 else ' passes'} the filters"
        if genres_all
        else f"The catalogue has {total} movies"
    )
    of_these = f"; of these, {', '.join(counts)}" if counts else ""
    assert set(answer.movie_ids) == left
    assert answer.why_fewer == f"{among}{of_these}. {len(left)} of 100 are left to list."


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        (Request(filters=Filters(genres_any=("Dramma",))), "filters.genres_any", "'Dramma'.*Drama, Film-Noir, War"),
        (Request(filters=Filters(genres_none=("",))), "filters.genres_none", "''"),
        (Request(filters=Filters(genres_all=("Drama", "x"))), "filters.genres_all", "'x'"),
        (Request(filters=Filters(year_from=2000, year_to=1999)), "filters.year_from", "from 2000 to 1999"),
        (Request(boosts=(Boost("genre", 1.0, ("x",)),)), "boost.0.genres", "'x'"),
        (Request(boosts=(Boost("newer", 1.0), Boost("genre", 1.0))), "boost.1.genres", "at least one genre"),
    ],
)
def test_an_unusable_request_names_the_field(request_: Request, field: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as refused:
        Ranker(world(5, movies=40).snapshot).answer(request_)
    assert refused.value.field == field


@settings(deadline=None, max_examples=30)
@given(worlds(), st.lists(st.integers(0, 5), min_size=1, max_size=6), st.booleans(), st.floats(0, 1))
def test_a_batch_answers_like_single_requests_and_lists_no_movie_twice_where_that_is_asked(
    world: World, rows: list[int], distinct: bool, diversity: float
) -> None:
    ranker = Ranker(world.snapshot)
    asked = [
        (Request(user_id=ratings.user_id, n=4, diversity=diversity), ratings)
        for ratings in (world.ratings[row] for row in rows)
    ]
    answers = list(ranker.batch(asked, distinct=distinct, now=10**6))
    if not distinct:
        assert answers == [ranker.answer(request, ratings, now=10**6) for request, ratings in asked]
        return
    listed = [movie for answer in answers for movie in answer.movie_ids]
    assert len(set(listed)) == len(listed)
    taken: set[int] = set()
    for answer, (request, ratings) in zip(answers, asked, strict=True):
        excluded = replace(request, exclude_ids=tuple(taken))
        assert answer.movie_ids == ranker.answer(excluded, ratings, now=10**6).movie_ids
        taken.update(answer.movie_ids)


def test_filters_are_kept_but_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movie_index, "_KEPT_FILTERS", 3)
    movies = Ranker(world(5, movies=40).snapshot).by_ratings
    asked = [Filters(year_from=year) for year in (1990, 1991, 1992, 1990, 1993, 1990)]
    found = [movies.passing(each) for each in asked]
    assert found[3] is found[0]
    assert found[5] is found[0]
    again = movies.passing(asked[1])
    assert again is not None
    assert found[1] is not None
    assert again is not found[1]
    assert again.tolist() == found[1].tolist()
