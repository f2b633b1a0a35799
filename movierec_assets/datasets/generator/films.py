"""Films: titles, years, genres and ids, made up or given.

Belongs here: the content of movies.csv. Does not: who likes which film (`tastes`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.movies import NO_GENRES
from movierec_assets.datasets.package_tables import rows_of

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]

# Films of each genre in ml-20m, rounded, and the genres that its films often have beside it.
_GENRES: dict[str, tuple[int, str]] = {
    "Drama": (8_600, "Romance Romance Comedy Thriller Crime War Mystery"),
    "Comedy": (5_600, "Drama Romance Romance Crime Musical Children Fantasy"),
    "Documentary": (2_200, "Musical War Drama"),
    "Horror": (1_900, "Thriller Thriller Sci-Fi Mystery Comedy"),
    "Action": (2_100, "Adventure Thriller Crime Sci-Fi Drama"),
    "Thriller": (1_700, "Drama Crime Mystery Action Horror"),
    "Crime": (1_100, "Drama Thriller Film-Noir Mystery"),
    "Adventure": (800, "Children Fantasy Sci-Fi Comedy Drama"),
    "Animation": (750, "Children Children Comedy Adventure Fantasy Musical"),
    "Sci-Fi": (650, "Action Thriller Adventure Horror"),
    "Romance": (500, "Drama Comedy Musical"),
    "Western": (450, "Action Drama Adventure"),
    "War": (300, "Drama Drama Action"),
    "Musical": (300, "Comedy Romance Drama"),
    "Mystery": (250, "Thriller Crime Drama"),
    "Fantasy": (250, "Adventure Children Drama"),
    "Film-Noir": (150, "Crime Thriller Drama"),
    "Children": (100, "Adventure Comedy"),
    NO_GENRES: (246, ""),
}
_MORE_GENRES = np.cumsum([0.38, 0.34, 0.2, 0.06, 0.02])  # of none, one, two, three and four others
_NOIR_YEARS = range(1940, 1960)

# Films released in a year, about as in ml-20m; linear between.
_YEARS = [1902, 1920, 1932, 1945, 1960, 1975, 1985, 1990, 1995, 2000, 2005, 2010, 2013, 2014, 2015]
_RELEASED = [1, 15, 60, 80, 100, 140, 190, 210, 400, 480, 680, 950, 1_000, 750, 100]

_FIRST_CATALOGUE_YEAR = 1996  # ids of older films are in no order of release
_WIDEST_GAP = 14.0


@dataclass(frozen=True)
class Films:
    """Films in the order of their ids.

    Attributes
    ----------
    movie_id : int array, shape (n,)
        Strictly increasing, with gaps that widen as in MovieLens.
    title : list of str
        As in "Silent Harbor, The (1994)"; all distinct.
    year : int array, shape (n,)
    genres : list of tuple of str
        In alphabetical order; a few have none.
    """

    movie_id: IntArray
    title: list[str]
    year: IntArray
    genres: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.title)


@dataclass(frozen=True)
class GivenFilms:
    """Films that exist outside the simulation.

    Attributes
    ----------
    films : Films
    fame : float array, shape (n_films,)
        The higher, the more ratings; a spread of about one.
    """

    films: Films
    fame: FloatArray


def invent_films(count: int, rng: np.random.Generator) -> Films:
    """Make up films."""
    span = np.arange(_YEARS[0], _YEARS[-1] + 1)
    released = np.interp(span, _YEARS, _RELEASED)
    year = rng.choice(span, size=count, p=released / released.sum())
    catalogued = np.maximum(year, _FIRST_CATALOGUE_YEAR) + 3.0 * rng.random(count)
    year = year[np.argsort(catalogued, kind="stable")]
    gap = 1 + rng.poisson(_WIDEST_GAP * np.linspace(0, 1, count) ** 2)
    gap[0] = 1
    genres = [_draw_genres(int(each), rng) for each in year]
    return Films(np.cumsum(gap), _titles(year.tolist(), rng), year, genres)


def _draw_genres(year: int, rng: np.random.Generator) -> tuple[str, ...]:
    names, cumulative = _genre_odds()
    first = names[int(np.searchsorted(cumulative, rng.random()))]
    companions = _GENRES[first][1].split()
    if not companions:
        return ()
    more = int(np.searchsorted(_MORE_GENRES, rng.random()))
    chosen = {first, *(companions[index] for index in rng.integers(0, len(companions), size=more))}
    if "Film-Noir" in chosen and year not in _NOIR_YEARS:
        chosen = (chosen - {"Film-Noir"}) | {"Crime"}
    return tuple(sorted(chosen))


@cache
def _genre_odds() -> tuple[list[str], npt.NDArray[np.float64]]:
    shares = np.cumsum([count for count, _ in _GENRES.values()]).astype(np.float64)
    return list(_GENRES), shares / shares[-1]


@cache
def _words() -> dict[str, list[str]]:
    # Each word once: the list repeats some.
    return {row["kind"]: list(dict.fromkeys(row["words"].split())) for row in rows_of("title_words.csv")}


_PATTERNS = (
    "{adjective} {noun}, The",
    "{adjective} {noun}",
    "{noun} of {place}, The",
    "{noun} of {abstract}, The",
    "{name}'s {noun}",
    "{name} and the {noun}",
    "{gerund} {name}",
    "{gerund} the {adjective} {noun}",
    "{abstract} in {place}",
    "{place} {noun}",
    "{adjective} {abstract}",
    "{name} of {place}",
    "{abstract} and the {noun}",
)
_NUMERALS = ("II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


def _titles(years: list[int], rng: np.random.Generator) -> list[str]:
    """Distinct titles; a title that is drawn again becomes a sequel."""
    words = _words()
    dice = rng.integers(0, 1 << 30, size=(len(years), 1 + len(words))).tolist()
    drawn: Counter[str] = Counter()
    titles = []
    for year, (pattern, *throws) in zip(years, dice, strict=True):
        chosen = {kind: words[kind][throw % len(words[kind])] for kind, throw in zip(words, throws, strict=True)}
        base = _PATTERNS[pattern % len(_PATTERNS)].format(**chosen)
        part = drawn[base]
        drawn[base] += 1
        titles.append(f"{_sequel(base, part)} ({year})")
    return titles


def _sequel(base: str, part: int) -> str:
    if part == 0:
        return base
    number = _NUMERALS[part - 1] if part <= len(_NUMERALS) else str(part + 1)
    return f"{base.removesuffix(', The')} {number}{', The' if base.endswith(', The') else ''}"
