"""Claims about the matrix of positives: ids find their rows and columns, and the order of the input never shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import load_npz

from movierec_assets.recsys import interactions
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import IdMaps, Interactions, distinct, positions
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings

ROWS: list[Row] = [(0, 2, 4.0, 30), (0, 0, 5.0, 10), (2, 1, 4.5, 20), (2, 2, 4.0, 20), (2, 0, 5.0, 25)]
SHAPE = (4, 3)


def rows_of(interactions: Interactions) -> list[Row]:
    return list(zip(*(column.tolist() for column in interactions.triplets()), strict=True))


@settings(deadline=None)
@given(st.sets(st.integers(0, 20)), st.lists(st.integers(-3, 25)))
def test_positions_are_where_the_sorted_ids_are_and_minus_one_elsewhere(ids: set[int], wanted: list[int]) -> None:
    positions_of = {each: at for at, each in enumerate(sorted(ids))}
    found = positions(np.array(sorted(ids), dtype=np.int32), np.array(wanted, dtype=np.int64))
    assert found.tolist() == [positions_of.get(each, -1) for each in wanted]


def test_positions_of_ids_before_between_and_past_the_end_are_minus_one() -> None:
    assert positions(np.array([3, 5]), np.array([2, 4, 6, 2**40, 5])).tolist() == [-1, -1, -1, -1, 1]


def test_positions_in_an_empty_map_are_all_minus_one() -> None:
    assert positions(np.array([], dtype=np.int32), np.array([1, 0])).tolist() == [-1, -1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1)), min_size=1))
def test_ids_come_back_from_their_rows_and_columns(pairs: list[tuple[int, int]]) -> None:
    users, movies = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    ids = IdMaps.of(users, movies)
    assert ids.shape == (len(set(users.tolist())), len(set(movies.tolist())))
    assert np.array_equal(ids.user_ids[ids.users_at(users)], users)
    assert np.array_equal(ids.movie_ids[ids.movies_at(movies)], movies)


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1), st.lists(st.integers(0, 10**6), min_size=1))
def test_distinct_ids_are_the_sorted_set_be_they_dense_or_far_apart(dense: list[int], sparse: list[int]) -> None:
    for ids in (dense, sparse):
        assert distinct(np.array(ids, dtype=np.int32)).tolist() == sorted(set(ids))


def test_an_id_that_is_not_in_the_map_has_no_place() -> None:
    ids = IdMaps.of(np.array([7, 7, 3]), np.array([50, 40, 60]))
    assert ids.users_at(np.array([3, 4, 7])).tolist() == [0, -1, 1]
    assert ids.movies_at(np.array([70, 60, 40])).tolist() == [-1, 2, 0]


@pytest.mark.parametrize(
    ("users", "movies", "named"), [([2, 1], [1], "user_ids"), ([1, 1], [1], "user_ids"), ([1], [4, 4], "movie_ids")]
)
def test_unsorted_or_repeated_ids_are_refused_by_name(users: list[int], movies: list[int], named: str) -> None:
    with pytest.raises(RecsysError, match=named):
        IdMaps(np.array(users), np.array(movies))


@settings(deadline=None)
@given(ratings(), st.data())
def test_triplets_in_any_order_give_the_same_matrix(drawn: Ratings, data: st.DataObject) -> None:
    shuffled = interactions_of(data.draw(st.permutations(drawn.rows)), drawn.shape)
    assert rows_of(shuffled) == sorted(drawn.rows)
    assert shuffled.shape == drawn.shape
    dense = np.zeros(drawn.shape)
    for user, movie, stars, _ in drawn.rows:
        dense[user, movie] = stars
    assert np.array_equal(shuffled.stars.toarray(), dense)


@settings(deadline=None)
@given(ratings())
def test_counts_of_users_and_movies_are_those_of_the_rows(drawn: Ratings) -> None:
    matrix = drawn.interactions()
    assert len(matrix) == len(drawn.rows)
    assert matrix.per_user.tolist() == [sum(row[0] == user for row in drawn.rows) for user in range(drawn.shape[0])]
    assert matrix.per_movie.tolist() == [sum(row[1] == movie for row in drawn.rows) for movie in range(drawn.shape[1])]


def test_a_repeated_pair_is_refused_with_the_number_of_repeats() -> None:
    again: list[Row] = [(0, 2, 4.0, 99), (2, 1, 4.5, 20)]
    with pytest.raises(RecsysError, match="2 interactions repeat"):
        interactions_of([*ROWS, *again], SHAPE)


@settings(deadline=None)
@given(ratings(), st.data())
def test_disjoint_parts_unite_to_the_whole(drawn: Ratings, data: st.DataObject) -> None:
    part_of = data.draw(st.lists(st.integers(0, 2), min_size=len(drawn.rows), max_size=len(drawn.rows)))
    first, second, third = (
        interactions_of([row for row, part in zip(drawn.rows, part_of, strict=True) if part == number], drawn.shape)
        for number in range(3)
    )
    assert rows_of(first.union(second, third)) == sorted(drawn.rows)
    assert third.union(first, second).fingerprint() == drawn.interactions().fingerprint()


def test_parts_that_share_a_pair_do_not_unite() -> None:
    other: list[Row] = [(2, 0, 4.0, 1)]
    with pytest.raises(RecsysError, match="1 interactions repeat"):
        interactions_of(ROWS, SHAPE).union(interactions_of(other, SHAPE))


def test_parts_of_different_shapes_do_not_unite() -> None:
    with pytest.raises(RecsysError, match=r"\(4, 3\), \(4, 4\)"):
        interactions_of(ROWS, SHAPE).union(interactions_of([], (4, 4)))


@settings(deadline=None)
@given(ratings(), st.data())
def test_rows_are_those_of_the_users_in_the_order_asked_for(drawn: Ratings, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, drawn.shape[0] - 1)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(interactions, "_ENTRIES", data.draw(st.integers(1, 9)))
        picked = drawn.interactions().rows(np.array(chosen, dtype=np.int64))
    expected = [
        (row, movie, stars, time)
        for row, user in enumerate(chosen)
        for of, movie, stars, time in sorted(drawn.rows)
        if of == user
    ]
    assert picked.shape == (len(chosen), drawn.shape[1])
    assert rows_of(picked) == expected


@settings(deadline=None)
@given(ratings(), st.data())
def test_what_is_marked_stays_in_a_matrix_of_the_same_shape(drawn: Ratings, data: st.DataObject) -> None:
    marked = data.draw(st.lists(st.booleans(), min_size=len(drawn.rows), max_size=len(drawn.rows)))
    kept = drawn.interactions().only(np.array(marked, dtype=np.bool_))
    expected = [row for row, kept in zip(sorted(drawn.rows), marked, strict=True) if kept]
    assert kept.fingerprint() == interactions_of(expected, drawn.shape).fingerprint()


@settings(deadline=None)
@given(ratings(), st.data())
def test_between_two_users_are_the_rows_of_those_from_the_first_to_before_the_second(
    drawn: Ratings, data: st.DataObject
) -> None:
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, drawn.shape[0])] * 2)))
    matrix = drawn.interactions()
    part = matrix.between(start, stop)
    assert part.fingerprint() == matrix.rows(np.arange(start, stop)).fingerprint()


@pytest.mark.parametrize("pair", [(-1, 0), (4, 0), (0, -1), (0, 3)], ids=str)
def test_a_place_outside_the_matrix_is_an_error(pair: tuple[int, int]) -> None:
    # In order and not: sorted rows are handled by other code.
    for rows in ([*ROWS, (*pair, 4.0, 1)], [(*pair, 4.0, 1)]):
        with pytest.raises(ValueError, match="index"):
            interactions_of(rows, SHAPE)


@pytest.mark.usefixtures("each_solver")
@settings(deadline=None)
@given(ratings(), st.sampled_from([-1, 1, 2**60]))
def test_time_order_is_by_user_then_time_then_movie(drawn: Ratings, unit: int) -> None:
    matrix = interactions_of(
        [(user, movie, stars, time * unit) for user, movie, stars, time in drawn.rows], drawn.shape
    )
    order, starts = matrix.time_order()
    users, movies, _, times = (column[order].tolist() for column in matrix.triplets())
    ordered = list(zip(users, times, movies, strict=True))
    assert ordered == sorted((user, time * unit, movie) for user, movie, _, time in drawn.rows)
    moments = [row[:2] for row in ordered]
    assert starts.tolist() == [at for at, moment in enumerate(moments) if at == 0 or moment != moments[at - 1]]


def plain_recency_rank(rows: list[Row]) -> dict[tuple[int, int], int]:
    """Ranks 0, 1, 2, ... from each user's latest on; interactions of one time share their mean rank, floored."""
    ranks = {}
    for user, movie, _, time in rows:
        times = [row[3] for row in rows if row[0] == user]
        later, equal = sum(each > time for each in times), times.count(time)
        ranks_of = range(later, later + equal)
        ranks[user, movie] = sum(ranks_of) // equal
    return ranks


