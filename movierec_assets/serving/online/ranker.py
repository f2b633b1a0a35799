"""Answers from one snapshot: lists, genres of a user, neighbours of a movie.

Belongs here: what is made once per snapshot, and which source answers a request. Does not: the answers (`lists`,
`fallbacks`, `tastes`, `neighbours`), reading ratings (`live`), and HTTP (`serving.api`).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator

import numpy as np

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.serving.online import shortfall
from movierec_assets.serving.online.answers import Answer, Neighbours, Stored, Tastes
from movierec_assets.serving.online.fallbacks import of_stored, popular
from movierec_assets.serving.online.lists import by_model
from movierec_assets.serving.online.live import Freshness, LiveRatings
from movierec_assets.serving.online.model_index import ModelIndex
from movierec_assets.serving.online.movie_index import Catalogued, MovieIndex
from movierec_assets.serving.online.movie_map import AXES, projected
from movierec_assets.serving.online.neighbours import nearest
from movierec_assets.serving.online.person import Person, of_ratings, of_state
from movierec_assets.serving.online.requests import Request
from movierec_assets.serving.online.return_lists import listed
from movierec_assets.serving.online.snapshot import Snapshot, UserStates
from movierec_assets.serving.online.tastes import genres_of


class Ranker:
    """Answers from a snapshot, from one thread at a time.

    Parameters
    ----------
    snapshot : Snapshot
    before : Ranker, optional
        Of an earlier snapshot; what both share is not made again.

    Attributes
    ----------
    snapshot : Snapshot
    catalogued : Catalogued
    by_ratings : MovieIndex
        All movies that somebody rated, most rated first.
    model : ModelIndex or None
    users : UserStates or None
        None as well where they are of another champion.
    """

    def __init__(self, snapshot: Snapshot, before: Ranker | None = None) -> None:
        self.snapshot = snapshot
        catalogue, champion, states = snapshot.catalogue, snapshot.champion, snapshot.users
        same = before is not None and before.snapshot.catalogue is catalogue
        self.catalogued: Catalogued
        self.by_ratings: MovieIndex
        if before is not None and same:
            self.catalogued, self.by_ratings = before.catalogued, before.by_ratings
        else:
            self.catalogued = Catalogued(catalogue)
            rows = np.argsort(-catalogue.ratings.astype(np.int64), kind="stable")
            rows = rows[catalogue.ratings[rows] > 0]
            self.by_ratings = MovieIndex(self.catalogued, rows, catalogue.ratings[rows])
        self.model: ModelIndex | None = None
        if champion is not None:
            kept = before.model if before is not None and same else None
            self.model = kept if kept and kept.champion is champion else ModelIndex(champion, self.catalogued)
        fits = states and champion and (states.version, states.run_id) == (champion.version, champion.run_id)
        self.users: UserStates | None = states if fits else None

    def has_state(self, request: Request, freshness: Freshness) -> bool:
        """Whether a request with a user can be answered from the stored states, without reading their ratings."""
        states = self.users
        return (
            states is not None
            and not request.explain
            and not request.liked_movie_ids
            and freshness.dataset_id == self.snapshot.catalogue.dataset_id
            and freshness.ratings_version == states.ratings_version
            and freshness.watermark <= states.watermark
            and self._row_of(request.user_id) is not None
        )

    def answer(
        self,
        request: Request,
        ratings: LiveRatings | None = None,
        *,
        now: float | None = None,
        stored: Stored | None = None,
        taken: Collection[int] = (),
    ) -> Answer:
        """The list of a request.

        Parameters
        ----------
        request : Request
        ratings : LiveRatings, optional
            Of the request's user. Without them, the user is answered from the stored states, see `has_state`.
        now : float, optional
            Unix seconds.
        stored : Stored, optional
            The user's stored list, of the loaded dataset; it is used where there is no model.
        taken : collection of int
            Movie ids that are not listed because other lists of the same batch have them.

        Raises
        ------
        RequestError
            When a genre does not exist, or the filters exclude each other.
        """
        other_data = self._of_other_data(ratings)
        if self.model is None or other_data:
            why = self._why_no_model(ratings)
            rated = [] if ratings is None else ratings.movie_ids.tolist()
            if stored is not None and stored.movie_ids and not other_data:
                return of_stored(self.by_ratings, request, stored, rated, taken, why)
            seen = self.by_ratings.known([*rated, *request.liked_movie_ids])
            return popular(self.by_ratings, None, request, seen, taken, why)
        if ratings is None and not taken and (row := self._row_of(request.user_id)) is not None and self.users:
            found = listed(self.model, self.users, row, request, time.time() if now is None else now)
            if found is not None:
                return found
        person = self._person(self.model, request, ratings, now)
        if person.vector is None:
            why = shortfall.no_likes(request, rated=len(person.seen) > 0)
            return popular(self.model.movies, self.model, request, person.seen, taken, why)
        return by_model(self.model, person.vector, person, request, taken)

    def batch(
        self,
        requests: Iterable[tuple[Request, LiveRatings | None]],
        *,
        distinct: bool = False,
        now: float | None = None,
    ) -> Iterator[Answer]:
        """The lists of several requests, one at a time, so that the caller can do other things in between.

        Parameters
        ----------
        requests : iterable of pairs of Request and LiveRatings or None
        distinct : bool
            Whether no movie is listed twice among them; earlier requests choose first.
        now : float, optional
            Unix seconds.
        """
        taken: set[int] = set()
        for request, ratings in requests:
            answer = self.answer(request, ratings, now=now, taken=taken)
            if distinct:
                taken.update(answer.movie_ids)
            yield answer

    def genres(self, request: Request, ratings: LiveRatings | None = None) -> Tastes:
        """Which genres the model expects a user to like; none, and why, where it knows no like.

        Parameters
        ----------
        request : Request
            Its `user_id` and `liked_movie_ids` count.
        ratings : LiveRatings, optional
            As for `answer`.
        """
        if self.model is None or self._of_other_data(ratings):
            return Tastes(None, [], self._why_no_model(ratings))
        person, version = self._person(self.model, request, ratings, None), self.model.champion.version
        if person.vector is None:
            return Tastes(version, [], shortfall.no_likes(request, rated=len(person.seen) > 0))
        return Tastes(version, genres_of(self.model, person.vector))

    def similar(self, movie_id: int, request: Request, ratings: LiveRatings | None = None) -> Neighbours:
        """The nearest movies of a movie by the cosine of factors, as the table `similar_movies` has them.

        With a user or liked movies, the nearest 5 n movies that they have not rated are ordered by their scores.

        Parameters
        ----------
        movie_id : int
        request : Request
            Its user, liked movies, `n`, filters, `exclude_ids`, `include_seen`, `at` and `elapsed` count.
        ratings : LiveRatings, optional
            As for `answer`.
        """
        if self.model is None or self._of_other_data(ratings):
            return Neighbours(None, [], [], None, self._why_no_model(ratings))
        return nearest(self.model, movie_id, request, self._person(self.model, request, ratings, None))

    def map_of(self, movie_id: int, n: int) -> tuple[Neighbours, FloatArray, FloatArray]:
        """The n nearest movies of a movie, and where it and they are on a plane.

        Returns
        -------
        neighbours : Neighbours
        positions, shares : float64 arrays, shapes (1 + neighbours, 2) and (2,)
            See `movie_map.projected`; the movie itself is first. No position without a neighbour.
        """
        near = self.similar(movie_id, Request(n=n))
        if self.model is None or not near.movie_ids:
            return near, np.zeros((0, AXES)), np.zeros(AXES)
        places = self.model.movies.places_of(np.array([movie_id, *near.movie_ids]))
        return near, *projected(self.model.factors[places])

    def _of_other_data(self, ratings: LiveRatings | None) -> bool:
        return ratings is not None and ratings.dataset_id != self.snapshot.catalogue.dataset_id

    def _why_no_model(self, ratings: LiveRatings | None) -> str:
        if self._of_other_data(ratings):
            return shortfall.OTHER_DATA
        return self.snapshot.why_none or shortfall.NO_MODEL

    def _row_of(self, user_id: int | None) -> int | None:
        """Row of a user in the stored states."""
        if self.users is None or user_id is None:
            return None
        user_ids: IntArray = self.users.user_ids
        row = bisect_left(user_ids, user_id)
        return row if row < len(user_ids) and user_ids[row] == user_id else None

    def _person(self, model: ModelIndex, request: Request, ratings: LiveRatings | None, now: float | None) -> Person:
        clock = time.time() if now is None else now
        if ratings is None and not request.liked_movie_ids and self.users is not None:
            row = self._row_of(request.user_id)
            if row is not None:
                return of_state(model, self.users, row, request, clock)
        return of_ratings(model, ratings, request, clock)
