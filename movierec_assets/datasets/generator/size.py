"""How much is to be generated, and whether that is possible.

Belongs here: the three numbers, where they come from, and what is wrong with them. Does not: how ratings are
spread over users and films, which is in `marginals`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.releases import RELEASES

FEWEST_RATINGS = 20
"""Nobody with fewer ratings is in a MovieLens release."""

DEFAULT_SEED = 1

_LISTED, _RATED = 27_278, 26_744  # ml-20m
_MOST_RATINGS = 1_000_000_000
_MOST_MOVIES = 1_000_000


@dataclass(frozen=True)
class Size:
    """Rows to generate.

    Attributes
    ----------
    users : int
        Every one of them rates at least `FEWEST_RATINGS` films.
    movies : int
        Rows of movies.csv.
    ratings : int
        Rows of ratings.csv.
    max_per_user : int, optional
        Ratings of the most active user, where the mean allows it. By default the tail of ml-20m decides.

    Raises
    ------
    DatasetError
        If no such dataset exists; the message names the number and the nearest possible one.
    """

    users: int
    movies: int
    ratings: int
    max_per_user: int | None = None

    def __post_init__(self) -> None:
        least = self.users * FEWEST_RATINGS
        if self.users < 1:
            raise DatasetError(f"--users {self.users}: there must be a user. Give at least 1.")
        if self.movies < FEWEST_RATINGS:
            raise DatasetError(
                f"--movies {self.movies}: every user rates at least {FEWEST_RATINGS} different ones. "
                f"Give at least {FEWEST_RATINGS}."
            )
        if self.movies > _MOST_MOVIES:
            raise DatasetError(f"--movies {self.movies}: too many. Give at most {_MOST_MOVIES}.")
        if self.ratings < least:
            raise DatasetError(
                f"--ratings {self.ratings}: every user rates at least {FEWEST_RATINGS} movies, so {self.users} users "
                f"have at least {least} ratings. Give --ratings {least} or more, or --users "
                f"{self.ratings // FEWEST_RATINGS} or fewer."
            )
        if self.ratings > self.users * self.movies:
            most = self.users * self.movies
            raise DatasetError(
                f"--ratings {self.ratings}: nobody rates a movie twice, so {self.users} users of {self.movies} movies "
                f"have at most {most} ratings. Give --ratings {most} or fewer, or --movies "
                f"{math.ceil(self.ratings / self.users)} or more."
            )
        if self.ratings > _MOST_RATINGS:
            raise DatasetError(f"--ratings {self.ratings}: too many for this machine. Give at most {_MOST_RATINGS}.")

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
        """Films with at least one rating: of as many as ml-20m, the same number."""
        usual = round(self.movies * _RATED / _LISTED)
        return min(max(usual, math.ceil(self.ratings / self.users)), self.movies, self.ratings)

    def __str__(self) -> str:
        """As the files state it."""
        return f"{self.ratings} ratings of {self.users} users and {self.movies} movies"
