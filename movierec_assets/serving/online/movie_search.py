"""Movies of the catalogue by title, genre and year.

Belongs here: the conditions of a search, and the index that is kept for the current catalogue. Does not: comparing
titles (`title_index`), HTTP (`serving.api.routes.movies`).
"""

from __future__ import annotations

import asyncio
from functools import cached_property

import numpy as np
import numpy.typing as npt

from movierec_assets.errors import ExplainedError
from movierec_assets.recsys.interactions import IntArray
from movierec_assets.serving.online.snapshot import Catalogue
from movierec_assets.serving.online.title_index import TitleIndex

BoolArray = npt.NDArray[np.bool_]


class UnknownGenreError(ExplainedError, LookupError):
    """No movie has this genre; the message names those that there are."""


class MovieSearch:
    """Searches in one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.titles = TitleIndex(catalogue.titles, catalogue.years, catalogue.ratings)
        self._by_ratings = np.lexsort((catalogue.movie_ids, -catalogue.ratings.astype(np.int64)))

    @cached_property
    def genres(self) -> dict[str, BoolArray]:
        """The movies of each genre, by its name in small letters."""
        members: dict[str, list[int]] = {}
        for place, genres in enumerate(self.catalogue.genres):
            for genre in genres:
                members.setdefault(genre.casefold(), []).append(place)
        found = {}
        for genre, places in members.items():
            found[genre] = np.zeros(len(self.catalogue.titles), dtype=bool)
            found[genre][places] = True
        return found

    @cached_property
    def genre_names(self) -> list[str]:
        """Genres as the catalogue spells them, in alphabetical order."""
        return sorted({genre for genres in self.catalogue.genres for genre in genres})

    def place_of(self, movie_id: int) -> int | None:
        """Place of a movie in the catalogue; None for an unknown id."""
        ids = self.catalogue.movie_ids
        place = int(np.searchsorted(ids, movie_id))
        return place if place < len(ids) and ids[place] == movie_id else None

    def find(self, query: str | None = None, genre: str | None = None, year: int | None = None) -> IntArray:
        """Places of movies in the catalogue: those most like the query first, without a query the most rated first.

        Raises
        ------
        UnknownGenreError
        """
        among = self._among(genre, year)
        if query is not None and query.strip():
            return self.titles.search(query, among)
        return self._by_ratings if among is None else self._by_ratings[among[self._by_ratings]]

    def _among(self, genre: str | None, year: int | None) -> BoolArray | None:
        among: BoolArray | None = None
        if genre is not None:
            among = self.genres.get(genre.strip().casefold())
            if among is None:
                listed = ", ".join(self.genre_names) or "none, because no movies are loaded"
                raise UnknownGenreError(f"No movie has the genre {genre!r}. Genres: {listed}.")
        if year is not None:
            of_year = self.catalogue.years == year
            among = of_year if among is None else among & of_year
        return among


class CurrentSearch:
    """The search in the current catalogue, made once for each."""

    def __init__(self) -> None:
        self._made: MovieSearch | None = None
        self._lock = asyncio.Lock()

    async def of(self, catalogue: Catalogue) -> MovieSearch:
        """The search in a catalogue; made in a thread when it is a new one."""
        made = self._made
        if made is not None and made.catalogue is catalogue:
            return made
        async with self._lock:
            if self._made is None or self._made.catalogue is not catalogue:
                self._made = await asyncio.to_thread(MovieSearch, catalogue)
            return self._made
