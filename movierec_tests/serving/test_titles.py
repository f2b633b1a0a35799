"""Titles as people type them, and the movies that they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from movierec_assets.datasets.movies import parse_year
from movierec_assets.serving.online.title_index import TitleIndex
from movierec_assets.serving.titles import TitleError, normal_form


class Movie(NamedTuple):
    """A movie of a catalogue, and the number of its ratings."""

    movie_id: int
    title: str
    ratings: int


def index_of(catalogue: Sequence[Movie]) -> TitleIndex:
    titles = [movie.title for movie in catalogue]
    years = np.array([parse_year(title) or 0 for title in titles], np.int16)
    return TitleIndex(titles, years, np.array([movie.ratings for movie in catalogue], np.int64))


def find_movie(typed: str, catalogue: Sequence[Movie]) -> Movie:
    return catalogue[index_of(catalogue).find(typed)]


CATALOGUE = [
    Movie(1, "Toy Story (1995)", 215),
    Movie(3114, "Toy Story 2 (1999)", 97),
    Movie(2571, "Matrix, The (1999)", 278),
    Movie(6365, "Matrix Reloaded, The (2003)", 96),
    Movie(6, "Heat (1995)", 102),
    Movie(900, "Heat (1986)", 3),
    Movie(47, "Seven (a.k.a. Se7en) (1995)", 203),
    Movie(29, "City of Lost Children, The (Cité des enfants perdus, La) (1995)", 38),
    Movie(4973, "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)", 120),
    Movie(1285, "Heathers (1989)", 28),
    Movie(2144, "Sixteen Candles (1984)", 25),
    Movie(1203, "12 Angry Men (1957)", 57),
    Movie(1197, "Princess Bride, The (1987)", 142),
    Movie(71, "Fast & Furious (Fast and the Furious 4, The) (2009)", 9),
    Movie(527, "Schindler's List (1993)", 220),
    Movie(7820, "Avventura, L' (a.k.a. Adventure, The) (1960)", 4),
    Movie(69757, "(500) Days of Summer (2009)", 42),
    Movie(171495, "Cosmos", 2),
    Movie(1411, "Hamlet (1996)", 20),
    Movie(1941, "Hamlet (1948)", 5),
    Movie(3723, "Hamlet (1990)", 11),
    Movie(5690, "Grave of the Fireflies (Hotaru no haka) (1988)", 16),
    Movie(1246, "Dead Poets Society (1989)", 99),
    Movie(924, "2001: A Space Odyssey (1968)", 109),
    Movie(40412, "Dead Man's Shoes (2004)", 8),
    Movie(108190, "Big Short, The (2015\u2013 )", 6),
]


@pytest.mark.parametrize(
    ("typed", "movie_id"),
    [
        # case, spaces, punctuation
        ("Toy Story", 1),
        ("  TOY   story ", 1),
        ("toy-story", 1),
        ("2001 a space odyssey", 924),
        ("12 ANGRY MEN", 1203),
        # articles at the beginning, at the end, or left out
        ("The Matrix", 2571),
        ("matrix, the", 2571),
        ("Matrix, The (1999)", 2571),
        ("Matrix", 2571),
        ("princess bride", 1197),
        ("L'Avventura", 7820),
        ("l\u2019avventura", 7820),
        # typographic and left-out apostrophes
        ("Schindler\u2019s List", 527),
        ("schindlers list", 527),
        ("dead mans shoes", 40412),
        # accents, and titles in other languages
        ("La Cité des enfants perdus", 29),
        ("la cite des enfants perdus", 29),
        ("the city of lost children", 29),
        ("Amélie", 4973),
        ("Le Fabuleux Destin d'Amelie Poulain", 4973),
        ("hotaru no haka", 5690),
        ("Adventure, The", 7820),
        # other names of a movie
        ("Se7en", 47),
        ("seven", 47),
        ("Fast and Furious", 71),
        ("fast & furious", 71),
        # parentheses that are part of the title
        ("(500) Days of Summer", 69757),
        ("500 days of summer", 69757),
        ("Days of Summer", 69757),
        # years
        ("Heat", 6),
        ("Heat (1995)", 6),
        ("heat (1986)", 900),
        ("Hamlet", 1411),
        ("Hamlet (1948)", 1941),
        ("The Big Short (2015)", 108190),
        ("Cosmos", 171495),
        # some of the words
        ("Fireflies", 5690),
        ("space odyssey", 924),
        ("story", 1),
    ],
)
def test_a_title_as_people_type_it_names_the_movie(typed: str, movie_id: int) -> None:
    assert find_movie(typed, CATALOGUE).movie_id == movie_id


def test_the_same_title_is_preferred_to_a_more_rated_movie_that_contains_it() -> None:
    catalogue = [Movie(1, "Alien Nation, The Alien (1988)", 500), Movie(2, "Alien (1979)", 1)]
    assert find_movie("alien", catalogue).movie_id == 2


def test_only_whole_words_are_found() -> None:
    assert find_movie("heat", [Movie(1, "Heathers (1989)", 900), Movie(2, "Heat (1995)", 1)]).movie_id == 2
    with pytest.raises(TitleError):
        find_movie("heat", [Movie(1, "Heathers (1989)", 900)])


def test_the_main_title_is_preferred_to_another_movies_second_title() -> None:
    catalogue = [Movie(1, "Cube (1997)", 1), Movie(2, "Something (a.k.a. Cube) (2000)", 900)]
    assert find_movie("cube", catalogue).movie_id == 1


def test_a_misspelt_title_gets_suggestions_spelled_as_in_the_catalogue() -> None:
    with pytest.raises(TitleError) as raised:
        find_movie("Teh Matrx", CATALOGUE)
    assert str(raised.value).startswith("No movie of the catalogue is called 'Teh Matrx'.")
    assert "'Matrix, The (1999)'" in str(raised.value)


def test_a_title_that_several_movies_have_is_suggested_once() -> None:
    with pytest.raises(TitleError) as raised:
        find_movie("Hamlt", CATALOGUE)
    assert str(raised.value).count("Hamlet") == 1
    assert "'Hamlet (1996)'" in str(raised.value), "the most rated one"


def test_a_year_that_fits_no_movie_of_the_title_gets_the_title_suggested() -> None:
    with pytest.raises(TitleError, match=r"Did you mean 'Heat \(1995\)'"):
        find_movie("Heat (2050)", CATALOGUE)


def test_nonsense_gets_no_suggestion() -> None:
    with pytest.raises(TitleError) as raised:
        find_movie("zzzzqqqqxxxx", CATALOGUE)
    assert str(raised.value) == "No movie of the catalogue is called 'zzzzqqqqxxxx'."


@pytest.mark.parametrize("typed", ["", "   ", "!?", "(1995)"])
def test_an_empty_title_names_no_movie(typed: str) -> None:
    with pytest.raises(TitleError, match="empty title"):
        find_movie(typed, CATALOGUE)


def test_an_empty_catalogue_has_no_movie() -> None:
    with pytest.raises(TitleError):
        find_movie("Heat", [])


@pytest.mark.parametrize(
    ("title", "form"),
    [
        ("Matrix, The (1999)", "the matrix"),
        ("Avventura, L' (1960)", "lavventura"),
        ("Giants' Hour, The (1960)", "the giants hour"),
        ("AMÉLIE", "amelie"),
        ("Straße", "strasse"),
        ("Fast & Furious", "fast and furious"),
        ("Wallace & Gromit: A Close Shave (1995)", "wallace and gromit a close shave"),
        ("千と千尋の神隠し", "千と千尋の神隠し"),
        ("Cosmos", "cosmos"),
        ("1984 (1984)", "1984"),
        ("Show (2006\u20132007)", "show"),
        ("Show (2006- )", "show"),
    ],
)
def test_the_normal_form_of_a_title(title: str, form: str) -> None:
    assert normal_form(title) == form


@pytest.mark.parametrize("movie", CATALOGUE, ids=lambda movie: movie.title)
def test_every_title_of_the_catalogue_names_its_own_movie(movie: Movie) -> None:
    assert find_movie(movie.title, CATALOGUE) == movie
