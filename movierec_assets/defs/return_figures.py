"""Figures of the scores on return: means, differences, and their intervals.

Belongs here: everything that follows from the rows of `return_evaluation`, for the assets and checks that look at it.
Does not: making the rows (`return_evaluation`), the rule about a loss on return (`recsys.promotion`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from movierec_assets.models.version_page import PREFIXES, RETURN
from movierec_assets.recsys.comparison import Interval, mean_intervals
from movierec_assets.recsys.evaluation import HEADLINE
from movierec_assets.recsys.promotion import OnReturn
from movierec_assets.recsys.rankers import CHAMPION, MODEL, WITHOUT_SIGNAL
from movierec_assets.recsys.report import markdown_table
from movierec_assets.settings import get_settings

METRICS = ("precision_at_10", "recall_at_10", "map_at_10", HEADLINE, "hit_rate_at_10")
"""Metrics that are shown and logged."""


@dataclass(frozen=True)
class ReturnFigures:
    """Means of the scores on return; intervals respect that a user may come back in several windows.

    Attributes
    ----------
    intervals : mapping of str to mapping of str to Interval
        By ranker and metric, of METRICS; empty where too few users came back.
    difference : Interval or None
        NDCG@10 of the challenger's recipe minus that of the champion's; None where that is the same or was not scored.
    over_signal : Interval or None
        NDCG@10 with the next-movie signal minus without it; None where the recipe has no signal.
    windows, scores, users : int
        Windows, scored pairs of user and window, and users.
    """

    intervals: Mapping[str, Mapping[str, Interval]]
    difference: Interval | None
    over_signal: Interval | None
    windows: int
    scores: int
    users: int

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Of the rows of `return_evaluation`."""
        rankers = {str(ranker): rows for ranker, rows in frame.groupby("ranker", sort=False)}
        if not rankers:
            return cls({}, None, None, 0, 0, 0)
        own = rankers[MODEL]
        columns = {(ranker, name): rows[name].to_numpy() for ranker, rows in rankers.items() for name in METRICS}
        others = [other for other in (CHAMPION, WITHOUT_SIGNAL) if other in rankers]
        differences = [columns[MODEL, HEADLINE] - columns[other, HEADLINE] for other in others]
        scores = np.column_stack([*columns.values(), *differences])
        found = mean_intervals(scores, groups=own["user_id"].to_numpy())
        named = dict(zip([*columns, *others], found, strict=True))
        return cls(
            {ranker: {name: named[ranker, name] for name in METRICS} for ranker in rankers},
            named.get(CHAMPION),
            named.get(WITHOUT_SIGNAL),
            int(own["window"].nunique()),
            len(own),
            int(own["user_id"].nunique()),
        )

    @property
    def found(self) -> bool:
        """Whether enough users came back to be scored."""
        return bool(self.intervals)

    @property
    def compared(self) -> OnReturn:
        """The challenger's recipe beside the champion's, as the rule of promotion looks at it."""
        return OnReturn(self.users, self._ndcg(MODEL), self._ndcg(CHAMPION), self.difference)

    def _ndcg(self, ranker: str) -> float | None:
        return self.intervals[ranker][HEADLINE].mean if ranker in self.intervals else None

    @property
    def about(self) -> str:
        """Users and windows, for people."""
        if not self.found:
            return f"Fewer than {get_settings().min_evaluated_users} users came back, so nothing is scored on return."
        return f"{self.users:,} users who came back, {self.scores:,} times in {self.windows} windows of time"

    def metrics(self, of_model: str = MODEL) -> dict[str, float]:
        """Figures as MLflow has them, named `<prefix of the ranker>return_<metric>`.

        Parameters
        ----------
        of_model : str
            The ranker whose figures have no prefix. The champion's recipe has only its own and those of the others
            that depend on no recipe.
        """
        found: dict[str, float] = {}
        for ranker, of in self.intervals.items():
            if of_model == CHAMPION and ranker in (MODEL, WITHOUT_SIGNAL):
                continue
            prefix = f"{'' if ranker == of_model else PREFIXES[ranker]}{RETURN}"
            found |= {f"{prefix}{name}": interval.mean for name, interval in of.items()}
            if ranker == of_model:
                found |= {f"{prefix}{HEADLINE}_low": of[HEADLINE].low, f"{prefix}{HEADLINE}_high": of[HEADLINE].high}
        return found

    def as_markdown(self) -> str:
        """A table of the rankers, and the differences."""
        if not self.found:
            return f"{self.about}\n"
        header = ["mean, 95 % interval", *(name.replace("_at_", "@").replace("_", " ") for name in METRICS)]
        rows = ([ranker, *(str(of[name]) for name in METRICS)] for ranker, of in self.intervals.items())
        lines = [f"{self.about}. Fits saw nothing as late as the beginning of a window.", ""]
        lines += [markdown_table(header, rows)]
        for text, difference in (
            ("NDCG@10 of the challenger's recipe minus that of the champion's recipe", self.difference),
            ("NDCG@10 with the next-movie signal minus that without it", self.over_signal),
        ):
            if difference is not None:
                lines += ["", f"{text}: {difference.signed}."]
        return "\n".join(lines) + "\n"
