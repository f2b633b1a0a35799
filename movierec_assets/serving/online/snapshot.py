"""What the keeper hands to the workers: the catalogue, the champion, and the state of all users at one time.

Belongs here: the contents. Does not: their form on the disk (`stored`), making them (`keeper`), and noticing a new one
(`current`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.recommender import Recommender


@dataclass(frozen=True)
class Catalogue:
    """Movies of the loaded dataset, whether the model knows them or not.

    Attributes
    ----------
    dataset_id : int or None
    dataset : str or None
    movie_ids : int32 array, shape (n,), ascending
    titles : tuple of str
        As in the file, with the year.
    genres : tuple of tuple of str
        Of each movie, in the order of the file; empty where there are none.
    years : int16 array, shape (n,)
        0 where the title names none.
    ratings : int32 array, shape (n,)
        Number of ratings.
    """

    dataset_id: int | None
    dataset: str | None
    movie_ids: IntArray
    titles: tuple[str, ...]
    genres: tuple[tuple[str, ...], ...]
    years: IntArray
    ratings: IntArray


@dataclass(frozen=True)
class Champion:
    """The champion as it is served.

    Attributes
    ----------
    version : int
    run_id : str
        MLflow run of the version.
    promoted_at : float or None
        Unix seconds when it became the champion, where that is known.
    positive_threshold : float
        Stars from which a rating is a like.
    recommender : Recommender
        Its movies are all in the catalogue. Without users: `ids.user_ids` is empty, since users are folded in.
    likes : int64 array, shape (n_movies,)
        Users who liked each movie of the recommender, for popularity.
    """

    version: int
    run_id: str
    promoted_at: float | None
    positive_threshold: float
    recommender: Recommender
    likes: IntArray


@dataclass(frozen=True)
class ReturnLists:
    """The best movies of each user when the next-movie signal has faded, for requests without any wish.

    Attributes
    ----------
    movie_ids : int32 array, shape (n, length)
        Best first.
    scores : float64 array, same shape
        NaN from where a user has no more movies.
    """

    movie_ids: IntArray
    scores: FloatArray

    @property
    def length(self) -> int:
        """Movies of a list, at most."""
        return int(self.movie_ids.shape[1])


@dataclass(frozen=True)
class UserStates:
    """All users of the loaded file as of one moment, so that users with nothing new need no ratings and no fold-in.

    Users of the app (ids from 1,000,000,000) are never among them, so that nothing of an erased user is left.

    Attributes
    ----------
    version, run_id :
        Of the champion whose movies and factors these are of.
    ratings_version : str
        `loads.version` of the table `ratings` at that moment.
    watermark : int
        Highest `app_ratings.rating_id` at that moment; a user with a higher one has something new.
    user_ids : int32 array, shape (n,), ascending
    vectors : float32 array, shape (n, factors)
        Folded in from all likes.
    rated : csr_matrix, shape (n, n_movies)
        Everything rated, high or low, over the movies of the recommender; its data is not read.
    latest_at : int64 array, shape (n,)
        Unix seconds of the latest like, `interactions.NEVER` without one.
    recent : csr_matrix of float32, shape (n, n_movies), or None
        Recency weights of the latest likes; None for a recipe without next-movie signal.
    lists : ReturnLists or None
        None in states of earlier releases.
    """

    version: int
    run_id: str
    ratings_version: str
    watermark: int
    user_ids: IntArray
    vectors: FloatArray
    rated: csr_matrix
    latest_at: IntArray
    recent: csr_matrix | None
    lists: ReturnLists | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything that a worker answers from, besides live ratings.

    Attributes
    ----------
    catalogue : Catalogue
    champion : Champion or None
    why_none : str or None
        Why there is no champion to answer from, for people; None when there is one.
    users : UserStates or None
        None while they are not made for this champion; then every user's ratings are read and folded in.
    """

    catalogue: Catalogue
    champion: Champion | None
    why_none: str | None
    users: UserStates | None


NOTHING = Snapshot(
    Catalogue(None, None, np.empty(0, np.int32), (), (), np.empty(0, np.int16), np.empty(0, np.int32)),
    None,
    "Nothing is loaded yet: `movierec run` loads ratings and trains the first model.",
    None,
)
