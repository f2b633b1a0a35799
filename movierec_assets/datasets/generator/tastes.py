"""Tastes: topics of films that go together, and each user's mixture of them.

Belongs here: the structure that a recommender can find. A topic is a genre or two, an era, and properties that the
catalogue does not show. A user follows a few topics, and their shares change over the history. Does not: drawing films
from topics (`watching`), popularity (`appeal`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.generator.films import Films
from movierec_assets.datasets.generator.habits import Habits

FloatArray = npt.NDArray[np.floating[Any]]

SLOTS = 5
"""Topics that a user follows."""

_HIDDEN = 8
_TOPIC_SPREAD = 0.7  # of the logarithm of a topic's following
_CASUAL_CONCENTRATION = 10  # of the beta distribution of the shares around their mean


@dataclass(frozen=True)
class Tastes:
    """Mixtures of topics, one row for each user.

    Attributes
    ----------
    topics : int
        Topics that there are.
    topic : int array, shape (n_users, SLOTS)
        The topics followed, none of them the first.
    before, after : float array, shape (n_users, SLOTS)
        Shares of these topics at the beginning and at the end of the user's history; rows add up to 1.
    casual : float array, shape (n_users,)
        Share of films that are watched for their popularity alone.
    """

    topics: int
    topic: npt.NDArray[np.int64]
    before: FloatArray
    after: FloatArray
    casual: FloatArray

    def mixture(self, users: npt.NDArray[np.int64]) -> FloatArray:
        """Shares of all topics over the whole history, shape (len(users), topics)."""
        shares = np.zeros((len(users), self.topics), dtype=np.float32)
        mean = (self.before[users] + self.after[users]) / 2 * (1 - self.casual[users, None])
        np.add.at(shares, (np.arange(len(users))[:, None], self.topic[users]), mean)
        shares[:, 0] = self.casual[users]
        return shares


def draw_topics(films: Films, habits: Habits, rng: np.random.Generator) -> FloatArray:
    """Logarithm of how well each film fits each topic.

    Returns
    -------
    float array, shape (topics, n_films)
        Zeros for the first topic.
    """
    genres = sorted({genre for genres in films.genres for genre in genres}) or [""]
    membership = np.array([[genre in each for genre in genres] for each in films.genres], dtype=np.float64)
    membership /= np.sqrt(np.maximum(1.0, membership.sum(axis=1, keepdims=True)))
    hidden = rng.standard_normal((len(films), _HIDDEN))
    fit = np.zeros((habits.topics, len(films)))
    for topic in range(1, habits.topics):
        # Genres and years are a film's, so that every topic has films.
        example = int(rng.integers(0, len(films)))
        width = 4.0 + 10.0 * rng.random()
        era = np.exp(-0.5 * ((films.year - films.year[example]) / width) ** 2)
        direction = rng.standard_normal(_HIDDEN) / np.sqrt(_HIDDEN)
        fit[topic] = (
            habits.genre_weight * (membership @ membership[example])
            + habits.era_weight * era
            + habits.hidden_weight * (hidden @ direction)
        )
    return fit


def draw_tastes(users: int, habits: Habits, rng: np.random.Generator) -> Tastes:
    """Draw the topics of each user, and their shares at the beginning and at the end."""
    following = np.exp(_TOPIC_SPREAD * rng.standard_normal(habits.topics - 1))
    cumulative = np.cumsum(following) / following.sum()
    topic = 1 + np.minimum(np.searchsorted(cumulative, rng.random((users, SLOTS))), habits.topics - 2)
    concentration = np.full(SLOTS, habits.topic_concentration)
    before = rng.dirichlet(concentration, size=users)
    after = (1 - habits.drift) * before + habits.drift * rng.dirichlet(concentration, size=users)
    mean = habits.casual_share
    casual = rng.beta(_CASUAL_CONCENTRATION * mean, _CASUAL_CONCENTRATION * (1 - mean), size=users)
    return Tastes(habits.topics, topic, before, after, casual)
