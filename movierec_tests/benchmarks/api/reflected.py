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


@dataclass(frozen=True)
class Reflected:
    """Posted ratings and the recommendations after them.

    Attributes
    ----------
    posted : int
    reflected : int
        How often the next list no longer had the rated movie, which was the first of the list before.
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
            first = _listed(client, user)[0]
            body = {"user_id": user, "movie_id": first, "stars": 5.0 if number % 2 == 0 else 1.0}
            posted = client.post("/ratings", json=body)
            posted.raise_for_status()
            seconds.append(posted.elapsed.total_seconds())
            if first in _listed(client, user):
                failures.append(f"user {user}: movie {first} is still listed after {body['stars']} stars")
    log(f"{len(users) - len(failures)} of {len(users)} posted ratings were reflected in the next recommendation")
    return Reflected(len(users), len(users) - len(failures), statistics.median(seconds) * 1000, failures[:10])


def _listed(client: httpx.Client, user: int) -> list[int]:
    answer = client.post("/recommend", json={"user_id": user, "n": 10})
    answer.raise_for_status()
    return [movie["movie_id"] for movie in answer.json()["movies"]]
