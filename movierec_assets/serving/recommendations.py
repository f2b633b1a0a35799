"""Recommendations from the champion, for one person at a time.

Belongs here: joining the model, the live history and the titles. Does not: how an answer is shown (`cli`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from movierec_assets.errors import ExplainedError
from movierec_assets.models.champion import ServedChampion, load_champion
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.recsys.interactions import IntArray, Interactions
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.moments import Moment
from movierec_assets.serving.online.title_index import TitleIndex
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import histories_of, read_users, titles_of

MAX_CONTRIBUTIONS = 3
"""Contributions that explain one recommended movie."""

_CATALOGUE = f"""
    SELECT m.movie_id, m.title, coalesce(m.year, 0), coalesce(sum(r.ratings), 0)::bigint
    FROM {SCHEMA}.movies m LEFT JOIN {SCHEMA}.rating_totals r USING (movie_id)
    GROUP BY m.movie_id ORDER BY m.movie_id
"""

Source = Literal["model", "popular"]
Kind = Literal["because of", "after"]


class UnknownUserError(ExplainedError, LookupError):
    """No user with this id has a rating; the message names users that have one."""


@dataclass(frozen=True)
class Contribution:
    """A like of the user, and how much it adds to the score of a recommended movie.

    Attributes
    ----------
    kind : {"because of", "after"}
        Whether it adds this through the user's taste (ALS), or through the next-movie signal.
    movie_id : int
    title : str
    contribution : float
        The score is the sum of the contributions of both kinds of all likes.
    """

    kind: Kind
    movie_id: int
    title: str
    contribution: float


@dataclass(frozen=True)
class Recommended:
    """One movie of a list.

    Attributes
    ----------
    rank : int
        From 1.
    movie_id : int
    title : str
    score : float
    reasons : list of Contribution
        Those that add most, the strongest first; empty where popularity decides.
    """

    rank: int
    movie_id: int
    title: str
    score: float
    reasons: list[Contribution]


@dataclass(frozen=True)
class Answer:
    """A list, its source, and the likes that it is based on.

    Attributes
    ----------
    source : {"model", "popular"}
    model_version : int
    dataset : str or None
        Name of the dataset that this version was trained on.
    liked : list of str
        Titles the list is based on, the latest first.
    movies : list of Recommended
    moment : Moment or None
        None where popularity decides.
    """

    source: Source
    model_version: int
    dataset: str | None
    liked: list[str]
    movies: list[Recommended]
    moment: Moment | None = None


class RecommendationService:
    """Answers from the champion, loaded once.

    Parameters
    ----------
    database : Database
    registry : ModelRegistry
    """

    def __init__(self, database: Database, registry: ModelRegistry) -> None:
        self._database = database
        self._registry = registry

    @cached_property
    def _champion(self) -> ServedChampion:
        return load_champion(self._registry, self._database, self._registry.load_copied)

    @property
    def _recommender(self) -> Recommender:
        return self._champion.recommender

    def for_user(self, user_id: int, k: int, at: int | Literal["latest"] | None = None) -> Answer:
        """Recommend from the ratings that the user has now.

        Parameters
        ----------
        user_id, k : int
        at : int, "latest" or None
            Time of the request in Unix seconds, or right after the user's latest like; None for now.

        Raises
        ------
        UnknownUserError
            When the user has no rating.
        """
        ratings = next(read_users(self._database, self._champion.positive_threshold, [user_id]), None)
        if ratings is None:
            lowest, highest = self._database.rows(f"SELECT min(user_id), max(user_id) FROM {SCHEMA}.user_totals")[0]
            others = f"Users with ratings: {lowest} to {highest}." if lowest is not None else "No ratings are loaded."
            raise UnknownUserError(f"User {user_id} has no ratings. {others} Or name liked movies with --like.")
        histories = histories_of(ratings, self._recommender.ids.movie_ids)
        if len(histories.liked) == 0:
            lists = self._recommender.for_histories(histories.liked, histories.seen, k)
            return self._answer(lists, "popular", [])
        # Likes of movies that the model does not know count as well: somebody was there at that time.
        moment = Moment.of(at, int(ratings.liked_at.max()), self._recommender)
        lists = self._recommender.for_histories(
            histories.liked, histories.seen, k, elapsed=np.array([moment.elapsed_seconds])
        )
        latest = np.argsort(-histories.liked.rated_at, kind="stable")[:5]
        liked = self._recommender.ids.movie_ids[histories.liked.stars.indices[latest]]
        return self._answer(lists, "model", liked.tolist(), histories.liked, moment)

    def for_liked(self, titles: Sequence[str], k: int) -> Answer:
        """Recommend for somebody who likes these movies, in the sitting; their titles are as people type them.

        Raises
        ------
        TitleError
            When a title is not in the catalogue.
        RecsysError
            When nobody in the data liked any of them.
        """
        catalogue = self._database.rows(_CATALOGUE)
        years, ratings = (np.array([row[column] for row in catalogue], np.int64) for column in (2, 3))
        index = TitleIndex([title for _, title, *_ in catalogue], years, ratings)
        movie_ids = [catalogue[index.find(title)][0] for title in titles]
        lists = self._recommender.for_liked(np.array(movie_ids), k)
        history = self._recommender.history_of(np.array(movie_ids))
        return self._answer(lists, "model", movie_ids, history, Moment.after(0, self._recommender))

    def for_nobody(self, k: int) -> Answer:
        """The movies that most users liked."""
        return self._answer(self._recommender.for_nobody(k), "popular", [])

    def _answer(
        self,
        lists: TopK,
        source: Source,
        liked: Sequence[int],
        history: Interactions | None = None,
        moment: Moment | None = None,
    ) -> Answer:
        movie_ids = self._recommender.movie_ids_of(lists)[0]
        listed = movie_ids[movie_ids >= 0]
        reasons = self._reasons(listed, history, moment)
        mentioned = {liked_id for each in reasons for _, liked_id, _ in each}
        titles = titles_of(self._database, [*listed.tolist(), *liked, *mentioned])
        return Answer(
            source=source,
            model_version=self._champion.version.number,
            dataset=self._champion.version.dataset.name if self._champion.version.dataset else None,
            liked=[titles.get(int(movie_id), "?") for movie_id in liked],
            movies=[
                Recommended(
                    rank,
                    int(movie_id),
                    titles.get(int(movie_id), "?"),
                    float(score),
                    [Contribution(kind, liked_id, titles.get(liked_id, "?"), added) for kind, liked_id, added in likes],
                )
                for rank, (movie_id, score, likes) in enumerate(
                    zip(listed, lists.scores[0][movie_ids >= 0], reasons, strict=True), start=1
                )
            ],
            moment=moment,
        )

    def _reasons(
        self, movie_ids: IntArray, history: Interactions | None, moment: Moment | None
    ) -> list[list[tuple[Kind, int, float]]]:
        """For each movie what adds most to its score: kind, movie id of the like, and contribution."""
        if history is None or moment is None or len(movie_ids) == 0:
            return [[] for _ in movie_ids]
        explained = self._recommender.explain(history, movie_ids, moment.elapsed_seconds)
        added = np.hstack([explained.because_of, explained.after])
        liked = self._recommender.ids.movie_ids[history.stars.indices].tolist()
        sources: list[tuple[Kind, int]] = [("because of", movie) for movie in liked]
        sources += [("after", movie) for movie in liked]
        strongest = np.argsort(-added, axis=1, kind="stable")[:, :MAX_CONTRIBUTIONS]
        return [
            [(*sources[column], float(row[column])) for column in columns if row[column] > 0]
            for row, columns in zip(added, strongest, strict=True)
        ]
