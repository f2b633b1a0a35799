"""The history of decisions: its rows, and the champions in it.

Belongs here: the row of a decision, and questions about all rows: which versions were champion, on which data, and
which of them can be champion again. Does not: changing the champion (`decisions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from movierec_assets.models.version import (
    CHAMPION,
    DATASET,
    DATASET_ID,
    MODEL_NAME,
    POSITIVE_THRESHOLD,
    POSITIVES_FINGERPRINT,
    LearningProblem,
    Version,
    other_data,
)
from movierec_assets.recsys.promotion import standing
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.known_datasets import DatasetRef

TABLE = f"{SCHEMA}.promotion_decisions"
NAMES = (
    *("decision_id", "decided_at", "model_version", "previous_champion", "outcome", "promoted", "reason", "numbers"),
    *("dagster_run_id", "decided_by", "state", "version_tags"),
)
COLUMNS = ", ".join(NAMES)
"""Columns of the table, in the order of the fields of `Record`."""
EVENTS = f"SELECT {COLUMNS} FROM {TABLE} WHERE (promoted OR outcome = 'lost') AND state = 'done' ORDER BY decision_id"
"""Query for the changes of the champion, oldest first: promotions that took effect, and losses."""
LAST_EVENT = f"{EVENTS} DESC LIMIT 1"
MODEL_DELETED = "model_deleted"
"""Key among the numbers of a loss: all versions were deleted, and MLflow numbers new ones from 1 again."""
SINCE_DELETION = f"decision_id > coalesce((SELECT max(decision_id) FROM {TABLE} WHERE numbers ? '{MODEL_DELETED}'), 0)"
"""Condition of decisions about the present versions: earlier ones are about other versions of the same numbers."""

_RUN_ID = "mlflow_run_id"
_KEPT_TAGS = ("recipe", POSITIVES_FINGERPRINT, DATASET_ID, DATASET)


@dataclass(frozen=True)
class Record:
    """A row of the history.

    Attributes
    ----------
    id : int
    decided_at : datetime
    version : int
        Version that the decision is about.
    previous : int or None
        Champion at that moment; for a loss, the version that was lost.
    outcome : str
        See `recsys.promotion.Decision`.
    promoted : bool
    reason : str
    numbers : dict of str to float
    dagster_run_id : str or None
    decided_by : str
    state : {"pending", "done", "abandoned"}
        Abandoned: the alias never moved, because MLflow did not answer or the process ended.
    version_tags : dict of str
        Tags of the version, which remain when it is deleted in MLflow; empty in rows of earlier releases.
    """

    id: int
    decided_at: datetime
    version: int
    previous: int | None
    outcome: str
    promoted: bool
    reason: str
    numbers: dict[str, float]
    dagster_run_id: str | None
    decided_by: str
    state: str
    version_tags: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values under the table's names, without the tags of the version."""
        found = dict(zip(NAMES, vars(self).values(), strict=True)) | {"decided_at": self.decided_at.isoformat()}
        return {name: value for name, value in found.items() if name != "version_tags"}

    @property
    def shown_outcome(self) -> str:
        """The outcome, with the state of a decision that was not carried out."""
        return self.outcome if self.state == "done" else f"{self.outcome} ({self.state})"

    def is_about(self, version: Version) -> bool:
        """Whether the decision is about this version, and not about a deleted one of the same number."""
        run_id = self.version_tags.get(_RUN_ID)
        return version.number == self.version and run_id in (None, version.run_id)

    def remembered(self) -> Version:
        """The version by its tags in this row, without its artifacts."""
        return Version(self.version, self.version_tags.get(_RUN_ID, ""), "", self.version_tags)


def promotion_in(events: Sequence[Record]) -> Record | None:
    """The first of some events when it is a promotion; None when it is a loss, or there is none."""
    return events[0] if events and events[0].promoted else None


def explains(latest: Record | None, champion: Version | None) -> bool:
    """Whether the latest promotion made the version that has the alias."""
    if latest is None or champion is None:
        return latest is None and champion is None
    return latest.is_about(champion)


def tags_to_keep(version: Version) -> dict[str, str]:
    """Tags of a version that each decision about it stores."""
    kept = {name: version.tags[name] for name in _KEPT_TAGS if name in version.tags}
    if version.positive_threshold is not None:
        kept[POSITIVE_THRESHOLD] = str(version.positive_threshold)
    return kept | {_RUN_ID: version.run_id}


