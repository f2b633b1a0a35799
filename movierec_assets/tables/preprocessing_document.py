"""The insight `preprocessing`: the steps from the rows of the file to the users who are scored, with a look at each.

Belongs here: counts of each step, and its first rows with titles. Does not: the steps themselves (`rating_load`,
`histories`, `recsys.split`). Users of the app count, but no row of theirs is shown: rows about them can be erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from movierec_assets.ratings import ELIGIBLE_ABOVE, FIRST_APP_USER_ID, RatingColumns
from movierec_assets.recsys.interactions import FloatArray, IdMaps, IntArray, Interactions
from movierec_assets.recsys.split import MIN_TRAIN_TO_EVALUATE, Split
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import titles_of
from movierec_assets.tables.known_datasets import loaded_dataset

SHOWN = 20
"""Rows of a preview, and users and movies of the corner of the matrix."""


def preprocessing_document(
    database: Database, positives: RatingColumns, split: Split, ids: IdMaps, threshold: float
) -> dict[str, Any]:
    """Counts and first rows of each step.

    Parameters
    ----------
    database : Database
        Holds the ratings that the likes were read from.
    positives : RatingColumns
        All likes, in the order of users.
    split : Split
    ids : IdMaps
        Of the rows and columns of the split.
    threshold : float
        Stars from which a rating is a like.
    """
    dataset = loaded_dataset(database)
    evaluated = split.evaluated_users("test")
    shown = _Shown(database, ids)
    held_out = split.test.rows(evaluated)
    return {
        "dataset": dataset.name if dataset else None,
        "rules": {
            "like_from_stars": threshold,
            "ratings_above": ELIGIBLE_ABOVE,
            "likes_before_test": MIN_TRAIN_TO_EVALUATE,
        },
        "steps": [
            *_steps_of_tables(database),
            _step("likes", len(positives), *ids.shape),
            *(
                _step(name, len(part), int((part.per_user > 0).sum()), int((part.per_movie > 0).sum()))
                for name, part in (("train", split.train), ("validation", split.validation), ("test", split.test))
            ),
            _step("evaluated test", len(held_out), len(evaluated), int((held_out.per_movie > 0).sum())),
        ],
        "previews": {
            "original": shown.loaded(),
            "rejected": shown.rejected(),
            "likes": shown.likes(positives),
            "train": shown.part(split.train),
            "test": shown.part(split.test),
            "evaluated test": shown.part(split.test, evaluated),
            "train matrix": shown.entries(split.train),
            "test matrix": shown.entries(split.test),
        },
        "corner": shown.corner(split),
    }


def _step(name: str, rows: int | None, users: int | None = None, movies: int | None = None) -> dict[str, Any]:
    return {"step": name, "rows": rows, "users": users, "movies": movies}


def _steps_of_tables(database: Database) -> list[dict[str, Any]]:
    load = database.last_load("ratings")
    details = load.details if load else {}
    users, movies, eligible_rows, eligible, posted = database.rows(
        f"""SELECT (SELECT count(*) FROM {SCHEMA}.user_totals),
                   (SELECT count(DISTINCT movie_id) FROM {SCHEMA}.rating_totals),
                   (SELECT sum(ratings)::bigint FROM {SCHEMA}.eligible_users),
                   (SELECT count(*) FROM {SCHEMA}.eligible_users),
                   (SELECT count(*) FROM {SCHEMA}.valid_app_ratings)"""
    )[0]
    return [
        _step("read", details.get("rows_read")),
        _step("complete", details.get("rows_complete")),
        _step("loaded", details.get("rows"), users, movies),
        _step("posted in the app", posted),
        _step("of eligible users", eligible_rows or 0, eligible),
    ]


class _Shown:
    """The first rows of each step, of users of the file."""

    def __init__(self, database: Database, ids: IdMaps) -> None:
        self._database, self._ids = database, ids
        self._users_of_file = int(np.searchsorted(ids.user_ids, FIRST_APP_USER_ID))

    def loaded(self) -> list[dict[str, Any]]:
        rows = self._database.rows(
            f"""SELECT line, user_id, movie_id, title, rating, rated_at
                FROM {SCHEMA}.ratings JOIN {SCHEMA}.movies USING (movie_id)
                ORDER BY user_id, movie_id LIMIT %s""",
            [SHOWN],
        )
        return [
            {"line": line, **_row(user, movie, title, stars, rated_at.timestamp())}
            for line, user, movie, title, stars, rated_at in rows
        ]

    def rejected(self) -> list[dict[str, Any]]:
        """Of the file of ratings first, then of the files of movies."""
        load = self._database.last_load("ratings")
        rows = self._database.rows(
            f"""SELECT file, line, left(raw_text, 200), reason FROM {SCHEMA}.rejected_ratings
                WHERE file <> 'app_ratings' ORDER BY file <> %s, file, line LIMIT %s""",
            [load.details.get("name", "ratings.csv") if load else "", SHOWN],
        )
        return [dict(zip(("file", "line", "text", "reason"), row, strict=True)) for row in rows]

    def likes(self, positives: RatingColumns) -> list[dict[str, Any]]:
        users = self._ids.user_ids[: min(SHOWN, self._users_of_file)]
        first = np.flatnonzero(positives.user_id <= (users[-1] if len(users) else 0))
        chosen = first[np.lexsort((positives.movie_id[first], positives.user_id[first]))][:SHOWN]
        return self._rows(
            positives.user_id[chosen], positives.movie_id[chosen], positives.rating[chosen], positives.rated_at[chosen]
        )

    def part(self, part: Interactions, chosen: IntArray | None = None) -> list[dict[str, Any]]:
        users, movies, stars, rated_at = self._first(part, chosen)
        return self._rows(self._ids.user_ids[users], self._ids.movie_ids[movies], stars, rated_at)

    def entries(self, part: Interactions) -> list[dict[str, Any]]:
        users, movies, stars, _ = self._first(part)
        places = zip(users.tolist(), movies.tolist(), stars.tolist(), self.part(part), strict=True)
        return [
            {
                "row": user,
                "column": movie,
                "value": value,
                **{key: row[key] for key in ("user_id", "movie_id", "title")},
            }
            for user, movie, value, row in places
        ]

    def corner(self, split: Split) -> dict[str, Any]:
        """The first users, the most liked movies and some that these users liked latest, and their likes of these."""
        users = np.arange(min(SHOWN, self._users_of_file))
        parts = {"train": split.train, "validation": split.validation, "test": split.test}
        liked = np.sum([part.per_movie for part in parts.values()], axis=0)
        held_out = np.unique(np.concatenate([parts[name].rows(users).stars.indices for name in ("test", "validation")]))
        latest = held_out[np.argsort(-liked[held_out], kind="stable")][: SHOWN // 2]
        most_liked = np.argsort(-liked, kind="stable")[:SHOWN]
        movies = np.sort(np.append(latest, most_liked[~np.isin(most_liked, latest)][: SHOWN - len(latest)]))
        titles = titles_of(self._database, self._ids.movie_ids[movies])
        cells = []
        for name, part in parts.items():
            rows, columns, stars, _ = part.rows(users).triplets()
            kept = np.isin(columns, movies)
            cells += [
                {
                    "user_id": int(self._ids.user_ids[row]),
                    "movie_id": int(self._ids.movie_ids[column]),
                    "part": name,
                    "stars": value,
                }
                for row, column, value in zip(rows[kept], columns[kept], stars[kept].tolist(), strict=True)
            ]
        return {
            "users": self._ids.user_ids[users].tolist(),
            "movies": [
                {"movie_id": movie, "title": titles.get(movie, "?")} for movie in self._ids.movie_ids[movies].tolist()
            ],
            "cells": cells,
        }

    def _first(
        self, part: Interactions, chosen: IntArray | None = None
    ) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
        """Rows, columns, stars and times of the first entries of a part, or of some of its rows."""
        candidates = np.flatnonzero(part.per_user) if chosen is None else chosen
        users = candidates[candidates < self._users_of_file][:SHOWN]
        rows, movies, stars, rated_at = part.rows(users).triplets()
        return users[rows[:SHOWN]], movies[:SHOWN], stars[:SHOWN], rated_at[:SHOWN]

    def _rows(self, users: IntArray, movies: IntArray, stars: FloatArray, times: IntArray) -> list[dict[str, Any]]:
        titles = titles_of(self._database, movies)
        columns: Sequence[list[Any]] = [column.tolist() for column in (users, movies, stars, times)]
        return [
            _row(user, movie, titles.get(movie, "?"), value, at)
            for user, movie, value, at in zip(*columns, strict=True)
        ]


def _row(user: int, movie: int, title: str, stars: float, at: float) -> dict[str, Any]:
    return {
        "user_id": user,
        "movie_id": movie,
        "title": title,
        "stars": stars,
        "rated_at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
