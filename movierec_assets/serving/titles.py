"""From what people type to movies of the catalogue.

Belongs here: comparing titles. The catalogue is read by the caller.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_YEAR = re.compile(r"\s*\((\d{4})(?:[\u2013-]\d{0,4})?\)\s*$")
_TRAILING_ARTICLE = re.compile(r"^(.*), (the|a|an|le|la|les|l'|il|der|die|das|el|los|las)$")
_OTHER_TITLE = re.compile(r"\s*\([^)]*\)")


class TitleError(LookupError):
    """No movie has such a title; the message offers some that are close."""


@dataclass(frozen=True)
class Movie:
    """A movie of the catalogue, with how often it was rated."""

    movie_id: int
    title: str
    ratings: int


def find_movie(wanted: str, catalogue: Sequence[Movie]) -> Movie:
    """The movie that is meant by a title as people type it.

    Case, accents, punctuation and the place of an article do not matter, nor does the year, unless it is given. Of
    several movies with one title the most rated is meant; where no title is the same, the most rated one that
    contains the words.

    Raises
    ------
    TitleError
        When there is none.
    """
    wanted_year = _YEAR.search(wanted)
    name = normal_form(wanted)
    if not name:
        raise TitleError("An empty title names no movie.")
    named = [(normal_form(movie.title), movie) for movie in catalogue]
    if wanted_year:
        named = [(form, movie) for form, movie in named if f"({wanted_year[1]}" in movie.title]
    same = [movie for form, movie in named if form == name]
    containing = same or [movie for form, movie in named if f" {name} " in f" {form} "]
    if containing:
        return max(containing, key=lambda movie: movie.ratings)
    close = difflib.get_close_matches(name, [form for form, _ in named], n=3, cutoff=0.6)
    titles = {form: movie.title for form, movie in named}
    hint = f" Did you mean {', '.join(repr(titles[form]) for form in close)}?" if close else ""
    raise TitleError(f"No movie of the catalogue is called {wanted!r}.{hint}")


def normal_form(title: str) -> str:
    """A title without year, case, accents, punctuation, and with its article in front.

    Examples
    --------
    >>> normal_form("Matrix, The (1999)"), normal_form("the matrix")
    ('the matrix', 'the matrix')
    """
    text = _YEAR.sub("", title).casefold().strip()
    text = _OTHER_TITLE.sub("", text).strip() or text
    found = _TRAILING_ARTICLE.match(text)
    if found:
        text = f"{found[2]} {found[1]}"
    decomposed = unicodedata.normalize("NFKD", text.replace("&", " and "))
    letters = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(re.findall(r"\w+", letters.replace("'", "")))