@pytest.mark.usefixtures("each_solver")
@settings(deadline=None)
@given(ratings(), st.data())
def test_recency_rank_counts_later_interactions_of_the_same_user(drawn: Ratings, data: st.DataObject) -> None:
    matrix = interactions_of(data.draw(st.permutations(drawn.rows)), drawn.shape)
    users, movies, _, _ = matrix.triplets()
    ranks = dict(zip(zip(users.tolist(), movies.tolist(), strict=True), matrix.recency_rank().tolist(), strict=True))
    assert ranks == plain_recency_rank(drawn.rows)


@pytest.mark.usefixtures("each_solver")
def test_recency_rank_of_times_that_are_ages_apart() -> None:
    rows: list[Row] = [(0, 0, 4.0, -(2**62)), (0, 1, 4.0, 2**62), (1, 0, 4.0, 2**62), (1, 1, 4.0, 2**62)]
    assert interactions_of(rows, (4, 2)).recency_rank().tolist() == [1, 0, 0, 0]


def test_equal_times_share_the_mean_of_their_places_rounded_down() -> None:
    rows: list[Row] = [(0, 0, 4.0, 9), (0, 1, 4.0, 5), (0, 2, 4.0, 5), (0, 3, 4.0, 5), (0, 4, 4.0, 5), (1, 1, 4.0, 1)]
    assert interactions_of(rows, (2, 5)).recency_rank().tolist() == [0, 2, 2, 2, 2, 0]


