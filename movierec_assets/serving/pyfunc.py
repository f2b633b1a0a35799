"""The registered model as MLflow loads it: this file is the model's code.

Belongs here: turning a table of questions into a table of answers. MLflow runs this file by its path when a version
is loaded, so it imports nothing from beside itself by relative path; `movierec_assets` must be installed.

Reference: "Models from Code" in the MLflow documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recommender import Recommender

DEFAULT_K = 20


class MovieRecommender(PythonModel):
    """Answers for known users, for people who like some movies, and for nobody in particular.

    Each row of the input is a question: with `user_id` for a user of the training data, else with `liked_movie_ids`
    for somebody who likes these movies, else for the most liked movies overall.
    """

    def load_context(self, context: Any) -> None:
        """Read the recommender's arrays from the artifacts of the version."""
        with np.load(context.artifacts["recommender"], allow_pickle=False) as arrays:
            self.recommender = Recommender.from_arrays(arrays)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Answer each question with a ranked list.

        Parameters
        ----------
        context
            MLflow's, unused here.
        model_input : DataFrame
            Columns `user_id` and `liked_movie_ids`, both optional, as may be their values.
        params : mapping
            `k`, the length of the lists.

        Returns
        -------
        DataFrame
            Columns `question` (row of the input), `rank` (from 1), `movie_id`, `score` and `source` (`model` or
            `popular`).
        """
        k = int((params or {}).get("k", DEFAULT_K))
        if k < 1:
            raise RecsysError(f"k is {k}; ask for at least one movie.")
        # A table without columns reaches us without rows: it asks for nobody in particular.
        questions = model_input.to_dict("records") or [{}]
        answers = [self._answer(question, row, k) for question, row in enumerate(questions)]
        return pd.concat(answers, ignore_index=True)

    def _answer(self, question: int, row: Mapping[Any, Any], k: int) -> pd.DataFrame:
        user_id, liked = row.get("user_id"), row.get("liked_movie_ids")
        source = "model"
        if user_id is not None and not pd.isna(user_id):
            lists = self.recommender.for_known(np.array([int(user_id)]), k)
        elif isinstance(liked, list | tuple | np.ndarray) and len(liked):
            lists = self.recommender.for_liked(np.asarray(liked, dtype=np.int64), k)
        else:
            lists, source = self.recommender.for_nobody(k), "popular"
        return self._table(question, lists, source)

    def _table(self, question: int, lists: TopK, source: str) -> pd.DataFrame:
        movie_ids = self.recommender.movie_ids_of(lists)[0]
        filled = movie_ids >= 0
        return pd.DataFrame(
            {
                "question": question,
                "rank": np.arange(1, len(movie_ids) + 1)[filled],
                "movie_id": movie_ids[filled].astype(np.int64),
                "score": lists.scores[0][filled].astype(np.float64),
                "source": source,
            }
        )


mlflow.models.set_model(MovieRecommender())
