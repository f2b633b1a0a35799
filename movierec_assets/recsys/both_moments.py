"""NDCG@10 of several rankers at the two moments of a request: in the sitting, and on return.

Belongs here: the scores at each moment, their intervals, and the gain by the next-movie signal. Does not: the lists
(`scoring`), dividing by time (`split`), and tables (`report`).

In the sitting, the likes to find are each user's latest ones: most follow the like before within an hour. On return,
they are all likes of the time after a cut, and nothing from after the cut is known of anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np

from movierec_assets.recsys.comparison import Interval, mean_intervals
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.rankers import MODEL, WITHOUT_SIGNAL

MomentName = Literal["in the sitting", "on return"]
IN_THE_SITTING: MomentName = "in the sitting"
ON_RETURN: MomentName = "on return"


@dataclass(frozen=True)
class MomentScores:
    """Scores at one moment.

    Attributes
    ----------
    name : {"in the sitting", "on return"}
    ndcg : mapping of str to float array, each of shape (n_scores,)
        NDCG@10 by ranker, for the same users; NaN for users that a ranker is not scored for.
    users : int array, shape (n_scores,)
        The user of each score. On return, a user has a score for each window of time in which the user came back.
    windows : int or None
        Number of windows; None in the sitting.
    sampled_from : int or None
        Number of users that the scored ones are a sample of; None where nobody was left out.
    """

    name: MomentName
    ndcg: Mapping[str, FloatArray]
    users: IntArray
    windows: int | None = None
    sampled_from: int | None = None

    @classmethod
    def in_the_sitting(cls, ndcg: Mapping[str, FloatArray], users: IntArray) -> Self:
        """Scores of the users of a leave-latest-out task."""
        return cls(IN_THE_SITTING, ndcg, users)

    @classmethod
    def on_return(
        cls, ndcg: Mapping[str, FloatArray], users: IntArray, windows: int, sampled_from: int | None = None
    ) -> Self:
        """Scores of the users of all windows, one window after the other, see `returns.Returns`."""
        return cls(ON_RETURN, ndcg, users, windows, sampled_from)

    @property
    def n_users(self) -> int:
        """Number of different users."""
        return len(np.unique(self.users))

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """Mean NDCG@10 by ranker; all scores of a user are drawn together."""
        columns = np.column_stack(list(self.ndcg.values()))
        return dict(zip(self.ndcg, mean_intervals(columns, groups=self.users), strict=True))

    def lead(self, ranker: str, other: str) -> Interval:
        """Mean difference of NDCG@10 between two rankers, over the users that both are scored for."""
        return mean_intervals((self.ndcg[ranker] - self.ndcg[other])[:, None], groups=self.users)[0]

    @cached_property
    def signal_gain(self) -> Interval | None:
        """Difference that the next-movie signal makes; None where the recipe has none."""
        return self.lead(MODEL, WITHOUT_SIGNAL) if {MODEL, WITHOUT_SIGNAL} <= self.ndcg.keys() else None
