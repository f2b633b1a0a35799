"""A small loaded database and a champion of it, for tests of the API.

Belongs here: data that every route is tried with. Does not: the parts of a worker (`conftest`).
"""

from __future__ import annotations

import numpy as np

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import NextMovie, Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.online.snapshot import Catalogue, Champion, Snapshot
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import read_positives
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset

GENRES = ("Drama", "Comedy|Romance", "Action|Sci-Fi", "Crime|Film-Noir")
ODD = {
    9: "It's \"odd\", *isn't* it? [yes](http://example.org) $x$",
    10: "<b>Bold</b> & <script>alert(1)</script>",
    11: "ציור של חתול",
    12: "Long " + "title" * 58,
}
"""Titles with quotes, marks of Markdown, HTML, a right-to-left script, and 300 characters."""
TITLES = {1: "Toy Story", 2: "Matrix, The", 3: "Amélie (Fabuleux destin d'Amélie Poulain, Le)", 4: "Heat", **ODD}
MOVIES = [
    '{},"{} ({})",{}'.format(
        number, TITLES.get(number, f"Film {number}").replace('"', '""'), 1950 + number, GENRES[number % 4]
    )
    for number in range(1, 61)
]
USERS = range(1, 41)
VERSION, RUN = 7, "0123456789abcdef0123456789abcdef"
LAST_MOVIE = 60
"""Nobody rated it, so that the model does not know it."""


def ratings() -> list[str]:
    """Lines of ratings.csv: user u likes 12 movies of the genres of u, and dislikes three."""
    lines = []
    for user in USERS:
        liked = [movie for movie in range(1, LAST_MOVIE) if movie % 4 == user % 4 or movie % 7 == user % 7][:12]
        disliked = [movie for movie in range(1, LAST_MOVIE) if movie not in liked][user % 5 :: 15][:3]
        for place, (movie, stars) in enumerate([(m, 4.5) for m in liked] + [(m, 1.5) for m in disliked]):
            lines.append(f"{user},{movie},{stars},{1_000_000_000 + user * 10_000 + place * 100}")
    return lines


def load_small(database: Database, make: Dataset) -> None:
    """Load the small dataset."""
    files = MovieLensFiles.at(make(ratings(), MOVIES, name="small"))
    load_movies(database, files)
    load_ratings(database, files)
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")


def snapshot_of(database: Database, version: int = VERSION) -> Snapshot:
    """What a keeper would hand on for a champion fitted to the current ratings; without states of users."""
    return Snapshot(_catalogue(database), _champion(database, version), None, None)


def _catalogue(database: Database) -> Catalogue:
    rows = database.rows(
        f"""SELECT m.movie_id, m.title, m.genres, coalesce(m.year, 0), coalesce(sum(r.ratings), 0)::integer
            FROM {SCHEMA}.movies m LEFT JOIN {SCHEMA}.rating_totals r USING (movie_id)
            GROUP BY m.movie_id, m.title, m.genres, m.year ORDER BY m.movie_id"""
    )
    dataset_id = database.scalar(f"SELECT dataset_id FROM {SCHEMA}.loads WHERE table_name = 'ratings'")
    movie_ids, titles, genres, years, counts = zip(*rows, strict=True)
    return Catalogue(
        dataset_id,
        "small",
        np.array(movie_ids, np.int32),
        titles,
        tuple(map(tuple, genres)),
        np.array(years, np.int16),
        np.array(counts, np.int32),
    )


def _champion(database: Database, version: int) -> Champion:
    columns: RatingColumns = read_positives(database, 4.0)
    ids = IdMaps(np.unique(columns.user_id), np.unique(columns.movie_id))
    positives = Interactions.from_triplets(
        np.searchsorted(ids.user_ids, columns.user_id),
        np.searchsorted(ids.movie_ids, columns.movie_id),
        columns.rating,
        columns.rated_at,
        ids.shape,
    )
    signal = NextMovie(fade_hours=1.0)
    recipe = Recipe(factors=8, iterations=5, next_movie=signal)
    factors = als.fit(positives, recipe).with_next(NextMovies.of(positives, signal))
    fitted = Recommender.of(factors, positives, ids, recipe)
    nobody = positives.between(0, 0)
    served = Recommender.of(factors, nobody, IdMaps(ids.user_ids[:0], ids.movie_ids), recipe)
    return Champion(version, RUN, 1_700_000_000.0, 4.0, served, np.asarray(fitted.likes))
