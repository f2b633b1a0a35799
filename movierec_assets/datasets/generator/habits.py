"""How users choose films, rate them and return.

Belongs here: the numbers in which one simulation differs from another of the same size. Does not: their use
(`tastes`, `sittings`, `watching`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Habits:
    """Habits of all users; the defaults are `LIKE_ML_20M`.

    Attributes
    ----------
    topics : int
        Topics that there are. The first is no topic at all: films by popularity alone.
    topic_concentration : float
        Of the Dirichlet distribution of a user's shares of topics: the lower, the fewer topics matter.
    drift : float
        Part of these shares that is drawn anew for the end of the user's history.
    genre_weight, era_weight, hidden_weight : float
        Parts in topics of genres, of years, and of properties that the catalogue does not show.
    casual_share : float
        Mean share of films that a user watches for their popularity alone.
    pleasure_of_fit : float
        Stars for each unit by which a film fits the topic.
    page : int
        Ratings that are given one after the other in the same mood.
    one_sitting : float
        Share of users who never return.
    ratings_per_sitting : float
        Of those who return, about.
    """

    topics: int = 80
    topic_concentration: float = 0.9
    drift: float = 0.8
    genre_weight: float = 4.2
    era_weight: float = 2.7
    hidden_weight: float = 1.7
    casual_share: float = 0.15
    pleasure_of_fit: float = 0.28
    page: int = 20
    one_sitting: float = 0.55
    ratings_per_sitting: float = 25.0


LIKE_ML_20M = Habits()
