"""From typed titles to movies of the catalogue.

Belongs here: comparing titles. Does not: reading the catalogue (the caller does).
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from movierec_assets.errors import ExplainedError

_YEAR = re.compile(r"\s*\((\d{4})(?:[\u2013-]\d{0,4})?\)\s*$")
_TRAILING_ARTICLE = re.compile(r"^(.*), (the|a|an|le|la|les|l'|il|der|die|das|el|los|las)$")
_OTHER_TITLE = re.compile(r"\s*\((?:a\.k\.a\.\s*)?([^)]*)\)")


class TitleError(ExplainedError, LookupError):
    """No movie has this title; the message offers similar ones."""


@dataclass(frozen=True)
class Movie:
    """A movie of the catalogue, and the number of its ratings."""

    movie_id: int
    title: str
    ratings: int


def find_movie(wanted: str, catalogue: Sequence[Movie]) -> Movie:
    """The movie with a title as people type it.

    Case, accents, punctuation, and an article at the beginning or the end make no difference. The year counts only
    where it is given. A movie with this title comes first, then one with this other title, as in "Seven (a.k.a.
    Se7en)", then one whose title contains the words. Of several movies the most rated one is returned.

    Raises
    ------
    TitleError
        When there is none.
    """
    wanted_year = _YEAR.search(wanted)
    name = normal_form(wanted)
    if not name:
        raise TitleError("An empty title names no movie.")
    of_year = [movie for movie in catalogue if not wanted_year or f"({wanted_year[1]}" in movie.title]
    named = [(normal_form(movie.title), movie) for movie in of_year]
    found = (
        [movie for form, movie in named if form == name]
        or [movie for movie in of_year if name in _other_forms(movie.title)]
        or [movie for form, movie in named if f" {name} " in f" {form} "]
    )
    if found:
        return max(found, key=lambda movie: movie.ratings)
    titles = {normal_form(movie.title): movie.title for movie in sorted(catalogue, key=lambda movie: movie.ratings)}
    close = difflib.get_close_matches(name, titles, n=3, cutoff=0.6)
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
    return _plain(_OTHER_TITLE.sub("", text).strip() or text)


def _other_forms(title: str) -> list[str]:
    """Normal forms of the titles in parentheses, and of the whole title where it has parentheses."""
    text = _YEAR.sub("", title).casefold()
    return [_plain(part) for part in (*_OTHER_TITLE.findall(text), text) if "(" in text]


def _plain(text: str) -> str:
    text = text.strip().replace("\u2019", "'")
    found = _TRAILING_ARTICLE.match(text)
    if found:
        text = found[2] + ("" if found[2].endswith("'") else " ") + found[1]
    decomposed = unicodedata.normalize("NFKD", text.replace("&", " and "))
    letters = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(re.findall(r"\w+", letters.replace("'", "")))
