"""Claims about reasons, diversity, genres, neighbours, lists without a model, and their JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.recsys import ranking
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.ranking import TopK
from movierec_assets.serving.online.answer_json import answer_json, neighbours_json
from movierec_assets.serving.online.answering import UnknownIdError, require_movies
from movierec_assets.serving.online.answers import Stored
from movierec_assets.serving.online.diversity import diverse
from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.requests import Boost, Filters, Request
from movierec_assets.serving.online.snapshot import NOTHING
from movierec_tests.ranked_lists import assert_same_lists
from movierec_tests.serving.online.plain import filled, passes
from movierec_tests.serving.online.snapshots import DATASET, World, latest_of, positives_of, world
from movierec_tests.serving.online.test_ranker import boosts, filters, worlds


@settings(deadline=None, max_examples=60)
@given(
    worlds(),
    st.integers(0, 5),
    filters(),
    boosts(),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0, 4000, 10**6]),
)
def test_reasons_sum_to_falling_scores_that_are_numbers(
    world: World, row: int, filters: Filters, boosts: tuple[Boost, ...], diversity: float, elapsed: int
) -> None:
    request = Request(
        user_id=world.ratings[row].user_id,
        filters=filters,
        boosts=boosts,
        diversity=diversity,
        explain=True,
        elapsed=elapsed,
        include_seen=row == 1,
    )
    ranker = Ranker(world.snapshot)
    answer = ranker.answer(request, world.ratings[row])
    assert answer.reasons is not None
    assert np.isfinite(answer.scores).all()
    assert np.all(np.diff(answer.scores) <= 1e-6 * (1 + np.abs(answer.scores[:1])))
    for score, reasons in zip(answer.scores, answer.reasons, strict=True):
        assert sum(reason.contribution for reason in reasons) == pytest.approx(score, abs=1e-6)
        assert [reason.boost for reason in reasons if reason.kind == "boost"] == [boost.kind for boost in boosts]
        assert ("diversity" in {reason.kind for reason in reasons}) == (diversity > 0)
    without = ranker.answer(replace(request, explain=False), world.ratings[row])
    assert (without.movie_ids, without.scores, without.reasons) == (answer.movie_ids, answer.scores, None)


@settings(deadline=None, max_examples=30)
@given(worlds(), st.integers(2, 5), st.sampled_from([0, 10**6]))
def test_likes_are_named_with_what_they_add_and_the_rest_is_small_where_few_are_left_out(
    world: World, row: int, elapsed: int
) -> None:
    ratings, model = world.ratings[row], world.fitted
    answer = Ranker(world.snapshot).answer(Request(user_id=1, explain=True, elapsed=elapsed), ratings)
    if answer.source != "model":
        return
    liked = positives_of([ratings], model.ids.movie_ids)
    expected = model.explain(liked, np.array(answer.movie_ids), elapsed)
    ids = model.ids.movie_ids[liked.stars.indices].tolist()
    assert answer.reasons is not None
    for number, reasons in enumerate(answer.reasons):
        added = {
            **{("because of", movie): value for movie, value in zip(ids, expected.because_of[number], strict=True)},
            **{("after", movie): value for movie, value in zip(ids, expected.after[number], strict=True)},
        }
        named = [each for each in reasons if each.kind != "other likes"]
        values = sorted((value for value in added.values() if value > 0), reverse=True)[:5]
        assert [each.contribution for each in named] == pytest.approx(values, abs=1e-4)
        for each in named:
            assert each.movie_id is not None
            assert added[each.kind, each.movie_id] == pytest.approx(each.contribution, abs=1e-4)


def plainly_diverse(scores: FloatArray, vectors: FloatArray, n: int, diversity: float) -> tuple[list[int], list[float]]:
    low, high = float(scores.min()), float(scores.max())
    chosen: list[int] = []
    values: list[float] = []

    def cosine(one: int, other: int) -> float:
        lengths = float(np.linalg.norm(vectors[one])) * float(np.linalg.norm(vectors[other]))
        return float(vectors[one] @ vectors[other]) / lengths if lengths else 0.0

    while len(chosen) < min(n, len(scores)):
        value = {
            each: (1 - diversity) * float(scores[each])
            + diversity * low
            - diversity * (high - low) * max([0.0, *(cosine(each, other) for other in chosen)])
            for each in range(len(scores))
            if each not in chosen
        }
        best = max(value, key=lambda each: value[each])
        chosen.append(best)
        values.append(value[best])
    return chosen, values


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 12), st.floats(0, 1))
def test_diverse_lists_follow_the_formula(seed: int, count: int, n: int, diversity: float) -> None:
    random = np.random.default_rng(seed)
    scores = -np.sort(-random.normal(size=count))
    vectors = random.normal(size=(count, 4)).astype(np.float32)
    vectors[random.random(count) < 0.1] = 0.0
    chosen, values = diverse(scores, vectors, n, diversity)
    expected, of_expected = plainly_diverse(scores, vectors.astype(np.float64), n, diversity)
    assert values == pytest.approx(of_expected, abs=1e-5)
    assert np.all(np.diff(values) <= 1e-12)
    assert len(set(chosen.tolist())) == len(expected)
    assert chosen[0] == 0


def test_more_diversity_makes_movies_of_a_list_less_alike() -> None:
    made = world(8, movies=300, users=10, factors=6, per_user=20)
    ranker, alike = Ranker(made.snapshot), []
    factors = made.fitted.movie_factors / np.linalg.norm(made.fitted.movie_factors, axis=1, keepdims=True)
    for diversity in (0.0, 0.3, 1.0):
        answer = ranker.answer(Request(user_id=33, diversity=diversity), made.ratings[3])
        own = factors[made.fitted.ids.movies_at(np.array(answer.movie_ids))]
        alike.append(float((own @ own.T).mean()))
        assert len(set(answer.movie_ids)) == 10
    assert alike[0] > alike[1] > alike[2]


@settings(deadline=None, max_examples=30)
@given(worlds(), filters(), st.booleans(), st.integers(1, 15))
def test_nobody_in_particular_gets_the_most_liked_movies_that_pass(
    world: World, filters: Filters, with_model: bool, n: int
) -> None:
    snapshot = world.snapshot if with_model else replace(world.snapshot, champion=None, why_none="None yet.")
    answer = Ranker(snapshot).answer(Request(n=n, filters=filters, explain=True))
    catalogue = snapshot.catalogue
    counts = dict(zip(catalogue.movie_ids.tolist(), catalogue.ratings.tolist(), strict=True))
    if with_model:
        counts = dict(zip(world.fitted.ids.movie_ids.tolist(), world.fitted.likes.tolist(), strict=True))
    else:
        counts = {movie: count for movie, count in counts.items() if count > 0}
    passing = Ranker(snapshot).by_ratings.catalogued
    allowed = [
        movie
        for movie in counts
        if passes(filters, passing.catalogue.genres[row := int(passing.rows_of(movie))], int(catalogue.years[row]))
    ]
    expected = sorted(allowed, key=lambda movie: (-counts[movie], movie))[:n]
    assert answer.source == "popular"
    assert answer.movie_ids == expected
    assert answer.scores == [counts[movie] for movie in expected]
    assert answer.reasons is not None
    assert [[each.contribution for each in reasons] for reasons in answer.reasons] == [
        [counts[movie]] if counts[movie] else [] for movie in expected
    ]
    assert answer.why_source == ("Neither a user nor liked movies are given." if with_model else "None yet.")


def test_popular_movies_can_be_lifted_and_be_made_diverse() -> None:
    made = world(6, movies=40)
    ranker = Ranker(made.snapshot)
    plain = ranker.answer(Request(n=5))
    lifted = ranker.answer(Request(n=5, boosts=(Boost("less_popular", 10.0),), explain=True))
    assert set(plain.movie_ids) != set(lifted.movie_ids)
    diverse_list = ranker.answer(Request(n=5, diversity=1.0))
    assert diverse_list.movie_ids[0] == plain.movie_ids[0]
    assert diverse_list.movie_ids != plain.movie_ids
    without = Ranker(replace(made.snapshot, champion=None)).answer(Request(n=5, diversity=1.0))
    assert without.notes == ("There is no model, so `diversity` changes nothing: it compares movies by their factors.",)


def test_ratings_of_another_dataset_get_popular_movies_of_the_catalogue() -> None:
    made = world(7)
    other = replace(made.ratings[3], dataset_id=DATASET + 1)
    stored = Stored(3, made.fitted.ids.movie_ids[:3].tolist(), [3.0, 2.0, 1.0])
    answer = Ranker(made.snapshot).answer(Request(user_id=other.user_id), other, stored=stored)
    assert (answer.source, answer.model_version) == ("popular", None)
    assert "Another dataset" in str(answer.why_source)
    assert not set(answer.movie_ids) & set(other.movie_ids.tolist())
    tastes = Ranker(made.snapshot).genres(Request(user_id=other.user_id), other)
    assert (tastes.model_version, tastes.genres, tastes.why_none) == (None, [], answer.why_source)


def test_a_stored_list_is_served_without_a_model_and_leaves_out_what_the_request_does() -> None:
    made = world(9, movies=30)
    ranker = Ranker(replace(made.snapshot, champion=None, why_none="None yet."))
    unrated = [movie for movie in ranker.by_ratings.movie_ids.tolist() if movie not in made.ratings[4].movie_ids]
    rated = made.ratings[4].movie_ids.tolist()
    stored = Stored(3, [unrated[0], rated[0], *unrated[1:6]], [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0])
    request = Request(user_id=43, exclude_ids=(unrated[1],), n=3)
    answer = ranker.answer(request, made.ratings[4], stored=stored)
    assert (answer.source, answer.model_version, answer.why_source) == ("stored", 3, "None yet.")
    assert (answer.movie_ids, answer.scores) == ([unrated[0], *unrated[2:4]], [9.0, 6.0, 5.0])
    many = ranker.answer(replace(request, n=10, explain=True), made.ratings[4], stored=stored)
    assert many.why_fewer == "The stored list has 7 movies. 5 of 10 are left to list."
    assert many.notes == ("This is a stored list: it has no reasons, and boosts and diversity change nothing.",)
    assert ranker.answer(request, made.ratings[4]).source == "popular"


def test_without_anything_loaded_lists_are_empty_and_say_what_to_do() -> None:
    ranker = Ranker(NOTHING)
    answer = ranker.answer(Request(user_id=1, liked_movie_ids=(1, 2), exclude_ids=(3,)))
    assert (answer.source, answer.movie_ids) == ("popular", [])
    assert "movierec run" in str(answer.why_source)
    assert ranker.similar(1, Request()).why_fewer == answer.why_source
    assert ranker.genres(Request(user_id=1)).why_none == answer.why_source
    assert json.loads(answer_json(answer, ranker.catalogued))["movies"] == []
    with pytest.raises(UnknownIdError, match="no dataset is loaded"):
        require_movies(ranker, [1], "liked_movie_ids")


@settings(deadline=None, max_examples=40)
@given(worlds(), st.integers(1, 15))
def test_neighbours_are_those_of_the_table_of_similar_movies(world: World, n: int) -> None:
    model, ranker = world.fitted, Ranker(world.snapshot)
    expected = ranking.similar(model.movie_factors, n)
    for column, movie_id in enumerate(model.ids.movie_ids.tolist()):
        found = ranker.similar(movie_id, Request(n=n))
        columns = model.ids.movies_at(np.array(found.movie_ids, dtype=np.int64))
        got = filled(columns, np.array(found.similarities), n)
        assert_same_lists(got, TopK(expected.items[column : column + 1], expected.scores[column : column + 1]))
        assert (found.why_fewer is None) == (len(found.movie_ids) == n)
        assert found.scores is None


def test_neighbours_for_a_user_are_unrated_near_ones_in_the_order_of_the_users_scores() -> None:
    made = world(10, movies=200)
    ranker, movie_id = Ranker(made.snapshot), int(made.fitted.ids.movie_ids[17])
    ratings = made.ratings[3]
    found = ranker.similar(movie_id, Request(user_id=33, n=8, elapsed=10**6), ratings)
    near = ranker.similar(movie_id, Request(n=8 * 5 + len(ratings.movie_ids))).movie_ids
    pool = [movie for movie in near if movie not in ratings.movie_ids][:40]
    everything = ranker.answer(Request(user_id=33, n=100, elapsed=10**6, exclude_ids=(movie_id,)), ratings)
    scores = dict(zip(everything.movie_ids, everything.scores, strict=True))
    expected = sorted((movie for movie in pool if movie in scores), key=lambda movie: -scores[movie])[:8]
    assert found.movie_ids == expected
    assert found.scores == pytest.approx([scores[movie] for movie in expected], abs=1e-4)
    assert found.similarities != sorted(found.similarities, reverse=True)


def test_a_movie_that_the_model_lacks_has_no_neighbours_and_that_is_said() -> None:
    made = world(11)
    lacking = next(i for i in made.snapshot.catalogue.movie_ids.tolist() if i not in made.fitted.ids.movie_ids)
    for movie_id in (lacking, -1, 2**40):
        found = Ranker(made.snapshot).similar(movie_id, Request())
        assert found.movie_ids == []
        assert "does not know this movie" in str(found.why_fewer)


def test_the_expected_genres_are_those_of_the_movies_near_a_users_likes() -> None:
    made = world(12, movies=600, users=6, factors=4, per_user=30)
    ranker, model = Ranker(made.snapshot), made.fitted
    tastes = ranker.genres(Request(user_id=33), made.ratings[3]).genres
    assert tastes
    best = ranker.answer(Request(user_id=33, n=100, include_seen=True, elapsed=10**9), made.ratings[3]).movie_ids
    rows = ranker.catalogued.rows_of(best).tolist()
    popular = ranker.answer(Request(n=100)).movie_ids
    for taste in tastes:
        share = np.mean([taste.genre in made.snapshot.catalogue.genres[row] for row in rows])
        usual = np.mean(
            [taste.genre in made.snapshot.catalogue.genres[row] for row in ranker.catalogued.rows_of(popular).tolist()]
        )
        assert (taste.share, taste.usual) == pytest.approx((share, usual))
    assert [each.score for each in tastes] == sorted((each.score for each in tastes), reverse=True)
    assert len(model.ids.movie_ids) == 600
    stranger = ranker.genres(Request(user_id=1))
    assert (stranger.genres, stranger.why_none) == ([], "User 1 has no ratings of movies that the model knows.")


@settings(deadline=None, max_examples=30)
@given(worlds(), st.integers(0, 5), st.booleans(), st.booleans())
def test_json_says_what_the_answer_says(world: World, row: int, explain: bool, at_once: bool) -> None:
    ranker, ratings = Ranker(world.snapshot), world.ratings[row]
    request = Request(user_id=ratings.user_id, explain=explain, at="latest" if at_once else None, diversity=0.2)
    answer = ranker.answer(request, ratings)
    read = json.loads(answer_json(answer, ranker.catalogued, "some-id"))
    assert (read["source"], read["recommendation_id"], read["why_fewer"]) == (
        answer.source,
        "some-id",
        answer.why_fewer,
    )
    catalogue = world.snapshot.catalogue
    for movie, movie_id, score in zip(read["movies"], answer.movie_ids, answer.scores, strict=True):
        at = int(ranker.catalogued.rows_of(movie_id))
        assert movie["movie_id"] == movie_id
        assert movie["title"] == catalogue.titles[at]
        assert movie["year"] == (int(catalogue.years[at]) or None)
        assert movie["genres"] == list(catalogue.genres[at])
        assert movie["score"] == pytest.approx(score, rel=1e-6, abs=1e-9)
        assert ("reasons" in movie) == explain
    if latest_of([ratings])[0] > 0 and answer.source == "model":
        assert read["moment"]["name"] == ("in the sitting" if at_once else "on return")
    known = int(world.fitted.ids.movie_ids[0])
    near = ranker.similar(known, Request(user_id=ratings.user_id, n=3), ratings)
    listed = json.loads(b"[%b]" % neighbours_json(near, ranker.catalogued))
    assert [each["movie_id"] for each in listed] == near.movie_ids
    assert all(("score" in each) == (near.scores is not None) for each in listed)
