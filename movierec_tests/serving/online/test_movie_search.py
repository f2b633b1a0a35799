"""The search is made once for each catalogue, before anybody asks; the one before stays until nobody asks for it."""

from __future__ import annotations

import asyncio

import pytest

from movierec_assets.serving.online import movie_search
from movierec_assets.serving.online.movie_index import Catalogued
from movierec_assets.serving.online.movie_search import CurrentSearch, MovieSearch
from movierec_tests.serving.online.snapshots import world


def catalogued(seed: int) -> Catalogued:
    return Catalogued(world(seed).snapshot.catalogue)


def test_a_search_is_made_once_whoever_asks_first() -> None:
    async def asked() -> list[MovieSearch]:
        return await asyncio.gather(*(search.of(catalogue) for _ in range(5)))

    search, catalogue = CurrentSearch(), catalogued(1)
    prepared = search.prepare(catalogue)
    found = asyncio.run(asked())
    assert {id(each) for each in found} == {id(prepared.result())}
    assert found[0].catalogued is catalogue


def test_a_new_catalogue_leaves_the_search_in_the_one_before_but_not_in_earlier_ones() -> None:
    search, catalogues = CurrentSearch(), [catalogued(seed) for seed in range(3)]
    made = [search.prepare(each).result() for each in catalogues]
    assert asyncio.run(search.of(catalogues[2])) is made[2]
    assert asyncio.run(search.of(catalogues[1])) is made[1]
    again = asyncio.run(search.of(catalogues[0]))
    assert again is not made[0]
    assert again.catalogued is catalogues[0]


def test_whoever_waits_for_a_search_that_cannot_be_made_gets_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Catalogued) -> MovieSearch:
        raise ValueError("no titles")

    monkeypatch.setattr(movie_search, "MovieSearch", fails)
    with pytest.raises(ValueError, match="no titles"):
        asyncio.run(CurrentSearch().of(catalogued(1)))
