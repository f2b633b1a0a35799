"""Films as cards, with a picture that is drawn from genre and title.

Belongs here: one film. Does not: lists of films, and what may be done with them (`app_pages`).
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

_STARS = Path(__file__).with_name("stars.js")
_HUES = {
    "Action": 8,
    "Adventure": 28,
    "Animation": 48,
    "Children": 60,
    "Comedy": 42,
    "Crime": 345,
    "Documentary": 190,
    "Drama": 215,
    "Fantasy": 275,
    "Film-Noir": 230,
    "Horror": 355,
    "IMAX": 200,
    "Musical": 310,
    "Mystery": 255,
    "Romance": 330,
    "Sci-Fi": 175,
    "Thriller": 240,
    "War": 90,
    "Western": 22,
}
"""Hue of each genre of MovieLens, in degrees; others have one by their name."""


ARTICLES = ("The", "A", "An", "Le", "La", "Les", "L'", "Il", "Der", "Die", "Das", "El", "Los", "Las")
"""As `serving.titles` knows them, which the app does not import."""
_TRAILING_ARTICLE = re.compile(
    r"(?<![^(])(?P<also>a\.k\.a\. )?(?P<name>[^()]+), "  # from the start, or from a bracket on
    rf"(?P<article>{'|'.join(ARTICLES)})(?=$| \(|\))"
)


def film(
    movie: Mapping[str, Any],
    *,
    match: float | None = None,
    notes: Sequence[tuple[str, str]] = (),
    badge: str | None = None,
    level: int = 3,
) -> None:
    """A card: tile, title, year and genres, how well the film matches, and why it is listed.

    Parameters
    ----------
    movie : mapping
        `title`, `year` and `genres`, as the API answers them.
    match : float, optional
        From 0 to 1.
    notes : sequence of pairs of str
        Words of ours and a title, as in ("Because you liked", "Heat (1995)"); the title may be empty.
    badge : str, optional
        A few words of ours, as in "up 3".
    level : int
        Of the heading that the title is.
    """
    title = str(movie["title"])
    about = " · ".join([*([str(movie["year"])] if movie.get("year") else []), *map(str, movie.get("genres") or ())])
    lines = "".join(
        f"<p>{escape(words)} <bdi>{escape(shortened(named))}</bdi></p>" if named else f"<p>{escape(words)}</p>"
        for words, named in notes
    )
    shown = "" if match is None else _match(match)
    moved = f"<p><strong>{escape(badge)}</strong></p>" if badge else ""
    st.html(
        f'<article class="mr-film"><img src="{tile(title, movie.get("genres") or ())}" alt="">'
        f'<div><h{level} dir="auto" title="{escape(title)}">{escape(without_year(title))}</h{level}>'
        f"<p>{escape(about)}</p>{shown}{moved}{lines}</div></article>"
    )


def unseen(words: str, title: str) -> None:
    """Say to a screen reader which film the next widget, which has no label, is about."""
    st.html(f'<p class="mr-unseen">{escape(words)} <bdi>{escape(without_year(title))}</bdi></p>')


def unseen_heading(words: str) -> None:
    """Name the films that follow, and their stars, for a screen reader, which goes from heading to heading."""
    script = f'<script class="mr-stars">{_STARS.read_text(encoding="utf-8")}</script>'
    st.html(f'<h2 class="mr-unseen">{escape(words)}</h2>{script}', unsafe_allow_javascript=True)


def _match(share: float) -> str:
    percent = round(100 * min(1.0, max(0.0, share)))
    return f'<div class="mr-match"><i><b style="width:{percent}%"></b></i><span>{percent} % match</span></div>'


def without_year(title: str) -> str:
    """A title of MovieLens without the year at its end, and with articles in front.

    Examples
    --------
    >>> without_year("Matrix, The (1999)"), without_year("Boot, Das (Boat, The) (1981)")
    ('The Matrix', 'Das Boot (The Boat)')
    """
    bare, _, year = title.rpartition(" (")
    bare = bare if year[:4].isdigit() and year.endswith(")") and bare else title
    return _TRAILING_ARTICLE.sub(_article_in_front, bare)


def _article_in_front(found: re.Match[str]) -> str:
    gap = "" if found["article"].endswith("'") else " "
    return f"{found['also'] or ''}{found['article']}{gap}{found['name']}"


def with_year(movie: Mapping[str, Any]) -> str:
    """A title as `without_year`, and the year: "The Matrix (1999)"."""
    year = f" ({movie['year']})" if movie.get("year") else ""
    return f"{without_year(str(movie['title']))}{year}"


def shortened(text: str, length: int = 60) -> str:
    """A text of at most `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def tile(title: str, genres: Sequence[str]) -> str:
    """A picture of a film as a data address: colours by genre, shapes and initials by title.

    Returns
    -------
    str
        The same for the same film.
    """
    drawn = hashlib.sha256(title.encode("utf-8", "replace")).digest()
    hue = _hue(genres[0]) if genres else drawn[0] * 360 // 256
    other = _hue(genres[1]) if len(genres) > 1 else (hue + 40) % 360
    circles = "".join(
        f'<circle cx="{x * 88 // 255}" cy="{y * 132 // 255}" r="{12 + size // 7}" fill="hsl({other},60%,70%)" '
        'fill-opacity=".22"/>'
        for x, y, size in (drawn[1:4], drawn[4:7], drawn[7:10])
    )
    initials = "".join(word[0] for word in without_year(title).split() if word[0].isalnum())[:2].upper() or "?"
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 88 132"><defs><linearGradient id="g" x2="1" y2="1">'
        f'<stop stop-color="hsl({hue},50%,38%)"/><stop offset="1" stop-color="hsl({other},55%,24%)"/>'
        f'</linearGradient></defs><rect width="88" height="132" fill="url(#g)"/>{circles}'
        '<text x="44" y="78" font-family="sans-serif" font-size="34" font-weight="700" fill="#fff" '
        f'text-anchor="middle">{escape(initials)}</text></svg>'
    )
    return f"data:image/svg+xml;base64,{b64encode(svg.encode('utf-8', 'replace')).decode()}"


def _hue(genre: str) -> int:
    return _HUES.get(genre, hashlib.sha256(genre.encode("utf-8", "replace")).digest()[0] * 360 // 256)
