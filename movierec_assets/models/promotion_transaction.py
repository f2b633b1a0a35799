"""One change of the champion, under the lock: settle earlier changes, then decide and carry out.

Belongs here: the writes to the history and the alias, in the order that `decisions` describes. Does not: taking the
lock, and requests of a person (`decisions`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.models import holds
from movierec_assets.models.decision_history import (
    COLUMNS,
    EVENTS,
    LAST_EVENT,
    MODEL_DELETED,
    NAMES,
    TABLE,
    History,
    Record,
    explains,
    promotion_in,
    tags_to_keep,
)
from movierec_assets.models.errors import PromotionError, RegistryUnavailableError
from movierec_assets.models.holds import Hold
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION, LearningProblem, Version, other_data
from movierec_assets.recsys.promotion import Decision
from movierec_assets.tables.known_datasets import DatasetRef

_SEEN_BY = "noticed afterwards"


@dataclass(frozen=True)
class Incumbent:
    """The last champion of a learning problem that was not rolled back, deleted or lost.

    Attributes
    ----------
    found : Version or None
        None when there is no such version.
    fault : str or None
        The fault of its files, without a full stop; None when it loads.
    """

    found: Version | None
    fault: str | None

    @classmethod
    def of(
        cls, registry: ModelRegistry, history: History, champion: Version | None, problem: LearningProblem
    ) -> Incumbent:
        """Find the version in the history and the registry, and load it once."""
        found = history.incumbent(champion, problem)
        if found is not None and not found.has_recipe:
            return cls(found, "it records no recipe, as after a training that was killed")
        return cls(found, None if found is None else registry.fault_of(found))

    @property
    def version(self) -> Version | None:
        """The version to compare with; None when there is none, or it does not load."""
        return self.found if self.fault is None else None

    @property
    def why_unusable(self) -> str | None:
        """Why the version that was found cannot be compared with, without a full stop; None when it can."""
        if self.found is None or self.fault is None:
            return None
        return f"version {self.found.number} cannot be loaded: {self.fault}"


class PromotionTransaction:
    """The right to change the champion; `Promotions.transaction` opens it.

    Attributes
    ----------
    champion : Version or None
        Champion now.
    loaded : DatasetRef or None
        The dataset in the tables.
    noticed : Record or None
        A change of the alias in MLflow, noted at the beginning of this transaction.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        cursor: Cursor,
        decided_by: str,
        dagster_run_id: str | None,
        loaded: DatasetRef | None,
    ) -> None:
        self._registry = registry
        self._cursor = cursor
        self._decided_by = decided_by
        self._dagster_run_id = dagster_run_id
        self.loaded = loaded
        self.champion: Version | None = None
        self.noticed: Record | None = None

    def settle(self) -> None:
        """Finish or abandon pending decisions, and note a change of the alias that was made in MLflow."""
        self.champion = self._registry.by_alias(CHAMPION)
        for pending in self._records(f"SELECT {COLUMNS} FROM {TABLE} WHERE state = 'pending'"):
            self._settle_pending(pending)
        latest = self.latest()
        if explains(latest, self.champion):
            return
        if latest is not None and (self.champion is None or latest.version == self.champion.number):
            self.noticed, latest = self._note_loss(latest), None
        if self.champion is not None:
            self.noticed = self._note_move(self.champion, latest)

    def latest(self) -> Record | None:
        """The decision that made the champion; None when the champion was lost."""
        return promotion_in(self._records(LAST_EVENT))

    def incumbent(self, problem: LearningProblem) -> Incumbent:
        """The version that a challenger for this problem has to beat."""
        return Incumbent.of(self._registry, self._history(), self.champion, problem)

    def holds(self, dataset_id: int | None = None) -> list[Hold]:
        """Holds that nobody released, oldest first; only those on one dataset when it is given."""
        return holds.unreleased(self._cursor, dataset_id)

    def previous(self) -> tuple[Version, list[Version]]:
        """The version that a rollback returns to, and later champions of other data that it passes over.

        A version of the loaded data comes before one of other data.

        Raises
        ------
        PromotionError
            When there is none.
        """
        history, now = self._history(), self.champion.number if self.champion else None
        ours, others = (
            [version for version in versions if version.number != now]
            for versions in (history.returnable(LearningProblem.of(self.loaded)), history.of_other_data(self.loaded))
        )
        if ours:
            return ours[0], [each for each in others if history.promoted_after(each.number, ours[0].number)]
        if others:
            return others[0], []
        deleted = [number for number in dict.fromkeys(history.standing(LearningProblem())) if number != now]
        gone = f" (deleted from the registry: {', '.join(map(str, deleted))})" if deleted else ""
        champion = "No version is the champion" if now is None else f"Version {now} is the champion"
        raise PromotionError(f"Nothing to roll back to: {champion}, and there is no earlier one{gone}.")

    def carry_out(self, number: int, decision: Decision) -> Record:
        """Move the alias if the decision is a promotion, and write the decision to the history.

        A promotion by hand and a rollback hold back the champion that they replace, see `Hold`.

        Raises
        ------
        NoSuchVersionError
        RegistryUnavailableError
            When MLflow stops answering. The next transaction finds out which version is the champion.
        """
        version, replaced = self._registry.version(number), self.champion
        previous, tags = replaced.number if replaced else None, tags_to_keep(version)
        if not decision.promoted:
            self._registry.record(number, decision)
            return self._add(number, previous, decision, "done", self._decided_by, tags)
        record = self._add(number, previous, decision, "pending", self._decided_by, tags)
        try:
            self._registry.record(number, decision)
        except Exception:
            # The alias may have moved before the error. While MLflow is away the row stays pending, and the next
            # transaction settles it.
            with suppress(RegistryUnavailableError):
                self._registry.require_reachable()
                self.settle()
            raise
        with self._commit_together():
            self._set_state(record.id, "done")
            self._hold(record, version, replaced)
        self.champion = self._registry.by_alias(CHAMPION)
        return replace(record, state="done")

    def _settle_pending(self, pending: Record) -> None:
        """Finish a promotion whose alias moved; abandon one whose alias did not move."""
        champion = self.champion
        if champion is None or champion.number != pending.version:
            self._set_state(pending.id, "abandoned")
            return
        self._registry.note(pending.version, pending.outcome, pending.reason)
        latest = self.latest()
        with self._commit_together():
            self._set_state(pending.id, "done")
            self._hold(pending, champion, self._trained(latest) if latest else None)

    def _note_loss(self, latest: Record) -> Record:
        """Write to the history that the champion was lost, and how to get one again."""
        model_exists = self._registry.exists()
        loss = self._history().loss(latest, LearningProblem.of(self.loaded), model_exists=model_exists)
        numbers = {MODEL_DELETED: 1.0} if loss.cause == "model" else {}
        if loss.cause == "alias":
            self._registry.note(latest.version, "lost", str(loss))
        decision = Decision(False, "lost", str(loss), numbers)
        return self._add(latest.version, latest.version, decision, "done", f"MLflow ({_SEEN_BY})", latest.version_tags)

    def _note_move(self, champion: Version, latest: Record | None) -> Record:
        """Write a move of the alias in MLflow to the history, as a promotion by hand."""
        before = f"from version {latest.version}" if latest else "where no version had it"
        reason = (
            f"The alias {CHAMPION} was moved to version {champion.number} in MLflow, {before}; no decision says why."
        )
        replaced = self._trained(latest) if latest else None
        self._registry.note(champion.number, "manual", reason)
        decision, by = Decision(True, "manual", reason), f"MLflow ({_SEEN_BY})"
        with self._commit_together():
            previous = latest.version if latest else None
            record = self._add(champion.number, previous, decision, "done", by, tags_to_keep(champion))
            self._hold(record, champion, replaced)
        return record

    def _hold(self, record: Record, promoted: Version, replaced: Version | None) -> None:
        """Hold back the champion that a person replaced, and release the version that the person promoted.

        A champion of other data, or of the same recipe and likes, is not held back: the person did not reject it.
        """
        if record.outcome not in ("manual", "rollback"):
            return
        released = [hold for hold in self.holds() if hold.covers_version(promoted)]
        holds.release(self._cursor, released, record.decided_by)
        if replaced is None or other_data(replaced, promoted.dataset) is not None or replaced.learned_as(promoted):
            return
        holds.add(self._cursor, replaced, record.id, record.reason, record.decided_by)

    def _trained(self, record: Record) -> Version:
        """The version of a decision; of rows of earlier releases, which have no tags, as the registry holds it."""
        found = None if record.version_tags else self._registry.find(record.version)
        return found or record.remembered()

    def _history(self) -> History:
        return History(self._records(EVENTS), self._registry.versions())

    def _add(
        self,
        number: int,
        previous: int | None,
        decision: Decision,
        state: str,
        decided_by: str,
        version_tags: dict[str, str],
    ) -> Record:
        values = [number, previous, decision.outcome, decision.promoted, decision.reason]
        values += [json.dumps(dict(decision.numbers)), self._dagster_run_id, decided_by, state]
        values.append(json.dumps(version_tags))
        names, slots = NAMES[-len(values) :], ["%s"] * len(values)
        return self._records(
            f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES ({', '.join(slots)}) RETURNING {COLUMNS}", values
        )[0]

    def _set_state(self, decision_id: int, state: str) -> None:
        self._cursor.execute(f"UPDATE {TABLE} SET state = %s WHERE decision_id = %s", [state, decision_id])

    @contextmanager
    def _commit_together(self) -> Iterator[None]:
        """Commit the statements of the block together; the connection of the lock commits each one otherwise."""
        self._cursor.execute("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(psycopg2.Error):
                self._cursor.execute("ROLLBACK")
            raise
        self._cursor.execute("COMMIT")

    def _records(self, query: str, parameters: Sequence[Any] = ()) -> list[Record]:
        self._cursor.execute(query, parameters)
        return [Record(*row) for row in self._cursor.fetchall()]
