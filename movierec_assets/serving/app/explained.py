"""Lists whose scores are taken apart into reasons, and one film that somebody asks about.

Belongs here: asking for them. Does not: how parts of a score look (`app_pages.model`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from movierec_assets.serving.app import person, session

LISTED = 100
"""Films of a list whose scores may be taken apart."""
_TURNS = 5
"""Lists that are looked through for a film, at most, beside that of all films."""


def list_of(user: int, at: str, n: int, *, explain: bool = False, filters: Mapping[str, Any] | None = None) -> Any:
    """A list that is only looked at: it counts in no figure. It is kept until something changes."""
    wish = {"user_id": user, "n": n, "explain": explain, "at": at, "shown": False}
    return person.listed(wish | ({"filters": dict(filters)} if filters else {}))


def further_down(user: int, at: str, film: int) -> dict[str, Any] | None:
    """A film that is not among the best of all films, with its score and reasons.

    It is looked for among the films of its year that have its genres: filters leave scores as they are.

    Returns
    -------
    dict or None
        As in a list; None where no list has the film, as when the user has rated it.

    Raises
    ------
    ApiAway, ApiProblem
        The latter also when there is no such film.
    """
    about = session.cached(f"/movies/{film}")
    filters: dict[str, Any] = {"genres_all": about["genres"]} if about["genres"] else {}
    if about["year"] is not None:
        filters |= {"year_from": about["year"], "year_to": about["year"]}
    passed: list[int] = []
    for _ in range(_TURNS):
        given = {**filters, "exclude_ids": passed} if passed else filters
        movies: list[dict[str, Any]] = list_of(user, at, LISTED, explain=True, filters=given)["movies"]
        for movie in movies:
            if movie["movie_id"] == film:
                return movie
        if len(movies) < LISTED:
            break
        passed = [*passed, *(movie["movie_id"] for movie in movies)]
    return None
