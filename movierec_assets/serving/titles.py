"""One form for titles that are written differently.

Belongs here: the form in which titles are compared, and the year in a typed title. Does not: finding movies
(`online.title_index`).
"""

from __future__ import annotations

import re
import unicodedata

from movierec_assets.errors import ExplainedError

ARTICLES = ("the", "a", "an", "le", "la", "les", "l'", "il", "der", "die", "das", "el", "los", "las")

_YEAR = re.compile(r"\s*\((\d{4})(?:[\u2013-]\d{0,4})?\)\s*$")
_BARE_YEAR = re.compile(r"(?<=\S)\s+((?:18|19|20)\d{2})\s*$")
_TRAILING_ARTICLE = re.compile(rf"^(.*), ({'|'.join(ARTICLES)})$")
_OTHER_TITLE = re.compile(r"\s*\((?:a\.k\.a\.\s*)?([^)]*)\)")


class TitleError(ExplainedError, LookupError):
    """No movie has this title; the message offers similar ones."""


def normal_form(title: str) -> str:
    """A title without year, case, accents, punctuation, and with its article in front.

    Examples
    --------
    >>> normal_form("Matrix, The (1999)"), normal_form("the matrix")
    ('the matrix', 'the matrix')
    """
    text = _YEAR.sub("", title).casefold().strip()
    return _plain(_OTHER_TITLE.sub("", text).strip() or text)


def other_forms(title: str) -> list[str]:
    """Normal forms of the titles in parentheses, and of the whole title where it has parentheses."""
    text = _YEAR.sub("", title).casefold()
    return [_plain(part) for part in (*_OTHER_TITLE.findall(text), text) if "(" in text]


def without_articles(form: str) -> str:
    """A normal form without articles, wherever they are; the form itself when nothing else is left.

    Examples
    --------
    >>> without_articles("the lord of the rings")
    'lord of rings'
    """
    return " ".join(word for word in form.split() if word not in ARTICLES) or form


def year_in(typed: str) -> int | None:
    """Year in parentheses at the end of a title."""
    found = _YEAR.search(typed)
    return int(found[1]) if found else None


def bare_year_in(typed: str) -> tuple[str, int] | None:
    """A typed title without the year that ends it, and the year; None without one.

    Examples
    --------
    >>> bare_year_in("heat 1995"), bare_year_in("1984")
    (('heat', 1995), None)
    """
    found = _BARE_YEAR.search(typed)
    return (typed[: found.start()], int(found[1])) if found else None


def _plain(text: str) -> str:
    text = text.strip().replace("\u2019", "'")
    found = _TRAILING_ARTICLE.match(text)
    if found:
        text = found[2] + ("" if found[2].endswith("'") else " ") + found[1]
    decomposed = unicodedata.normalize("NFKD", text.replace("&", " and "))
    letters = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(re.findall(r"\w+", letters.replace("'", "")))
