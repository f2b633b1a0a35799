"""Ratings that are posted, and the recommendation right after each of them.

Belongs here: asking one after the other, as one person does. Does not: load.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from movierec_assets.progress import Log
from movierec_tests.benchmarks.api.load import HOST

_TIMEOUT = 30.0
_LIKE = 5.0


@dataclass(frozen=True)
class Reflected:
    """Posted ratings and the recommendations after them.

    Attributes
    ----------
    posted : int
    reflected : int
        How often the next list no longer had the rated movie, which was the first of the list before, and had other
        scores after a like.
    post_ms : float
        Median time of posting.
    failures : list of str
        The first cases that were not reflected.
    """

    posted: int
    reflected: int
    post_ms: float
    failures: list[str] = field(default_factory=list)


def measure(port: int, users: Sequence[int], log: Log) -> Reflected:
    """Rate the first movie of each user's list, with 5 and 1 star in turn, and ask again at once."""
    seconds: list[float] = []
    failures: list[str] = []
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=_TIMEOUT) as client:
        for number, user in enumerate(users):
            before = _listed(client, user)
            first = next(iter(before))
            body = {"user_id": user, "movie_id": first, "stars": _LIKE if number % 2 == 0 else 1.0}
            posted = client.post("/ratings", json=body)
            posted.raise_for_status()
            seconds.append(posted.elapsed.total_seconds())
            after = _listed(client, user)
            if first in after:
                failures.append(f"user {user}: movie {first} is still listed after {body['stars']} stars")
            elif body["stars"] == _LIKE and not _differ(before, after):
                failures.append(f"user {user}: the like of movie {first} changed no score")
    log(f"{len(users) - len(failures)} of {len(users)} posted ratings were reflected in the next recommendation")
    return Reflected(len(users), len(users) - len(failures), statistics.median(seconds) * 1000, failures[:10])


def _listed(client: httpx.Client, user: int) -> dict[int, float]:
    """Scores of a list by movie, best first."""
    answer = client.post("/recommend", json={"user_id": user, "n": 10})
    answer.raise_for_status()
    return {movie["movie_id"]: movie["score"] for movie in answer.json()["movies"]}


def _differ(before: dict[int, float], after: dict[int, float]) -> bool:
    """Whether any movie of both lists has another score; lists without a common movie differ, too."""
    both = before.keys() & after.keys()
    return not both or any(before[movie] != after[movie] for movie in both)
