"""What a list is asked for with: whose, how many, which movies, and in which order.

Belongs here: requests without HTTP, their bounds, and the refusal of unusable ones. Does not: answers (`answers`), and
bodies and paths (`serving.api`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from movierec_assets.errors import ExplainedError

MAX_MOVIES = 100
"""Movies of one list, at most."""
MAX_REQUESTS = 100
"""Requests of one batch, at most."""
MAX_WEIGHT = 10.0
"""Weights of boosts are from -MAX_WEIGHT to MAX_WEIGHT."""

BoostKind = Literal["genre", "newer", "less_popular"]


class RequestError(ExplainedError, ValueError):
    """A request that cannot be answered; the message says why, and what to send instead.

    Parameters
    ----------
    field : str
        Of the request.
    detail : str
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


@dataclass(frozen=True, slots=True)
class Filters:
    """Which movies may be listed; a movie has to pass each filter that is given.

    Attributes
    ----------
    genres_any, genres_all, genres_none : tuple of str
        Movies of at least one, of all, of none of these genres; upper and lower case and spaces around them make
        no difference.
    year_from, year_to : int or None
        Both included. Movies without a year pass only where neither is given.
    """

    genres_any: tuple[str, ...] = ()
    genres_all: tuple[str, ...] = ()
    genres_none: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Boost:
    """Lifts movies with a property: adds `weight` times the property times one unit to their scores.

    One unit is the standard deviation of the scores of the request over all movies; in lists by popularity, that of the
    counts. The property is

    * `genre`: 1 for movies of at least one of `genres`, else 0;
    * `newer`: the year less the mean year, over the standard deviation of the years of the movies; 0 without a year;
    * `less_popular`: the mean less the logarithm of 1 + the number of likes (ratings, without a model), over the
      standard deviation of that logarithm.

    The last two are cut off at -3 and 3.

    Attributes
    ----------
    kind : {"genre", "newer", "less_popular"}
    weight : float
        From -10 to 10; a negative one pushes movies down.
    genres : tuple of str
        For `genre` only.
    """

    kind: BoostKind
    weight: float
    genres: tuple[str, ...] = ()


@dataclass(slots=True)
class Request:
    """A list that somebody asks for.

    Attributes
    ----------
    user_id : int or None
    liked_movie_ids : tuple of int
        Movies that count as liked at the time of the request, all equally recent; beside the ratings of the user, where
        one is named.
    n : int
        From 1 to `MAX_MOVIES`.
    filters : Filters
    exclude_ids : tuple of int
        Movies that are not listed; unknown ids exclude nothing.
    include_seen : bool
        Whether movies that the user has rated, or that are liked in this request, may be listed.
    boosts : tuple of Boost
    diversity : float
        From 0, the best movies, to 1, movies that are as unlike each other as can be; see `diversity`.
    explain : bool
        Whether the answer has reasons.
    at : int, "latest" or None
        Time of the request in Unix seconds, or right after the user's latest like; None for now.
    elapsed : int or None
        Seconds between the user's latest like and the request, instead of `at`.
    """

    user_id: int | None = None
    liked_movie_ids: tuple[int, ...] = ()
    n: int = 10
    filters: Filters = NO_FILTERS
    exclude_ids: tuple[int, ...] = ()
    include_seen: bool = False
    boosts: tuple[Boost, ...] = ()
    diversity: float = 0.0
    explain: bool = False
    at: int | Literal["latest"] | None = None
    elapsed: int | None = None
