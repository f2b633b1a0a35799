"""Which dataset ratings belong to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.datasets.identity import SKETCH_SIZE, Catalogue, Contents, PairSketch, most_similar
from movierec_assets.ratings import pair_key

FILMS = {1: "Toy Story (1995)", 2: "Jumanji (1995)", 3: "Heat (1995)", 4: "Sabrina (1995)"}
PAIRS = st.sets(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1)


def _catalogue(films: dict[int, str]) -> Catalogue:
    return Catalogue.of(list(films), list(films.values()))


def _sample(pairs: set[tuple[int, int]]) -> PairSketch:
    sample = PairSketch()
    users, movies = np.array(sorted(pairs), dtype=np.int32).T
    sample.add(pair_key(users, movies))
    return sample


def _contents(films: dict[int, str], pairs: set[tuple[int, int]]) -> Contents:
    return Contents(_catalogue(films), _sample(pairs))


def _many(users: range, seed: int = 0) -> set[tuple[int, int]]:
    random = np.random.default_rng(seed)
    return {(user, int(movie)) for user in users for movie in random.choice(500, 20, replace=False)}


def test_a_catalogue_with_new_films_and_a_corrected_title_is_the_same() -> None:
    later = FILMS | {5: "Casino (1995)", 4: "Sabrina (1996)", 3: "HEAT  (1995)"}
    assert _catalogue(later).agrees_with(_catalogue(FILMS))


@pytest.mark.parametrize(
    "other",
    [
        {number: f"Another film {number}" for number in FILMS},
        {number + 100: title for number, title in FILMS.items()},
        {},
    ],
)
def test_other_titles_or_other_numbers_are_another_catalogue(other: dict[int, str]) -> None:
    assert not _catalogue(other).agrees_with(_catalogue(FILMS))


@given(PAIRS, PAIRS)
def test_small_datasets_are_compared_exactly(ours: set[tuple[int, int]], theirs: set[tuple[int, int]]) -> None:
    expected = len(ours & theirs) / min(len(ours), len(theirs))
    assert _sample(ours).share_of_smaller(_sample(theirs)) == pytest.approx(expected)


@given(st.lists(PAIRS, min_size=1, max_size=4))
def test_a_sample_does_not_depend_on_blocks_and_their_order(blocks: list[set[tuple[int, int]]]) -> None:
    in_parts = PairSketch()
    for block in reversed(blocks):
        users, movies = np.array(list(block), dtype=np.int32).T
        in_parts.add(pair_key(users, movies))
    assert in_parts.hashes.tolist() == _sample(set().union(*blocks)).hashes.tolist()


def test_a_large_dataset_that_holds_a_small_one_is_the_same_and_a_stranger_is_not() -> None:
    users, movies = (part.ravel().astype(np.int32) for part in np.indices((4000, 500)))
    keys = pair_key(users, movies)
    large, part, stranger = PairSketch(), PairSketch(), PairSketch()
    large.add(keys)
    part.add(keys[:: len(keys) // 2000])
    stranger.add(keys[:2000] + (1 << 60))
    assert len(large.hashes) == SKETCH_SIZE
    assert part.share_of_smaller(large) == large.share_of_smaller(part) == 1.0
    assert stranger.share_of_smaller(large) == 0.0


def test_withdrawn_and_new_users_leave_a_dataset_what_it_is() -> None:
    yesterday = _many(range(100))
    today = {pair for pair in yesterday if pair[0] >= 20} | _many(range(100, 130), seed=1)
    assert most_similar(_contents(FILMS, today), [_contents(FILMS, yesterday)]) == 0


def test_other_users_ratings_of_the_same_films_are_another_dataset() -> None:
    known = [_contents(FILMS, _many(range(100), seed=1)), _contents(FILMS, _many(range(100), seed=2))]
    assert most_similar(_contents(FILMS, _many(range(100), seed=3)), known) is None
    assert most_similar(_contents(FILMS, _many(range(100), seed=2)), known) == 1


def test_the_same_numbers_for_other_films_are_another_dataset() -> None:
    pairs = _many(range(100))
    assert most_similar(_contents({1: "Matrix", 2: "Up"}, pairs), [_contents({1: "Heat", 2: "Fargo"}, pairs)]) is None


def test_with_nothing_known_everything_is_new() -> None:
    assert most_similar(_contents(FILMS, {(1, 1)}), []) is None
