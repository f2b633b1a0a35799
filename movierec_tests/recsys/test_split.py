"""Claims about leave-latest-out: nothing leaks from the future, and it is the original recipe's protocol."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.split import MIN_TRAIN_TO_EVALUATE, Split, leave_latest_out
from movierec_tests.recsys.strategies import Ratings, Row, columns_of, interactions_of, ratings

Pairs = set[tuple[int, int]]


def with_ids(drawn: Ratings) -> list[Row]:
    """The same interactions under ids with gaps, as MovieLens has them."""
    return [(10 * user + 3, 100 - 7 * movie, stars, time) for user, movie, stars, time in drawn.rows]


def split_of(rows: list[Row]) -> tuple[Split, IdMaps]:
    return leave_latest_out(RatingColumns.cast(*columns_of(rows)))


def rows_of(part: Interactions, ids: IdMaps) -> set[Row]:
    users, movies, stars, times = part.triplets()
    columns = (ids.user_ids[users], ids.movie_ids[movies], stars, times)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def plain_split(rows: list[Row]) -> tuple[set[Row], set[Row], set[Row]]:
    of_user = defaultdict(list)
    for row in rows:
        of_user[row[0]].append(row)
    train, validation, test = set(), set(), set()
    for own in of_user.values():
        *earlier, latest = sorted({row[3] for row in own})
        for row in own:
            if row[3] == latest:
                test.add(row)
            elif row[3] == earlier[-1]:
                validation.add(row)
            else:
                train.add(row)
    return train, validation, test


def plain_evaluated(before: set[Row], held_out: set[Row]) -> list[int]:
    return sorted(
        user for user in {row[0] for row in held_out} if sum(row[0] == user for row in before) >= MIN_TRAIN_TO_EVALUATE
    )


@settings(deadline=None)
@given(ratings(min_size=1, max_users=3, max_size=24))
def test_parts_are_those_of_a_plain_walk_through_each_users_times(drawn: Ratings) -> None:
    rows = with_ids(drawn)
    split, ids = split_of(rows)
    found = tuple(rows_of(part, ids) for part in (split.train, split.validation, split.test))
    assert found == plain_split(rows)


@settings(deadline=None)
@given(ratings(min_size=1, max_users=3, max_size=24))
def test_the_scored_users_are_those_of_a_plain_count(drawn: Ratings) -> None:
    rows = with_ids(drawn)
    split, ids = split_of(rows)
    train, validation, test = plain_split(rows)
    assert ids.user_ids[split.evaluated_users("validation")].tolist() == plain_evaluated(train, validation)
    assert ids.user_ids[split.evaluated_users("test")].tolist() == plain_evaluated(train | validation, test)


@settings(deadline=None)
@given(ratings(min_size=1))
def test_parts_are_disjoint_of_one_shape_and_cover_everything(drawn: Ratings) -> None:
    rows = with_ids(drawn)
    split, ids = split_of(rows)
    parts = (split.train, split.validation, split.test)
    assert {part.shape for part in parts} == {ids.shape}
    assert sum(map(len, parts)) == len(rows)
    assert set().union(*(rows_of(part, ids) for part in parts)) == set(rows)


@settings(deadline=None)
@given(ratings(min_size=1, max_users=3))
def test_every_user_is_trained_before_validated_before_tested(drawn: Ratings) -> None:
    split, ids = split_of(with_ids(drawn))
    for user in range(ids.shape[0]):
        times = [part.rows(np.array([user])).rated_at for part in (split.train, split.validation, split.test)]
        for earlier, later in ((times[0], times[1]), (times[1], times[2]), (times[0], times[2])):
            assert len(earlier) == 0 or earlier.max() < later.min()


@settings(deadline=None)
@given(ratings(min_size=1), st.data())
def test_the_order_of_rows_never_matters(drawn: Ratings, data: st.DataObject) -> None:
    rows = with_ids(drawn)
    (one, ids), (other, other_ids) = split_of(rows), split_of(data.draw(st.permutations(rows)))
    assert np.array_equal(ids.user_ids, other_ids.user_ids)
    assert np.array_equal(ids.movie_ids, other_ids.movie_ids)
    for part in ("train", "validation", "test"):
        assert getattr(one, part).fingerprint() == getattr(other, part).fingerprint()


def likes(user: int, *times: int) -> list[Row]:
    return [(user, movie, 4.0, time) for movie, time in enumerate(times)]


def test_a_user_with_one_positive_is_never_evaluated() -> None:
    split, ids = split_of([*likes(1, 5), *likes(2, 1, 2, 3, 4, 5, 6)])
    assert ids.user_ids[split.evaluated_users("test")].tolist() == [2]
    assert ids.user_ids[split.evaluated_users("validation")].tolist() == [2]
    assert rows_of(split.test, ids) >= set(likes(1, 5))


def test_a_user_whose_likes_all_have_one_time_is_never_evaluated() -> None:
    split, _ = split_of(likes(1, *[5] * 8))
    assert len(split.before("test")) == 0
    assert split.evaluated_users("test").tolist() == []
    assert split.evaluated_users("validation").tolist() == []


def test_fewer_than_four_earlier_positives_are_too_few_and_four_are_enough() -> None:
    split, ids = split_of([*likes(1, 1, 2, 3, 9), *likes(2, 1, 2, 3, 4, 9), *likes(3, 1, 1, 1, 1, 8, 9, 9)])
    assert ids.user_ids[split.evaluated_users("test")].tolist() == [2, 3]
    assert ids.user_ids[split.evaluated_users("validation")].tolist() == [3]


def test_users_are_only_scored_on_the_part_that_holds_something_of_theirs() -> None:
    shape = (3, 7)
    train = interactions_of([row for user in range(3) for row in likes(user, 1, 1, 1, 1)], shape)
    split = Split(train, interactions_of([(0, 5, 4.0, 2)], shape), interactions_of([(1, 6, 4.0, 3)], shape))
    assert split.evaluated_users("validation").tolist() == [0]
    assert split.evaluated_users("test").tolist() == [1]


def test_a_model_scored_on_test_has_seen_train_and_validation_and_nothing_else() -> None:
    split, ids = split_of(likes(1, 1, 2, 3, 4, 5, 5))
    assert rows_of(split.before("validation"), ids) == set(likes(1, 1, 2, 3))
    assert rows_of(split.before("test"), ids) == set(likes(1, 1, 2, 3, 4))


def test_no_positive_at_all_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(RecsysError, match=r"no positive rating.*MOVIEREC_POSITIVE_THRESHOLD"):
        split_of([])


@pytest.mark.parametrize("time", [1, 9])
def test_a_pair_that_repeats_at_the_same_or_another_time_is_refused(time: int) -> None:
    with pytest.raises(RecsysError, match="1 interactions repeat"):
        split_of([(1, 7, 4.0, 9), (1, 8, 4.0, 5), (1, 7, 4.0, time)])


# The original recipe, for comparison.

MIN_RATINGS_PER_USER, POSITIVE_FROM = 6, 4.0


def many_ratings(seed: int) -> pd.DataFrame:
    """Users with one to thirty ratings, many at equal times."""
    random = np.random.default_rng(seed)
    parts = []
    for user in random.permutation(60):
        count = int(random.integers(1, 31))
        movies = random.choice(80, count, replace=False)
        stars = random.integers(2, 11, count) / 2
        times = random.integers(0, max(2, count // 2), count)
        parts.append(pd.DataFrame({"userId": 5 * user, "movieId": 3 * movies, "rating": stars, "timestamp": times}))
    return pd.concat(parts).sample(frac=1, random_state=seed)


def original_positives(ratings: pd.DataFrame) -> pd.DataFrame:
    per_user = ratings.groupby("userId").size()
    eligible = ratings[ratings["userId"].isin(per_user[per_user >= MIN_RATINGS_PER_USER].index)]
    return eligible[eligible["rating"] >= POSITIVE_FROM].copy()


def original_split(ratings: pd.DataFrame) -> tuple[Pairs, Pairs]:
    """Train pairs and the test pairs of the users with enough of them."""
    positives = original_positives(ratings)
    latest = positives.groupby("userId")["timestamp"].transform("max")
    positives["held_out"] = positives["timestamp"] == latest
    by_user = positives.groupby("userId")["held_out"]
    usable = by_user.transform(lambda held: (~held).any()) & by_user.transform(lambda held: held.any())
    positives = positives[usable]
    train, test = positives[~positives["held_out"]], positives[positives["held_out"]]
    trained_on = train.groupby("userId").size()
    enough = trained_on[trained_on >= 4].index
    return pairs_of(train), pairs_of(test[test["userId"].isin(enough)])


def pairs_of(frame: pd.DataFrame) -> Pairs:
    return set(zip(frame["userId"].tolist(), frame["movieId"].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_train_and_scored_test_pairs_are_those_of_the_original_recipe(seed: int) -> None:
    frame = many_ratings(seed)
    train, test = original_split(frame)
    positives = original_positives(frame)
    columns = (positives[name].to_numpy() for name in ("userId", "movieId", "rating", "timestamp"))
    split, ids = leave_latest_out(RatingColumns.cast(*columns))
    evaluated = set(ids.user_ids[split.evaluated_users("test")].tolist())
    usable = {user for user, _ in train}
    assert {row[:2] for row in rows_of(split.before("test"), ids) if row[0] in usable} == train
    assert {row[:2] for row in rows_of(split.test, ids) if row[0] in evaluated} == test
    assert evaluated == {user for user, _ in test}
    assert len(test) > 20
