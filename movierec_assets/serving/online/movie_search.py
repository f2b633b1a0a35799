"""Movies of the catalogue by title, genre and year.

Belongs here: the conditions of a search, and the index that is kept for the current catalogue. Does not: comparing
titles (`title_index`), HTTP (`serving.api.routes.movies`).
"""

from __future__ import annotations

import asyncio

import numpy as np

from movierec_assets.recsys.interactions import BoolArray, IntArray
from movierec_assets.serving.online.movie_index import Catalogued
from movierec_assets.serving.online.title_index import TitleIndex


class MovieSearch:
    """Searches in one catalogue."""

    def __init__(self, catalogued: Catalogued) -> None:
        catalogue = catalogued.catalogue
        self.catalogued = catalogued
        self._titles = TitleIndex(catalogue.titles, catalogue.years, catalogue.ratings)
        self._by_ratings = np.lexsort((catalogue.movie_ids, -catalogue.ratings.astype(np.int64)))

    def movie_id(self, title: str) -> int:
        """Id of the movie with a title as people type it, see `TitleIndex.find`.

        Raises
        ------
        TitleError
        """
        return int(self.catalogued.catalogue.movie_ids[self._titles.find(title)])

    def rows(self, query: str | None = None, genre: str | None = None, year: int | None = None) -> IntArray:
        """Rows of the catalogue: movies most like the query first, without a query the most rated first.

        Raises
        ------
        RequestError
            When no movie has the genre.
        """
        among = self._among(genre, year)
        if query is not None and query.strip():
            return self._titles.search(query, among)
        return self._by_ratings if among is None else self._by_ratings[among[self._by_ratings]]

    def _among(self, genre: str | None, year: int | None) -> BoolArray | None:
        among: BoolArray | None = None
        if genre is not None:
            (row,) = self.catalogued.genre_rows([genre.strip()], "query.genre")
            among = self.catalogued.of_genre[row]
        if year is not None:
            of_year = self.catalogued.catalogue.years == year
            among = of_year if among is None else among & of_year
        return among


class CurrentSearch:
    """The search in the current catalogue, made once for each."""

    def __init__(self) -> None:
        self._made: MovieSearch | None = None
        self._making = asyncio.Lock()

    async def of(self, catalogued: Catalogued) -> MovieSearch:
        """The search in a catalogue; made in a thread when it is a new one."""
        async with self._making:
            if self._made is None or self._made.catalogued is not catalogued:
                self._made = await asyncio.to_thread(MovieSearch, catalogued)
            return self._made