@dataclass(frozen=True)
class Loss:
    """A champion that was lost in MLflow.

    Attributes
    ----------
    version : int
    cause : {"alias", "version", "model"}
        Which of them was removed.
    remedy : int or None
        Version that can be promoted instead; None when there is none.
    """

    version: int
    cause: Literal["alias", "version", "model"]
    remedy: int | None

    @property
    def happened(self) -> str:
        """The removal in MLflow, without a full stop."""
        return {
            "alias": f"The alias {CHAMPION} was removed from version {self.version} in MLflow",
            "version": f"Version {self.version}, the champion, was deleted in MLflow",
            "model": f"The model {MODEL_NAME} was deleted in MLflow, with champion {self.version} and all others",
        }[self.cause]

    def __str__(self) -> str:
        consequence = "No version is the champion now, and the tables of recommendations stay as they are."
        again = " again" if self.remedy == self.version else ""
        remedy = (
            "Train a new one with `movierec run --job train`."
            if self.remedy is None
            else f"`movierec model promote {self.remedy}` makes version {self.remedy} the champion{again}."
        )
        return f"{self.happened}. {consequence} {remedy}"


class History:
    """Events of the champion, and the versions that the registry holds.

    Parameters
    ----------
    events : sequence of Record
        All events, oldest first. Events before the latest deletion of the registered model are ignored: they are about
        other versions of the same numbers.
    versions : sequence of Version
        All versions in the registry.
    """

    def __init__(self, events: Sequence[Record], versions: Sequence[Version]) -> None:
        deletions = [index for index, event in enumerate(events) if event.numbers.get(MODEL_DELETED)]
        self._events = list(events[deletions[-1] + 1 :] if deletions else events)
        self._versions: Mapping[int, Version] = {version.number: version for version in versions}

    def standing(self, problem: LearningProblem) -> list[int]:
        """Numbers of the problem's champions that no rollback undid, the latest first; some may be deleted.

        Only moves between versions of the problem count: a rollback on one dataset undoes nothing on another.
        """
        moves = [
            (event.version, event.outcome == "rollback")
            for event in self._events
            if event.promoted and problem.includes(self._trained(event))
        ]
        return standing(moves)[::-1]

    def returnable(self, problem: LearningProblem) -> list[Version]:
        """The problem's champions that no rollback undid and that the registry holds, the latest first, each once."""
        found = {number: self._present(self._last_promotion(number)) for number in self.standing(problem)}
        return [version for version in found.values() if version is not None]

    def of_other_data(self, loaded: DatasetRef | None) -> list[Version]:
        """The `returnable` champions of other datasets than the loaded one, the latest first."""
        trained = (self._trained(event).dataset for event in self._events)
        datasets = {dataset.id for dataset in trained if dataset is not None}
        champions = {version.number: version for each in datasets for version in self.returnable(LearningProblem(each))}
        found = [version for version in champions.values() if other_data(version, loaded) is not None]
        return sorted(found, key=lambda version: -self._last_promotion(version.number).id)

    def incumbent(self, champion: Version | None, problem: LearningProblem) -> Version | None:
        """The version that a challenger for this problem has to beat.

        It is the champion when that is of this problem, else the problem's last champion; None when that was lost.
        """
        if champion is not None and problem.includes(champion):
            return champion
        events = [event for event in self._events if problem.includes(self._trained(event))]
        lost = not events or events[-1].outcome == "lost" or (champion is None and events[-1] is self._events[-1])
        return None if lost else next(iter(self.returnable(problem)), None)

    def promoted_after(self, number: int, other: int) -> bool:
        """Whether one champion was promoted later than another."""
        return self._last_promotion(number).id > self._last_promotion(other).id

    def loss(self, event: Record, problem: LearningProblem, *, model_exists: bool) -> Loss:
        """How the champion of the last event was lost, and which version of the problem can replace it."""
        replaced = any(
            each.version in self._versions and not each.is_about(self._versions[each.version]) for each in self._events
        )
        present = self._present(event) is not None and not event.numbers.get(MODEL_DELETED)
        if not present and (event.numbers.get(MODEL_DELETED) or not model_exists or replaced):
            return Loss(event.version, "model", None)
        remedy = next((version.number for version in self.returnable(problem)), None)
        return Loss(event.version, "alias" if present else "version", remedy)

    def _last_promotion(self, number: int) -> Record:
        return next(event for event in reversed(self._events) if event.promoted and event.version == number)

    def _present(self, event: Record) -> Version | None:
        """The version that an event is about; None when the registry no longer holds it."""
        version = self._versions.get(event.version)
        return version if version is not None and event.is_about(version) else None

    def _trained(self, event: Record) -> Version:
        return self._present(event) or event.remembered()
