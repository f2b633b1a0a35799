"""Movies of the catalogue by title, genre and year.

Belongs here: the conditions of a search, and the index that is kept for the current catalogue. Does not: comparing
titles (`title_index`), HTTP (`serving.api.routes.movies`).
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

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
            (row,) = self.catalogued.genre_rows([genre], "query.genre")
            among = self.catalogued.of_genre[row]
        if year is not None:
            of_year = self.catalogued.catalogue.years == year
            among = of_year if among is None else among & of_year
        return among


class CurrentSearch:
    """The searches in the latest two catalogues; each is made once, in a thread."""

    def __init__(self) -> None:
        self._made: tuple[tuple[Catalogued, Future[MovieSearch]], ...] = ()

    def prepare(self, catalogued: Catalogued) -> Future[MovieSearch]:
        """Begin to make the search in a catalogue, unless that was begun; it takes up to a second."""
        for of_catalogue, search in self._made:
            if of_catalogue is catalogued:
                return search
        made: Future[MovieSearch] = Future()
        self._made = ((catalogued, made), *self._made[:1])
        threading.Thread(target=_make, args=[catalogued, made], name="movie-search", daemon=True).start()
        return made

    async def of(self, catalogued: Catalogued) -> MovieSearch:
        """The search in a catalogue, as soon as it is made."""
        made = self.prepare(catalogued)
        return made.result() if made.done() else await asyncio.shield(asyncio.wrap_future(made))


def _make(catalogued: Catalogued, made: Future[MovieSearch]) -> None:
    try:
        made.set_result(MovieSearch(catalogued))
    except BaseException as error:  # noqa: BLE001 - whoever waits for it gets the error
        made.set_exception(error)
