"""Requests of the benchmark: users drawn at random, and titles with typing errors.

Belongs here: drawing, which the seed decides. Does not: sending (`load`).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.benchmarks.api.plan import Asked

_SEED = 14
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")
_ARTICLE = re.compile(r"^(?P<rest>.*), (?P<article>The|A|An)$")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_MOST_RATED = 500
_LETTERS_FOR_TWO_ERRORS = 10
_MIN_LETTERS = 5


def known_users(database: Database) -> list[int]:
    """All users of the file, in random order."""
    users = [user for (user,) in database.rows(f"SELECT user_id FROM {SCHEMA}.user_totals ORDER BY user_id")]
    random.Random(_SEED).shuffle(users)
    return users


def recommend(users: Iterable[int], n: int = 10) -> list[Asked]:
    """Requests for recommendations."""
    return [("POST", "/recommend", json.dumps({"user_id": user, "n": n})) for user in users]


def liked(database: Database, count: int, n: int = 10) -> list[Asked]:
    """Requests of people without an id who like three movies that many have rated."""
    movies = [
        movie
        for (movie,) in database.rows(
            f"""SELECT movie_id FROM {SCHEMA}.rating_totals
                GROUP BY movie_id ORDER BY sum(ratings) DESC, movie_id LIMIT {_MOST_RATED}"""
        )
    ]
    chance = random.Random(_SEED)
    return [
        ("POST", "/recommend", json.dumps({"liked_movie_ids": chance.sample(movies, min(3, len(movies))), "n": n}))
        for _ in range(count)
    ]


def floor(users: Iterable[int], path: str = "/floor") -> list[Asked]:
    """The same bodies to the floor route."""
    return [("POST", path, body) for _, _, body in recommend(users)]


def search(texts: Iterable[str]) -> list[Asked]:
    """Searches for titles."""
    return [("GET", f"/movies?query={quote(text)}", None) for text in texts]


def rate(database: Database, users: Sequence[int], stars: float) -> None:
    """Give each user a new rating of a movie drawn at random, directly in the table."""
    movies = [movie for (movie,) in database.rows(f"SELECT movie_id FROM {SCHEMA}.movies ORDER BY movie_id")]
    chance = random.Random(_SEED)
    chosen = [chance.choice(movies) for _ in users]
    with database.transaction() as cursor:
        cursor.execute(
            f"""INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating)
                SELECT u, m, %s FROM unnest(%s::integer[], %s::integer[]) new (u, m)""",
            [stars, list(users), chosen],
        )


def misspelled(database: Database, count: int) -> list[tuple[int, str]]:
    """Titles as people type them, each with one typing error, or two where it is long, and the movie that is meant.

    Titles are drawn at random among those with at least five letters; the year is left out and the article stands in
    front.
    """
    rows = database.rows(f"SELECT movie_id, title FROM {SCHEMA}.movies ORDER BY movie_id")
    plain = [(movie, as_typed(title)) for movie, title in rows]
    usable = [(movie, text) for movie, text in plain if sum(letter.isalpha() for letter in text) >= _MIN_LETTERS]
    chance = random.Random(_SEED)
    chosen = chance.sample(usable, min(count, len(usable)))
    return [(movie, with_errors(text, chance)) for movie, text in chosen]


def as_typed(title: str) -> str:
    """A title in lower case without its year, the article in front.

    >>> as_typed("Matrix, The (1999)")
    'the matrix'
    """
    text = _YEAR.sub("", title)
    if moved := _ARTICLE.match(text):
        text = f"{moved['article']} {moved['rest']}"
    return text.casefold()


def with_errors(text: str, chance: random.Random) -> str:
    """A text with one typing error, or with one or two where it has ten letters or more."""
    long = sum(letter.isalpha() for letter in text) >= _LETTERS_FOR_TWO_ERRORS
    for _ in range(chance.choice((1, 2)) if long else 1):
        text = _with_error(text, chance)
    return text


def _with_error(text: str, chance: random.Random) -> str:
    """One letter left out, doubled, exchanged with its neighbour, or struck beside its key."""
    places = [place for place, letter in enumerate(text) if letter.isalpha()]
    place = chance.choice(places)
    letter = text[place]
    kind = chance.choice(("left out", "doubled", "exchanged", "beside"))
    if kind == "exchanged" and place + 1 < len(text) and text[place + 1].isalpha() and text[place + 1] != letter:
        return text[:place] + text[place + 1] + letter + text[place + 2 :]
    if kind == "doubled":
        return text[: place + 1] + letter + text[place + 1 :]
    row = next((row for row in _ROWS if letter in row), None)
    if kind == "beside" and row is not None:
        at = row.index(letter)
        return text[:place] + chance.choice(row[max(0, at - 1) : at] + row[at + 1 : at + 2]) + text[place + 1 :]
    return text[:place] + text[place + 1 :]
