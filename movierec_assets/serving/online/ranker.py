"""Answers from one snapshot: lists, genres of a user, neighbours of a movie.

Belongs here: the order of the steps, and which source answers. Does not: each step (`person`, `best`, `diversity`,
`reasons`), reading ratings (`live`), and HTTP (`serving.api`).

A ranker is made once per snapshot, and answers from one thread.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.recsys.moment import strength
from movierec_assets.serving.online import shortfall
from movierec_assets.serving.online.answers import Answer, GenreTaste, Neighbours, Reason, Source, Stored
from movierec_assets.serving.online.best import best, highest
from movierec_assets.serving.online.diversity import CANDIDATES, diverse
from movierec_assets.serving.online.live import Freshness, LiveRatings
from movierec_assets.serving.online.model_index import ModelIndex
from movierec_assets.serving.online.movie_index import Catalogued, MovieIndex
from movierec_assets.serving.online.person import Person, of_ratings, of_state
from movierec_assets.serving.online.reasons import Added, completed, reasons_of
from movierec_assets.serving.online.requests import Request
from movierec_assets.serving.online.snapshot import Snapshot, UserStates

_NEAREST_FOR_A_USER = 5
"""For a user, the nearest so many times as many movies as asked for are ordered."""


class Ranker:
    """Answers from a snapshot.

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
        self.catalogued: Catalogued
        self.by_ratings: MovieIndex
        if before is not None and before.snapshot.catalogue is snapshot.catalogue:
            self.catalogued, self.by_ratings = before.catalogued, before.by_ratings
        else:
            self.catalogued = Catalogued(snapshot.catalogue)
            counts = snapshot.catalogue.ratings
            rows = np.argsort(-counts.astype(np.int64), kind="stable")
            rows = rows[counts[rows] > 0]
            self.by_ratings = MovieIndex(self.catalogued, rows, counts[rows])
        champion = snapshot.champion
        self.model: ModelIndex | None = None
        if champion is not None:
            same = before is not None and before.catalogued is self.catalogued and before.snapshot.champion is champion
            self.model = before.model if same and before is not None else ModelIndex(champion, self.catalogued)
        self.users: UserStates | None = None
        if (states := snapshot.users) is not None and champion is not None:
            fits = (states.version, states.run_id) == (champion.version, champion.run_id)
            self.users = states if fits else None

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
            and request.user_id is not None
            and self._row_of(states, request.user_id) is not None
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
            Movie ids that other lists of the same batch have.

        Raises
        ------
        RequestError
            When a genre does not exist, or the filters contradict themselves.
        """
        clock = time.time() if now is None else now
        other_data = ratings is not None and ratings.dataset_id != self.snapshot.catalogue.dataset_id
        if self.model is None or other_data:
            why = shortfall.OTHER_DATA if other_data else self.snapshot.why_none or shortfall.NO_MODEL
            if stored is not None and stored.movie_ids and not other_data:
                return self._stored(request, ratings, stored, taken, why)
            return self._popular(request, self.by_ratings, None, _ids(ratings), taken, why)
        person = self._person(self.model, request, ratings, clock)
        if person.vector is None:
            seen = self.model.movies.movie_ids[person.seen]
            why = shortfall.no_likes(request, known=len(person.seen) > 0)
            return self._popular(request, self.model.movies, self.model, seen, taken, why)
        return self._by_model(self.model, person, request, taken)

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
        """
        taken: set[int] = set()
        for request, ratings in requests:
            answer = self.answer(request, ratings, now=now, taken=taken)
            if distinct:
                taken.update(answer.movie_ids)
            yield answer

    def genres(
        self, user_id: int | None, ratings: LiveRatings | None = None, *, liked_movie_ids: tuple[int, ...] = ()
    ) -> list[GenreTaste] | None:
        """Which genres the model expects a user to like, the most preferred first; None where it knows no like."""
        model = self.model
        if model is None or (ratings is not None and ratings.dataset_id != self.snapshot.catalogue.dataset_id):
            return None
        person = self._person(model, Request(user_id=user_id, liked_movie_ids=liked_movie_ids), ratings, time.time())
        if person.vector is None:
            return None
        places, _ = best(model, person.vector, np.zeros(len(model), dtype=np.bool_), 100)
        shares, usual = model.movies.of_genre[:, places].mean(axis=1), model.usual_genres
        return [
            GenreTaste(
                self.catalogued.genres[row], float(shares[row] - usual[row]), float(shares[row]), float(usual[row])
            )
            for row in np.argsort(usual - shares, kind="stable").tolist()
        ]

    def similar(
        self, movie_id: int, n: int, *, request: Request | None = None, ratings: LiveRatings | None = None
    ) -> Neighbours:
        """The nearest movies of a movie by the cosine of factors, as the table `similar_movies` has them.

        Parameters
        ----------
        movie_id, n : int
        request : Request, optional
            With a user: the nearest 5 n movies that the user has not rated are ordered by the user's scores. Its
            filters and `exclude_ids` count, its other fields do not.
        ratings : LiveRatings, optional
            As for `answer`.
        """
        model = self.model
        if model is None:
            return Neighbours(None, [], [], None, self.snapshot.why_none or shortfall.NO_MODEL)
        version, known = model.champion.version, model.movies.known([movie_id])
        if len(known) == 0 or model.lengths[known[0]] == 0:
            return Neighbours(version, [], [], None, "The model does not know this movie: too few users liked it.")
        request = request or Request()
        passing = model.movies.passing(request.filters)
        hidden = self._hidden(model.movies, known, model.movies.known(request.exclude_ids))
        vector, place = model.factors[known[0]], known[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            cosines = np.where(model.lengths > 0, model.factors @ vector / (model.lengths * model.lengths[place]), 0.0)
        person: Person | None = None
        if request.user_id is not None or request.liked_movie_ids:
            person = self._person(model, request, ratings, time.time())
            hidden[person.seen] = True
        cosines[hidden] = -np.inf
        if passing is not None:
            cosines[np.setdiff1d(np.arange(len(model)), passing)] = -np.inf
        wanted = n if person is None or person.vector is None else _NEAREST_FOR_A_USER * n
        places, nearest = highest(np.arange(len(model)), cosines, wanted)
        nearest, scores = np.clip(nearest, -1.0, 1.0), None
        if person is not None and person.vector is not None:
            base, extra, _, offset = self._parts(model, person)
            of_user = model.factors[places] @ base - offset + (0.0 if extra is None else extra[places])
            order = np.argsort(-of_user, kind="stable")[:n]
            places, nearest, scores = places[order], nearest[order], of_user[order].tolist()
        fewer = None if len(places) == n else f"Only {len(places):,} other movies match."
        return Neighbours(version, model.movies.movie_ids[places].tolist(), nearest.tolist(), scores, fewer)

    def _row_of(self, states: UserStates, user_id: int) -> int | None:
        row = bisect_left(states.user_ids, user_id)
        return row if row < len(states.user_ids) and states.user_ids[row] == user_id else None

    def _person(self, model: ModelIndex, request: Request, ratings: LiveRatings | None, now: float) -> Person:
        if ratings is None and request.user_id is not None and self.users is not None and not request.liked_movie_ids:
            row = self._row_of(self.users, request.user_id)
            if row is not None:
                return of_state(model, self.users, row, request, now)
        return of_ratings(model, ratings, request, now)

    def _hidden(self, movies: MovieIndex, *places: IntArray) -> BoolArray:
        hidden = np.zeros(len(movies), dtype=np.bool_)
        for some in places:
            hidden[some] = True
        return hidden

    def _parts(self, model: ModelIndex, person: Person) -> tuple[FloatArray, FloatArray | None, float, float]:
        """The vector and the signal that scores are made of, one unit of the scores, and what is taken from each."""
        assert person.vector is not None
        assert person.moment is not None
        mean, spread = model.spread_of(person.vector)
        if not model.on:
            return person.vector, None, spread, 0.0
        scaled, offset = (person.vector / spread).astype(np.float32), mean / spread
        share = float(strength(model.recommender.recipe.next_movie, person.moment.elapsed_seconds))
        if share == 0:
            return scaled, None, 1.0, offset
        signal, mean, spread = model.signal(person.recent, person.recency)
        return scaled, (share * (signal - mean) / spread).astype(np.float32), 1.0, offset

    def _by_model(self, model: ModelIndex, person: Person, request: Request, taken: Collection[int]) -> Answer:
        movies = model.movies
        passing = movies.passing(request.filters)
        vector, extra, unit, offset = self._parts(model, person)
        boosts = self._boosts(movies, request, unit)
        for boost in boosts:
            extra = boost.values if extra is None else extra + boost.values
        seen = () if request.include_seen else (person.seen,)
        hidden = self._hidden(movies, *seen, movies.known(request.exclude_ids), movies.known(list(taken)))
        places, scores = best(
            model, vector, hidden, max(request.n, CANDIDATES) if request.diversity else request.n, passing, extra
        )
        scores = scores - offset
        places, scores, added = self._arranged(model, places, scores, boosts, request)
        values = scores.tolist()
        return Answer(
            source="model",
            model_version=model.champion.version,
            movie_ids=movies.movie_ids[places].tolist(),
            scores=values,
            reasons=reasons_of(model, person, places, values, added) if request.explain else None,
            moment=person.moment,
            why_fewer=shortfall.why_fewer(request, movies, len(places), person.seen, taken),
        )

    def _boosts(self, movies: MovieIndex, request: Request, unit: float) -> list[Added]:
        return [
            Added(np.float32(boost.weight * unit) * movies.property_of(boost), boost.kind) for boost in request.boosts
        ]

    def _arranged(
        self, model: ModelIndex | None, places: IntArray, scores: FloatArray, boosts: list[Added], request: Request
    ) -> tuple[IntArray, FloatArray, list[Added]]:
        """The list in its final order, and what boosts and diversity added to the scores of its movies."""
        added: list[Added] = []
        if request.diversity and model is not None:
            chosen, values = diverse(scores, model.factors[places], request.n, request.diversity)
            added = [Added(values - scores[chosen])]
            places, scores = places[chosen], values
        return places, scores, [*(Added(boost.values[places], boost.boost) for boost in boosts), *added]

    def _popular(
        self,
        request: Request,
        movies: MovieIndex,
        model: ModelIndex | None,
        seen_ids: Any,
        taken: Collection[int],
        why: str,
    ) -> Answer:
        """The movies with the highest counts, of the champion or of the catalogue."""
        passing = movies.passing(request.filters)
        seen = movies.known([*seen_ids, *request.liked_movie_ids])
        boosts = self._boosts(movies, request, float(np.std(movies.counts)) if len(movies) else 1.0)
        scores: FloatArray = movies.counts.astype(np.float64)
        for boost in boosts:
            scores += boost.values
        hidden = self._hidden(movies, movies.known(request.exclude_ids), movies.known(list(taken)))
        if not request.include_seen:
            hidden[seen] = True
        if passing is not None:
            hidden[np.setdiff1d(np.arange(len(movies)), passing)] = True
        places: IntArray = movies.by_count[~hidden[movies.by_count]]
        if boosts:
            places = places[np.argsort(-scores[places], kind="stable")]
        diversity = request.diversity if model is not None else 0.0
        places = places[: max(request.n, CANDIDATES) if diversity else request.n]
        scores = scores[places]
        places, scores, added = self._arranged(model, places, scores, boosts, request)
        values = scores.tolist()
        return Answer(
            source="popular",
            model_version=None if model is None else model.champion.version,
            movie_ids=movies.movie_ids[places].tolist(),
            scores=values,
            reasons=_reasons_of_popular(values, added) if request.explain else None,
            why_source=why,
            why_fewer=shortfall.why_fewer(request, movies, len(places), seen, taken),
            notes=(shortfall.NO_DIVERSITY,) if request.diversity and model is None else (),
        )

    def _stored(
        self, request: Request, ratings: LiveRatings | None, stored: Stored, taken: Collection[int], why: str
    ) -> Answer:
        """A stored list, without what the request leaves out."""
        movies = self.by_ratings
        passing = movies.passing(request.filters)
        places = movies.places_of(stored.movie_ids)
        kept = places >= 0 if passing is None else np.isin(places, passing)
        out = {*request.exclude_ids, *taken}
        if not request.include_seen:
            out.update(_ids(ratings), request.liked_movie_ids)
        listed = [
            (movie_id, score)
            for movie_id, score, keep in zip(stored.movie_ids, stored.scores, kept.tolist(), strict=True)
            if keep and movie_id not in out
        ][: request.n]
        source: Source = "stored"
        return Answer(
            source=source,
            model_version=stored.model_version,
            movie_ids=[movie_id for movie_id, _ in listed],
            scores=[score for _, score in listed],
            reasons=[() for _ in listed] if request.explain else None,
            why_source=why,
            why_fewer=shortfall.of_stored(request, len(listed), len(stored.movie_ids)),
            notes=(shortfall.STORED_ONLY,) if request.boosts or request.diversity or request.explain else (),
        )


def _ids(ratings: LiveRatings | None) -> list[int]:
    return [] if ratings is None else ratings.movie_ids.tolist()


def _reasons_of_popular(scores: list[float], added: list[Added]) -> list[tuple[Reason, ...]]:
    return [completed([], "popularity", score, row, added) for row, score in enumerate(scores)]


def without_explanation(request: Request) -> Request:
    """The same request without reasons, which need the user's ratings."""
    return replace(request, explain=False)
