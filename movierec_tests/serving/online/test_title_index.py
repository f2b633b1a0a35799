"""A search of titles forgives how people type them: 27,000 made-up titles, and some as they are in films' names."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.datasets.demo import load_catalogue
from movierec_assets.datasets.generator.films import invent_films
from movierec_assets.datasets.movies import parse_year
from movierec_assets.serving.online.title_index import CANDIDATES, TitleIndex

FILMS = {
    "Star Wars: Episode IV - A New Hope (1977)": 251,
    "Star Wars: Episode V - The Empire Strikes Back (1980)": 211,
    "Star Maps (1997)": 3,
    "Star Trek: First Contact (1996)": 100,
    "Lone Star (1996)": 30,
    "Matrix, The (1999)": 278,
    "Matrix Reloaded, The (2003)": 96,
    "Lord of the Rings: The Fellowship of the Ring, The (2001)": 198,
    "Lord of the Rings: The Two Towers, The (2002)": 188,
    "Lord of War (2005)": 40,
    "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)": 120,
    "Seven (a.k.a. Se7en) (1995)": 203,
    "Magnificent Seven, The (1960)": 42,
    "Heat (1995)": 102,
    "Heat (1986)": 3,
    "Heathers (1989)": 28,
    "Body Heat (1981)": 16,
    "Blade Runner (1982)": 124,
    "Blade Runner 2049 (2017)": 18,
    "Spider-Man (2002)": 122,
    "1984 (Nineteen Eighty-Four) (1984)": 10,
    "Call, The (2013)": 4,
    "M (1931)": 17,
}


def index_of(titles: Sequence[str], ratings: Sequence[int]) -> TitleIndex:
    years = np.array([parse_year(title) or 0 for title in titles], np.int16)
    return TitleIndex(titles, years, np.array(ratings, np.int64))


REAL = index_of(list(FILMS), list(FILMS.values()))


def found(query: str) -> list[str]:
    return [list(FILMS)[place] for place in REAL.search(query).tolist()]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("star wras", "Star Wars: Episode IV - A New Hope (1977)"),
        ("star", "Star Wars: Episode IV - A New Hope (1977)"),
        ("teh matrx", "Matrix, The (1999)"),
        ("matrix the", "Matrix, The (1999)"),
        ("rings lord towers", "Lord of the Rings: The Two Towers, The (2002)"),
        ("lord rings", "Lord of the Rings: The Fellowship of the Ring, The (2001)"),
        ("AMELIE", "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        ("fabuleux destin", "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        ("se7en", "Seven (a.k.a. Se7en) (1995)"),
        ("heat", "Heat (1995)"),
        ("heat 1986", "Heat (1986)"),
        ("Heat (1986)", "Heat (1986)"),
        ("blade runer 2049", "Blade Runner 2049 (2017)"),
        ("blade runner 1982", "Blade Runner (1982)"),
        ("spiderman", "Spider-Man (2002)"),
        ("1984", "1984 (Nineteen Eighty-Four) (1984)"),
        ("Cpll, Thw", "Call, The (2013)"),
        ("m", "M (1931)"),
    ],
)
def test_a_title_is_found_however_it_is_typed(typed: str, first: str) -> None:
    assert found(typed)[0] == first


def test_among_equals_the_most_rated_is_first() -> None:
    assert found("heat")[:2] == ["Heat (1995)", "Heat (1986)"]
    twins = index_of(["Twins (1988)"] * 3, [5, 9, 9])
    assert twins.search("twins").tolist() == [1, 2, 0]


def test_a_movie_is_listed_once_and_only_when_it_is_like_the_query() -> None:
    assert len(found("seven")) == len(set(found("seven"))) == 2
    assert found("zzzzqqqqxxxx") == []
    assert found("?!") == []


def test_only_some_movies_are_searched_when_they_are_given() -> None:
    among = np.array([parse_year(title) == 1986 for title in FILMS])
    assert REAL.search("heat", among).tolist() == [list(FILMS).index("Heat (1986)")]
    assert REAL.search("heat", np.zeros(len(FILMS), bool)).tolist() == []


def test_an_empty_catalogue_has_nothing() -> None:
    assert index_of([], []).search("heat").tolist() == []


@given(st.text(max_size=120))
def test_any_text_can_be_searched_for(typed: str) -> None:
    places = REAL.search(typed).tolist()
    assert len(set(places)) == len(places) <= CANDIDATES


@given(st.sampled_from(sorted(FILMS)))
def test_every_title_finds_its_own_movie_first(title: str) -> None:
    assert found(title)[0] == title


@pytest.fixture(scope="module")
def large() -> tuple[list[str], TitleIndex]:
    """27,000 movies: those of the demo set, which are real, the others made up; most of them are rarely rated."""
    rng = np.random.default_rng(20)
    real = [f"{film.title} ({film.year})" for film in load_catalogue()]
    titles = real + invent_films(27_000 - len(real), rng).title
    return titles, index_of(titles, np.exp(rng.normal(3.0, 2.5, len(titles))).astype(int).tolist())


@pytest.mark.parametrize("kind", ["real", "made up"])
def test_nearly_all_titles_with_one_or_two_errors_are_first_or_second(
    large: tuple[list[str], TitleIndex], kind: str
) -> None:
    titles, index = large
    rng = np.random.default_rng(7)
    names = [re.sub(r" \(\d{4}\)$", "", title) for title in titles]
    real = len(load_catalogue())
    # Of a title of three letters, two errors leave nothing.
    long = [place for place, name in enumerate(names) if len(name) > 3 and (place < real) == (kind == "real")]
    missed = []
    for place in rng.choice(long, 200, replace=False).tolist():
        typed = names[place]
        for _ in range(int(rng.integers(1, 3))):
            typed = mistyped(typed, rng)
        if place not in index.search(typed)[:2].tolist():
            missed.append((typed, titles[place]))
    assert len(missed) <= 8, missed


def mistyped(text: str, rng: np.random.Generator) -> str:
    """A text in which a letter is left out, added or replaced, or two letters are swapped."""
    place, letter = int(rng.integers(len(text) - 1)), string.ascii_lowercase[int(rng.integers(26))]
    before, after = text[:place], text[place:]
    return (
        before + after[1:],
        before + letter + after,
        before + letter + after[1:],
        before + after[1] + after[0] + after[2:],
    )[int(rng.integers(4))]
