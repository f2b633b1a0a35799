"""What is answered: lists with their source and reasons, genres of a user, neighbours of a movie.

Belongs here: answers without HTTP. Does not: making them (`ranker`) and writing them as JSON (`answer_json`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from movierec_assets.serving.moments import Moment

Source = Literal["model", "stored", "popular"]
ReasonKind = Literal["because of", "after", "other likes", "popularity", "boost", "diversity"]


@dataclass(frozen=True, slots=True)
class Reason:
    """A part of the score of a recommended movie. The parts of a movie sum to its score.

    Attributes
    ----------
    kind : str
        "because of" a like, through the user's taste (ALS); "after" a like, through the next-movie signal; "other
        likes" together; "popularity"; a "boost"; "diversity", which takes from movies that are like those before them.
    contribution : float
    movie_id : int or None
        Of the like.
    boost : str or None
        Kind of the boost.
    """

    kind: ReasonKind
    contribution: float
    movie_id: int | None = None
    boost: str | None = None


@dataclass(slots=True)
class Answer:
    """A list of movies, best first.

    Attributes
    ----------
    source : {"model", "stored", "popular"}
    model_version : int or None
        Of the model that the scores are of; None for ratings counted in the catalogue.
    movie_ids : list of int
    scores : list of float
        Falling. By the model: standardized over all movies where the model has a next-movie signal, else the product of
        vectors; comparable within one list only. By popularity: users who liked the movie, or who rated it where there
        is no model. Boosts and diversity are included.
    reasons : list of tuple of Reason, or None
        Of each movie; None where none were asked for.
    moment : Moment or None
        None where no model is asked.
    why_source : str or None
        Why the list is not of the model, for people.
    why_fewer : str or None
        Why the list is shorter than asked for, for people.
    notes : tuple of str
        What else is unusual, for people.
    fold_in_seconds : float or None
        Time of the user's fold-in; None where there was none.
    """

    source: Source
    model_version: int | None
    movie_ids: list[int]
    scores: list[float]
    reasons: list[tuple[Reason, ...]] | None = None
    moment: Moment | None = None
    why_source: str | None = None
    why_fewer: str | None = None
    notes: tuple[str, ...] = ()
    fold_in_seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored list of a user, from the table `user_recommendations`.

    Attributes
    ----------
    model_version : int
    movie_ids : list of int
        Best first.
    scores : list of float
    """

    model_version: int
    movie_ids: list[int]
    scores: list[float]


@dataclass(frozen=True, slots=True)
class GenreTaste:
    """How much the model expects a user to like a genre.

    Attributes
    ----------
    genre : str
    score : float
        `share - usual`.
    share : float
        Share of the genre among the user's 100 best movies, rated ones included, on return.
    usual : float
        Share of the genre among the 100 most liked movies.
    """

    genre: str
    score: float
    share: float
    usual: float


@dataclass(frozen=True, slots=True)
class Tastes:
    """Which genres the model expects a user to like.

    Attributes
    ----------
    model_version : int or None
        None without a model of the loaded data.
    genres : list of GenreTaste
        The most preferred first; empty where the model knows no like.
    why_none : str or None
        Why there are none, for people.
    """

    model_version: int | None
    genres: list[GenreTaste]
    why_none: str | None = None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Movies like a movie.

    Attributes
    ----------
    model_version : int or None
    movie_ids : list of int
        Nearest first; for a user, best first.
    similarities : list of float
        Cosines of movie factors, in [-1, 1].
    scores : list of float or None
        Of the user; None without one.
    why_fewer : str or None
        Why there are fewer than asked for, for people.
    """

    model_version: int | None
    movie_ids: list[int]
    similarities: list[float]
    scores: list[float] | None = None
    why_fewer: str | None = None
