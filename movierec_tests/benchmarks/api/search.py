"""Searches for titles with typing errors: whether the movie is found, and how long it takes.

Belongs here: ranks and times. Does not: making the errors (`questions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from movierec_assets.progress import Log
from movierec_tests.benchmarks.api import questions
from movierec_tests.benchmarks.api.driver import send
from movierec_tests.benchmarks.api.load import HOST
from movierec_tests.benchmarks.api.plan import Found, Plan

FIRST = 2
"""A movie counts as found up to this place."""
_SHOWN = 10


@dataclass(frozen=True)
class Search:
    """Titles with typing errors.

    Attributes
    ----------
    titles, movies : int
        Titles searched for, and movies in the catalogue.
    found : int
        Titles whose movie, or one of the same title, was first or second.
    missed : list of str
        The first of the others, as they were typed.
    one_by_one : Found
        The same searches, one after the other.
    """

    titles: int
    movies: int
    found: int
    missed: list[str] = field(default_factory=list)
    one_by_one: Found | None = None


def measure(
    port: int, typed: Sequence[tuple[int, str]], movies: int, workers: Sequence[int], *, seconds: float, log: Log
) -> Search:
    """Search for each title once, and then for a while one after the other."""
    missed = []
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=30.0) as client:
        for movie_id, text in typed:
            answer = client.get("/movies", params={"query": text})
            answer.raise_for_status()
            listed = answer.json()["movies"][:FIRST]
            meant = questions.as_typed(_title_of(client, movie_id))
            if movie_id not in [movie["movie_id"] for movie in listed] and meant not in [
                questions.as_typed(movie["title"]) for movie in listed
            ]:
                missed.append(f"{text!r} for {meant!r}")
    asked = questions.search([text for _, text in typed])
    timed = send(Plan(port, asked, 1, seconds, processes=[*workers]))
    log(
        f"{len(typed) - len(missed)} of {len(typed)} misspelled titles are first or second; "
        f"p50 {timed.latencies['p50']:.1f} ms"
    )
    return Search(len(typed), movies, len(typed) - len(missed), missed[:_SHOWN], timed)


def _title_of(client: httpx.Client, movie_id: int) -> str:
    answer = client.get(f"/movies/{movie_id}")
    answer.raise_for_status()
    return str(answer.json()["title"])
