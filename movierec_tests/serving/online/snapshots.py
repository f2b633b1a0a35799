"""Made-up snapshots, users and requests for the property tests, and the same lists computed in the plain way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.interactions import NEVER, FloatArray, IdMaps, IntArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import ConfidenceKind, FoldIn, NextMovie, Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.online.live import LiveRatings
from movierec_assets.serving.online.snapshot import Catalogue, Champion, Snapshot, UserStates

THRESHOLD = 4.0
GENRES = ("Comedy", "Drama", "Film-Noir", "War")
DATASET = 7


@dataclass(frozen=True)
class World:
    """A snapshot, and the users whose states it has.

    Attributes
    ----------
    ratings : list of LiveRatings
        Of the users; the positions are the rows of the recommender's users.
    fitted : Recommender
        The champion's, with its users.
    """

    snapshot: Snapshot
    ratings: list[LiveRatings]
    fitted: Recommender


def live(user_id: int, rows: list[tuple[int, float, int]], dataset_id: int | None = DATASET) -> LiveRatings:
    movie_ids, stars, times = zip(*rows, strict=True) if rows else ((), (), ())
    return LiveRatings(
        user_id,
        np.array(movie_ids, dtype=np.int32),
        np.array(stars, dtype=np.float32),
        np.array(times, dtype=np.int64),
        dataset_id,
    )


def world(
    seed: int,
    *,
    users: int = 6,
    movies: int = 12,
    unknown: int = 3,
    factors: int = 3,
    per_user: int = 8,
    signal: bool = True,
    confidence: ConfidenceKind = "binary",
    times: int = 6,
    spread: float = 0.7,
) -> World:
    """A world in which the model lacks some movies of the catalogue; some users have no likes, some have rated all."""
    random = np.random.default_rng(seed)
    total = movies + unknown
    ids = np.sort(random.choice(np.arange(1, 5 * total), total, replace=False)).astype(np.int32)
    of_model = np.sort(random.choice(total, movies, replace=False))
    recipe = Recipe(
        confidence=confidence,
        alpha=8.0,
        regularization=2.0,
        factors=factors,
        fold_in=FoldIn(0.3, 2.0, 4.0),
        next_movie=NextMovie(tau=2.0, weight=0.7 if signal else 0.0, fade_hours=1.0),
    )
    ratings = [
        live(
            10 * user + 3,
            [
                (int(ids[column]), float(random.integers(1, 11)) / 2, int(random.integers(0, times)))
                for column in random.choice(total, min(total, _ratings_of(user, per_user, total)), replace=False)
            ],
        )
        for user in range(users)
    ]
    ratings[1].stars[ratings[1].movie_ids == ids[of_model[0]]] = 5.0  # a model is fitted on at least one like
    maps = IdMaps(np.array([each.user_id for each in ratings], dtype=np.int32), ids[of_model])
    liked = positives_of(ratings, maps.movie_ids)
    lengths = random.lognormal(-0.5, spread, (movies, 1))
    vectors = (random.normal(size=(movies, factors)) * lengths).astype(np.float32)
    fit = Factors(vectors[:0], vectors, Confidence.of(liked, confidence), NextMovies.of(liked, recipe.next_movie))
    fitted = Recommender.of(fit, liked, maps, recipe)
    titles = tuple(f'Movie "{movie}" (é)' for movie in ids.tolist())
    # Each genre has a movie, also where there are few.
    genres = tuple(
        tuple(genre for number, genre in enumerate(GENRES) if number == movie or random.random() < 0.4)
        for movie in range(total)
    )
    years = np.where(random.random(total) < 0.2, 0, random.integers(1990, 2000, total)).astype(np.int16)
    counts = random.integers(0, 40, total).astype(np.int32)
    catalogue = Catalogue(DATASET, "made-up", ids, titles, genres, years, counts)
    champion = Champion(4, "run", None, THRESHOLD, without_users(fitted), fitted.likes)
    states = UserStates(
        4, "run", "v1", 100, maps.user_ids, fitted.user_vectors, seen_of(ratings, maps.movie_ids), latest_of(ratings),
        fitted.recent,
    )  # fmt: skip
    return World(Snapshot(catalogue, champion, None, states), ratings, fitted)


def _ratings_of(user: int, per_user: int, total: int) -> int:
    return (0, total)[user] if user < 2 else per_user


def without_users(recommender: Recommender) -> Recommender:
    """The same model without users, as a worker has it."""
    nobody = recommender.seen[:0]
    return replace(
        recommender,
        ids=IdMaps(recommender.ids.user_ids[:0], recommender.ids.movie_ids),
        user_vectors=recommender.user_vectors[:0],
        seen=nobody,
        recent=None if recommender.recent is None else recommender.recent[:0],
        latest_at=None if recommender.latest_at is None else recommender.latest_at[:0],
    )


def triplets_of(ratings: list[LiveRatings], movie_ids: IntArray) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    """Row, column, stars and time of all ratings of movies of the model."""
    rows = np.repeat(np.arange(len(ratings)), [len(each.movie_ids) for each in ratings])
    columns, stars, times = (
        np.concatenate([np.empty(0), *(getattr(each, name) for each in ratings)])
        for name in ("movie_ids", "stars", "rated_at")
    )
    known = np.isin(columns, movie_ids)
    at: IntArray = np.searchsorted(movie_ids, columns[known])
    return rows[known], at, stars[known], times[known].astype(np.int64)


def positives_of(ratings: list[LiveRatings], movie_ids: IntArray) -> Interactions:
    """The likes of users over the movies of a model."""
    rows, columns, stars, times = triplets_of(ratings, movie_ids)
    liked = stars >= THRESHOLD
    shape = (len(ratings), len(movie_ids))
    return Interactions.from_triplets(rows[liked], columns[liked], stars[liked], times[liked], shape)


def seen_of(ratings: list[LiveRatings], movie_ids: IntArray) -> csr_matrix:
    """Everything that users have rated, over the movies of a model."""
    rows, columns, stars, _ = triplets_of(ratings, movie_ids)
    return csr_matrix((stars, (rows, columns)), shape=(len(ratings), len(movie_ids)))


def latest_of(ratings: list[LiveRatings]) -> IntArray:
    """Time of the latest like of each user, also of movies that the model does not know."""
    return np.array([each.rated_at[each.stars >= THRESHOLD].max(initial=NEVER) for each in ratings], dtype=np.int64)
