"""Titles as people type them: a search that forgives errors, and the movie that a title names.

Belongs here: the index of trigrams and the order of what is found. Does not: the form of titles (`serving.titles`),
other conditions of a search (`movie_search`), distances (`typing_errors`).

References
----------
Postgres documentation, pg_trgm, for the trigrams of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.serving.online.typing_errors import Texts
from movierec_assets.serving.titles import (
    TitleError,
    bare_year_in,
    normal_form,
    other_forms,
    without_articles,
    year_in,
)

CANDIDATES = 200
"""Titles whose trigrams fit best; only these are compared letter by letter."""
MOST_ERRORS = 0.4
"""Share of the letters of a query that may be wrong in a movie that is found."""
MAX_QUERY = 100
"""Characters of a query that are looked at."""

_SHORT = 7
"""Queries of so many letters are compared with all titles of about as many letters."""
_FEW = 1.0
"""With as many errors or more in each movie that is found, articles of a query are compared as well."""
_OTHER_YEAR = 1.0
"""A movie of another year than the one in the query counts as found with so many errors more."""
_OTHER_TITLE = 0.25
"""The same for a movie that is found by another title than its main one."""
_RATINGS = 0.1
"""Errors that ten times more ratings make up for."""

_KNOWN = 0.02
"""What ten times more ratings add to the fit of a candidate."""


@dataclass(frozen=True)
class _Trigrams:
    """For each trigram the names that have it.

    Attributes
    ----------
    codes : int64 array, shape (n,), ascending
    starts : int64 array, shape (n + 1,)
        Where the names of each trigram begin in `names`.
    names : int32 array
    of_name : int32 array, shape (n_names,)
        Number of trigrams of each name.
    """

    codes: IntArray
    starts: IntArray
    names: IntArray
    of_name: IntArray

    @classmethod
    def of(cls, forms: Sequence[str]) -> Self:
        texts = [_spaced(form) for form in forms]
        owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        codes, kept = _codes("".join(texts))
        # A trigram that reaches into the next text has two spaces at its end, and is not kept.
        pairs = np.unique(np.stack([codes[kept], owner[:-2][kept] if len(owner) > 2 else owner[:0]]), axis=1)
        found, starts = np.unique(pairs[0], return_index=True)
        return cls(
            found,
            np.append(starts, pairs.shape[1]),
            pairs[1].astype(np.int32),
            np.bincount(pairs[1], minlength=len(texts)).astype(np.int32),
        )

    def shared(self, form: str) -> tuple[IntArray, int]:
        """Number of trigrams that each name shares with a text, and number of those of the text."""
        codes, kept = _codes(_spaced(form))
        wanted = np.unique(codes[kept])
        places = np.minimum(np.searchsorted(self.codes, wanted), max(0, len(self.codes) - 1))
        known = places[self.codes[places] == wanted] if len(self.codes) else places[:0]
        lists = [self.names[self.starts[place] : self.starts[place + 1]] for place in known.tolist()]
        found = np.concatenate(lists) if lists else self.names[:0]
        return np.bincount(found, minlength=len(self.of_name)), len(wanted)


class TitleIndex:
    """The titles of a catalogue.

    Parameters
    ----------
    titles : sequence of str
    years : int array, shape (n,)
        0 where there is none.
    ratings : int array, shape (n,)
        Number of ratings.
    """

    def __init__(self, titles: Sequence[str], years: IntArray, ratings: IntArray) -> None:
        self._titles, self._years, self._ratings = titles, years, ratings
        self._forms = [normal_form(title) for title in titles]
        others = [other_forms(title) for title in titles]
        self._others = {place: forms for place, forms in enumerate(others) if forms}
        names = [without_articles(form) for form in self._forms]
        movies = list(range(len(titles)))
        for place, form in enumerate(self._forms):
            # Also with articles, because people mistype these, too.
            alike = {form, *self._others.get(place, []), *map(without_articles, self._others.get(place, []))}
            alike.discard(names[place])
            names += sorted(alike)
            movies += [place] * len(alike)
        self._movie_of = np.array(movies, dtype=np.int32)
        self._trigrams, self._texts = _Trigrams.of(names), Texts.of(names)
        self._other = np.array(
            [name not in (self._forms[p], names[p]) for name, p in zip(names, movies, strict=True)], bool
        )
        self._weight = np.log10(1.0 + ratings)
        self._most_weight = float(self._weight.max(initial=0.0))
        self._movies_of_form: dict[str, list[int]] = {}
        for place, form in enumerate(self._forms):
            self._movies_of_form.setdefault(form, []).append(place)

    def search(self, query: str, among: BoolArray | None = None) -> IntArray:
        """Movies whose title is like a query, at most `CANDIDATES`.

        Parameters
        ----------
        query : str
            Case, accents, punctuation, articles and the order of words make no difference, and some wrong letters are
            forgiven. A year at the end prefers movies of that year.
        among : bool array, shape (n,), optional
            Movies to search among.

        Returns
        -------
        int array
            Places in the catalogue, best first: by number of errors; among equals the most rated first.
        """
        query = query[:MAX_QUERY]
        year, bare = year_in(query), bare_year_in(query)
        form = normal_form(query)
        readings = [(without_articles(form), year)]
        if year is None and bare is not None:
            readings.append((without_articles(normal_form(bare[0])), bare[1]))
        errors: dict[int, float] = {}
        for reading in readings:
            self._add_errors(errors, *reading, among)
        if form != readings[0][0] and min(errors.values(), default=_FEW) >= _FEW:
            self._add_errors(errors, form, year, among)
        places = np.fromiter(errors, dtype=np.int64, count=len(errors))
        cost = np.fromiter(errors.values(), dtype=np.float64, count=len(errors)) - _RATINGS * self._weight[places]
        return places[np.lexsort((places, -self._ratings[places], cost))][:CANDIDATES]

    def find(self, wanted: str) -> int:
        """The place of the movie with a title.

        The year counts only where it is given. A movie with this title comes first, then one with this other title, as
        in "Seven (a.k.a. Se7en)", then one whose title contains the words. Of several movies the most rated one is
        returned.

        Raises
        ------
        TitleError
            When there is none; the message offers similar titles.
        """
        name = normal_form(wanted)
        if not name:
            raise TitleError("An empty title names no movie.")
        of_year = self._of_year(year_in(wanted))
        for found in (
            self._movies_of_form.get(name, []),
            [place for place, forms in self._others.items() if name in forms],
            [place for place, form in enumerate(self._forms) if f" {name} " in f" {form} "],
        ):
            usable = [place for place in found if of_year[place]]
            if usable:
                return max(usable, key=lambda place: int(self._ratings[place]))
        raise TitleError(f"No movie of the catalogue is called {wanted!r}.{self._hint(wanted)}")

    def _hint(self, wanted: str) -> str:
        """The most similar titles, each once."""
        close = {self._forms[place]: self._titles[place] for place in reversed(self.search(normal_form(wanted))[:10])}
        listed = list(close.values())[::-1][:3]
        return f" Did you mean {', '.join(map(repr, listed))}?" if listed else ""

    def _of_year(self, year: int | None) -> BoolArray:
        return np.ones(len(self._titles), dtype=bool) if year is None else self._years == year

    def _add_errors(self, found: dict[int, float], form: str, year: int | None, among: BoolArray | None) -> None:
        """Keep the fewest errors with which each movie is found, by a normal form and the year that is wanted as well.

        With too many errors a movie is not found.
        """
        # An error spoils up to three trigrams, which may be all that a short title has.
        groups = [self._candidates(form, among), self._of_its_length(form, among)]
        names = np.concatenate(groups)
        most = MOST_ERRORS * len(form)
        errors = np.concatenate([self._texts.errors(form, group, most) for group in groups])
        errors = errors + np.where(self._other[names], _OTHER_TITLE, 0.0)
        near = errors <= most
        movies, errors = self._movie_of[names[near]], errors[near]
        if year is not None:
            errors = errors + np.where(self._years[movies] == year, 0.0, _OTHER_YEAR)
        for movie, each in zip(movies.tolist(), errors.tolist(), strict=True):
            found[movie] = min(each, found.get(movie, each))

    def _candidates(self, form: str, among: BoolArray | None) -> IntArray:
        """Names that share most trigrams with a form."""
        shared, wanted = self._trigrams.shared(form)
        if among is not None:
            shared = shared * among[self._movie_of]
        names = np.flatnonzero(shared >= self._fewest_shared(shared, wanted))
        common = shared[names]
        union = self._trigrams.of_name[names] + wanted - common
        fit: FloatArray = common / wanted + 0.5 * common / union + _KNOWN * self._weight[self._movie_of[names]]
        if len(names) > CANDIDATES:
            names = names[np.argpartition(-fit, CANDIDATES)[:CANDIDATES]]
        return names

    def _fewest_shared(self, shared: IntArray, wanted: int) -> float:
        """Names that share fewer trigrams, of those that are wanted, do not fit as well as `CANDIDATES` others.

        A name that shares c of w fits by c / w at least, and by 1.5 c / w and what its ratings add at most.
        """
        sharing = np.cumsum(np.bincount(shared)[:0:-1])
        enough = int(np.searchsorted(sharing, CANDIDATES))
        if enough == len(sharing):
            return 1
        least = len(sharing) - enough
        return max(1.0, (least - _KNOWN * self._most_weight * wanted) / 1.5)

    def _of_its_length(self, form: str, among: BoolArray | None) -> IntArray:
        """Names of about as many letters as a short form; none for a long one."""
        if len(form) > _SHORT:
            return np.empty(0, np.int64)
        alike = np.abs(self._texts.lengths - len(form)) <= 1
        return np.flatnonzero(alike if among is None else alike & among[self._movie_of])


def _spaced(form: str) -> str:
    """A form with two spaces before each word and one after it, which belong to its trigrams."""
    return "".join(f"  {word} " for word in form.split())


def _codes(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """A number for each trigram of a text, and whether it lies in one word."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    if len(letters) < 3:
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    first, second, third = letters[:-2], letters[1:-1], letters[2:]
    space = ord(" ")
    return (first << 42) | (second << 21) | third, ~((second == space) & (third == space))
