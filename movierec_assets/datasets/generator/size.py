"""The size of a generated dataset.

Belongs here: the numbers of users, movies and ratings, and errors for sizes that cannot be. Does not: how ratings are
spread over users and films (`marginals`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.releases import RELEASES

MIN_RATINGS = 20
"""Every user of a MovieLens release has as many or more."""

DEFAULT_SEED = 1

_LISTED, _RATED = 27_278, 26_744  # ml-20m
_MAX_RATINGS = 1_000_000_000
_MAX_MOVIES = 1_000_000


@dataclass(frozen=True)
class Size:
    """Rows to generate.

    Attributes
    ----------
    users : int
        Each of them rates at least `MIN_RATINGS` films.
    movies : int
        Rows of movies.csv.
    ratings : int
        Rows of ratings.csv.
    max_per_user : int, optional
        Ratings of the most active user, where the mean allows it. By default the tail of ml-20m decides.

    Raises
    ------
    DatasetError
        If no dataset has this size; the message names the number and the nearest possible one.
    """

    users: int
    movies: int
    ratings: int
    max_per_user: int | None = None

    def __post_init__(self) -> None:
        smallest = self.users * MIN_RATINGS
        if self.users < 1:
            raise DatasetError(f"--users {self.users}: there must be a user. Give at least 1.")
        if self.movies < MIN_RATINGS:
            raise DatasetError(
                f"--movies {self.movies}: every user rates at least {MIN_RATINGS} different ones. "
                f"Give at least {MIN_RATINGS}."
            )
        if self.movies > _MAX_MOVIES:
            raise DatasetError(f"--movies {self.movies}: too many. Give at most {_MAX_MOVIES}.")
        if self.ratings < smallest:
            raise DatasetError(
                f"--ratings {self.ratings}: every user rates at least {MIN_RATINGS} movies, so {self.users} users "
                f"have at least {smallest} ratings. Give --ratings {smallest} or more, or --users "
                f"{self.ratings // MIN_RATINGS} or fewer."
            )
        if self.ratings > self.users * self.movies:
            largest = self.users * self.movies
            raise DatasetError(
                f"--ratings {self.ratings}: nobody rates a movie twice, so {self.users} users of {self.movies} movies "
                f"have at most {largest} ratings. Give --ratings {largest} or fewer, or --movies "
                f"{math.ceil(self.ratings / self.users)} or more."
            )
        if self.ratings > _MAX_RATINGS:
            raise DatasetError(f"--ratings {self.ratings}: too many for this machine. Give at most {_MAX_RATINGS}.")

    @classmethod
    def like(cls, name: str, share: float = 1.0) -> Size:
        """Rows of a release, or of a share of its users with their ratings of all its movies.

        Raises
        ------
        DatasetError
            If there is no such release, or the share is not in (0, 1] or too small.
        """
        release = RELEASES.get(name)
        if release is None:
            raise DatasetError(f"--like {name}: no such release. Choose one of {', '.join(RELEASES)}.")
        if not 0 < share <= 1:
            raise DatasetError(f"--share {share:g}: a share is more than 0 and at most 1.")
        return cls(round(release.users * share), release.movies, round(release.ratings * share))

    @property
    def rated(self) -> int:
        """Films with at least one rating; the share is as in ml-20m where users and ratings allow it."""
        usual = round(self.movies * _RATED / _LISTED)
        return min(max(usual, math.ceil(self.ratings / self.users)), self.movies, self.ratings)

    def __str__(self) -> str:
        """As the files state it."""
        return f"{self.ratings} ratings of {self.users} users and {self.movies} movies"
