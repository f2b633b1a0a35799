"""Movies in an order, found by id, genre and year.

Belongs here: the places of movies, and which of them pass filters. Does not: vectors (`model_index`) and scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import orjson

from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.serving.online.requests import NO_FILTERS, Boost, Filters, RequestError
from movierec_assets.serving.online.snapshot import Catalogue

CUT = 3.0
"""Standardized properties of movies are cut off here."""

_TABLE = 2**22
"""Ids up to here are looked up in a table with a cell for each: of MovieLens, the highest is 300,000."""

_KEPT_FILTERS = 64
"""Filters whose movies are kept: at 27,000 movies, 0.1 MB each at most."""


class Catalogued:
    """A catalogue, with its genres as a matrix and the JSON of its movies.

    Attributes
    ----------
    catalogue : Catalogue
    genres : tuple of str
        All genres, sorted.
    of_genre : bool array, shape (n_genres, n_movies)
    fragments : list of bytes
        Of each movie, `{"movie_id":1,"title":"...","year":1995,"genres":["..."]`, without the closing brace.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.genres = tuple(sorted({genre for of_movie in catalogue.genres for genre in of_movie}))
        number = {genre: row for row, genre in enumerate(self.genres)}
        self.of_genre = np.zeros((len(self.genres), len(catalogue.movie_ids)), dtype=np.bool_)
        for column, of_movie in enumerate(catalogue.genres):
            for genre in of_movie:
                self.of_genre[number[genre], column] = True
        self.fragments = [
            orjson.dumps({"movie_id": movie_id, "title": title, "year": year or None, "genres": genres})[:-1]
            for movie_id, title, year, genres in zip(
                catalogue.movie_ids.tolist(), catalogue.titles, catalogue.years.tolist(), catalogue.genres, strict=True
            )
        ]
        self._by_name = {genre.casefold(): row for row, genre in enumerate(self.genres)}
        self._rows = Positions(catalogue.movie_ids)

    def rows_of(self, movie_ids: Any) -> IntArray:
        """Rows of the catalogue of movies; -1 for unknown ids."""
        return self._rows.of(movie_ids)

    def genre_rows(self, names: Iterable[str], field: str) -> list[int]:
        """Rows of `of_genre` of genres, whatever their case and the spaces around them.

        Raises
        ------
        RequestError
            When there is no such genre.
        """
        rows = []
        for name in names:
            row = self._by_name.get(name.strip().casefold())
            if row is None:
                raise RequestError(
                    field, f"No movie has the genre {name!r}. Genres: {', '.join(self.genres) or 'none'}."
                )
            rows.append(row)
        return rows

    def passing(self, filters: Filters) -> BoolArray:
        """Whether each movie passes the filters, shape (n_movies,).

        Raises
        ------
        RequestError
            When a genre does not exist, or the years exclude each other.
        """
        if filters.year_from is not None and filters.year_to is not None and filters.year_from > filters.year_to:
            raise RequestError(
                "filters.year_from",
                f"No year is from {filters.year_from} to {filters.year_to}; give the earlier year first.",
            )
        years = self.catalogue.years
        passes: BoolArray = np.ones(len(years), dtype=np.bool_)
        if filters.genres_any:
            passes[~self.of_any(filters.genres_any, "filters.genres_any")] = False
        if filters.genres_none:
            passes[self.of_any(filters.genres_none, "filters.genres_none")] = False
        for row in self.genre_rows(filters.genres_all, "filters.genres_all"):
            passes[~self.of_genre[row]] = False
        if filters.year_from is not None:
            passes[years < max(1, filters.year_from)] = False
        if filters.year_to is not None:
            passes[(years > filters.year_to) | (years <= 0)] = False
        return passes

    def of_any(self, genres: Sequence[str], field: str) -> BoolArray:
        """Whether each movie has at least one of the genres, shape (n_movies,); `field` names them in errors.

        Raises
        ------
        RequestError
            When a genre does not exist.
        """
        found: BoolArray = np.logical_or.reduce(self.of_genre[self.genre_rows(genres, field)], axis=0)
        return found