@settings(deadline=None)
@given(ratings())
def test_stored_arrays_read_back_as_the_same_matrix(drawn: Ratings) -> None:
    matrix = drawn.interactions()
    file = io.BytesIO()
    np.savez(file, **matrix.to_arrays())  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        back = Interactions.from_arrays(arrays)
    assert back.shape == matrix.shape
    assert rows_of(back) == rows_of(matrix)
    assert back.fingerprint() == matrix.fingerprint()


def test_scipy_reads_the_stored_matrix() -> None:
    matrix = interactions_of(ROWS, SHAPE)
    file = io.BytesIO()
    np.savez(file, **matrix.to_arrays())  # type: ignore[arg-type]
    file.seek(0)
    stars = load_npz(file)
    assert stars.shape == SHAPE
    assert np.array_equal(stars.toarray(), matrix.stars.toarray())


@settings(deadline=None)
@given(ratings(), st.data())
def test_the_fingerprint_does_not_see_the_order_of_rows(drawn: Ratings, data: st.DataObject) -> None:
    shuffled = interactions_of(data.draw(st.permutations(drawn.rows)), drawn.shape)
    assert shuffled.fingerprint() == drawn.interactions().fingerprint()


def test_the_fingerprint_sees_every_element_and_the_shape() -> None:
    variants = [interactions_of(ROWS, shape) for shape in (SHAPE, (5, 3), (4, 4))]
    for at, (user, movie, stars, time) in enumerate(ROWS):
        changed: list[Row] = [(3, movie, stars, time), (user, movie, stars + 0.5, time), (user, movie, stars, time + 1)]
        variants += [interactions_of([*ROWS[:at], row, *ROWS[at + 1 :]], SHAPE) for row in changed]
        variants.append(interactions_of([*ROWS[:at], *ROWS[at + 1 :]], SHAPE))
    moved: list[Row] = [(0, 1, 4.0, 30), *ROWS[1:]]
    variants.append(interactions_of(moved, SHAPE))
    assert len({variant.fingerprint() for variant in variants}) == len(variants)
