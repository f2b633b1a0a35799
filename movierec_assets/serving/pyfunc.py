"""The registered model as MLflow loads it: this file is the model's code.

Belongs here: turning a table of questions into a table of answers. Does not: ranking (`recsys`). Every
version carries a copy of this file, and MLflow runs the copy when it loads the version. So the file has no relative
imports, `movierec_assets` must be installed, and the names that it imports must stay importable.

Reference: "Models from Code" in the MLflow documentation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from movierec_assets.datasets.times import parse_time
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import IntArray
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.moments import Moment

DEFAULT_K = 20


class MovieRecommender(PythonModel):
    """Answers for known users, for people who like some movies, and for people without likes.

    Each row of the input is a question: with `user_id` for a user of the training data, else with `liked_movie_ids`
    for somebody who likes these movies, else for the most liked movies overall. A known user may come with `at`, the
    time of the request. Without it, the answer is for a return, a day after the user's latest like in the training
    data, so that the answers of a version never depend on the clock. Liked movies are of the sitting that is going on.
    """

    def load_context(self, context: Any) -> None:
        """Read the recommender's arrays from the artifacts of the version."""
        with np.load(context.artifacts["recommender"], allow_pickle=False) as arrays:
            self.recommender = Recommender.from_arrays(arrays)
            self.dataset = str(arrays["dataset"]) if "dataset" in arrays else ""
        self.title_of = dict(zip(self.recommender.ids.movie_ids.tolist(), self.recommender.titles, strict=False))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Answer each question with a ranked list.

        Parameters
        ----------
        context
            MLflow's, unused here.
        model_input : DataFrame
            Columns `user_id`, `liked_movie_ids` and `at`, all optional, as may be their values. A time is Unix
            seconds, or ISO 8601, in UTC unless it names a zone. One before the user's latest like counts as one right
            after it, and a warning says so.
        params : mapping
            `k`, the length of the lists; `dataset`, the name of the dataset that the caller's ids belong to, which is
            compared with the model's when it is given.

        Returns
        -------
        DataFrame
            Columns `question` (row of the input), `rank` (from 1), `movie_id`, `title`, `score` and `source`
            (`model` or `popular`).

        Raises
        ------
        RecsysError
            When the caller's dataset is another one than the model's, fewer than one movie is asked for, a user is
            not known, or a time cannot be read.
        """
        asked_for = str((params or {}).get("dataset", ""))
        if asked_for and self.dataset and asked_for != self.dataset:
            raise RecsysError(
                f"This version was trained on {self.dataset}, and the ids are of {asked_for}, where the same numbers "
                f"name other movies. Load the version that is champion of {asked_for}."
            )
        k = int((params or {}).get("k", DEFAULT_K))
        if k < 1:
            raise RecsysError(f"k is {k}; ask for at least one movie.")
        # A table without columns arrives without rows: it is one question without likes.
        questions = model_input.to_dict("records") or [{}]
        answers = [self._answer(question, row, k) for question, row in enumerate(questions)]
        return pd.concat(answers, ignore_index=True)

    def _answer(self, question: int, row: Mapping[Any, Any], k: int) -> pd.DataFrame:
        user_id, liked = row.get("user_id"), row.get("liked_movie_ids")
        source = "model"
        if user_id is not None and not pd.isna(user_id):
            user, at = np.array([int(user_id)]), _seconds(row.get("at"))
            lists = self.recommender.for_known(user, k, at)
            if note := self._note(user, at):
                warnings.warn(f"Question {question}, user {int(user_id)}: {note}", stacklevel=3)
        elif isinstance(liked, list | tuple | np.ndarray) and len(liked):
            lists = self.recommender.for_liked(np.asarray(liked, dtype=np.int64), k)
        else:
            lists, source = self.recommender.for_nobody(k), "popular"
        return self._table(question, lists, source)

    def _note(self, user: IntArray, at: float | None) -> str | None:
        """What is unusual about the time of a request, in the words of the API; None where nothing is."""
        latest = self.recommender.latest_at
        if at is None or latest is None:
            return None
        (like,) = latest[self.recommender.ids.users_at(user)].tolist()
        return Moment.of(math.floor(at), like, self.recommender).note

    def _table(self, question: int, lists: TopK, source: str) -> pd.DataFrame:
        movie_ids = self.recommender.movie_ids_of(lists)[0]
        filled = movie_ids >= 0
        return pd.DataFrame(
            {
                "question": question,
                "rank": np.arange(1, len(movie_ids) + 1)[filled],
                "movie_id": movie_ids[filled].astype(np.int64),
                "title": [self.title_of.get(movie_id, "") for movie_id in movie_ids[filled].tolist()],
                "score": lists.scores[0][filled].astype(np.float64),
                "source": source,
            }
        )


def _seconds(at: Any) -> float | None:
    """Unix seconds of a time; None where there is none."""
    if at is None or (pd.api.types.is_scalar(at) and pd.isna(at)):
        return None
    if isinstance(at, str) and (read := parse_time(at.strip())) is not None:
        return float(read.seconds)
    if isinstance(at, datetime):
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    if isinstance(at, int | float | np.integer | np.floating) and not isinstance(at, bool) and np.isfinite(at):
        return float(at)
    raise RecsysError(f"{at!r} is not a time; give Unix seconds, or ISO 8601 such as 2018-09-24T14:30:00+02:00.")


mlflow.models.set_model(MovieRecommender())