class MovieIndex:
    """Some movies of a catalogue in an order; the position of a movie in it is its place.

    Parameters
    ----------
    catalogued : Catalogued
    rows : int array, shape (n,)
        Rows of the catalogue, in the order.
    counts : int array, shape (n,)
        Likes or ratings of each movie, in the order.

    Attributes
    ----------
    movie_ids, years, counts : int array, shape (n,)
    of_genre : bool array, shape (n_genres, n)
    by_count : int array, shape (n,)
        Places, most likes or ratings first; equal ones by movie id.
    """

    def __init__(self, catalogued: Catalogued, rows: IntArray, counts: IntArray) -> None:
        catalogue = catalogued.catalogue
        self.catalogued, self.rows, self.counts = catalogued, rows, counts
        self.movie_ids, self.years = catalogue.movie_ids[rows], catalogue.years[rows]
        self.of_genre = catalogued.of_genre[:, rows]
        self.by_count = np.lexsort((self.movie_ids, -counts.astype(np.int64)))
        self._places = Positions(self.movie_ids)
        self._kept: dict[Filters, IntArray] = {}

    def __len__(self) -> int:
        return len(self.movie_ids)

    def places_of(self, movie_ids: Any) -> IntArray:
        """Places of movies; -1 for unknown ids."""
        return self._places.of(movie_ids)

    def known(self, movie_ids: Any) -> IntArray:
        """Places of the movies that are in the index."""
        places = self.places_of(movie_ids)
        found: IntArray = places[places >= 0]
        return found

    def passing(self, filters: Filters) -> IntArray | None:
        """Places of the movies that pass the filters, ascending; None where all do.

        Raises
        ------
        RequestError
            When a genre does not exist, or the years exclude each other.
        """
        if filters == NO_FILTERS:
            return None
        found = self._kept.pop(filters, None)
        if found is None:
            found = np.flatnonzero(self.catalogued.passing(filters)[self.rows]).astype(np.int32)
            if len(self._kept) >= _KEPT_FILTERS:
                self._kept.pop(next(iter(self._kept)))  # the one that was not asked for longest
        self._kept[filters] = found
        return found

    @cached_property
    def newness(self) -> FloatArray:
        """Standardized year of each movie, float32, shape (n,); 0 without a year."""
        dated = self.years > 0
        newness = np.zeros(len(self), dtype=np.float32)
        newness[dated] = _standardized(self.years[dated])
        return newness

    @cached_property
    def obscurity(self) -> FloatArray:
        """Minus the standardized logarithm of 1 + the counts, float32, shape (n,)."""
        return -_standardized(np.log1p(self.counts))

    @cached_property
    def spread_of_counts(self) -> float:
        """Standard deviation of the counts; 1 where all are equal."""
        return (float(np.std(self.counts)) if len(self) else 0.0) or 1.0

    def property_of(self, boost: Boost, field: str = "boost") -> FloatArray:
        """The property of each movie that a boost lifts, float32, shape (n,); `field` names the boost in errors.

        Raises
        ------
        RequestError
            When a genre does not exist, or none is named.
        """
        if boost.kind == "newer":
            return self.newness
        if boost.kind == "less_popular":
            return self.obscurity
        if not boost.genres:
            raise RequestError(f"{field}.genres", "A boost by genre names at least one genre.")
        return self.catalogued.of_any(boost.genres, f"{field}.genres")[self.rows].astype(np.float32)


def _standardized(values: Any) -> FloatArray:
    exact = np.asarray(values, dtype=np.float64)
    spread = exact.std() if len(exact) else 0.0
    if not spread > 0:
        return np.zeros(len(exact), dtype=np.float32)
    standardized: FloatArray = np.clip((exact - exact.mean()) / spread, -CUT, CUT).astype(np.float32)
    return standardized


class Positions:
    """Positions of ids in an array of distinct ids.

    Parameters
    ----------
    ids : int array, shape (n,)
    """

    def __init__(self, ids: IntArray) -> None:
        order = np.argsort(ids, kind="stable")
        self._ids, self._order = ids[order].astype(np.int64), order.astype(np.int32)
        self._table: IntArray | None = None
        if len(ids) and self._ids[0] > 0 and self._ids[-1] < _TABLE:
            # Ids below the first and above the last are clipped to cells that no movie has.
            self._table = np.full(int(self._ids[-1]) + 2, -1, dtype=np.int32)
            self._table[ids] = np.arange(len(ids), dtype=np.int32)

    def of(self, wanted: Any) -> IntArray:
        """Positions of ids, int32; -1 for unknown ones."""
        asked = np.asarray(wanted)
        if asked.size == 0 or len(self._ids) == 0:
            return np.full(asked.shape, -1, dtype=np.int32)
        if self._table is not None:
            return self._table.take(asked, mode="clip")
        at = np.minimum(np.searchsorted(self._ids, asked), len(self._ids) - 1)
        return np.where(self._ids[at] == asked, self._order[at], np.int32(-1))
