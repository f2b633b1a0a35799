"""Changes of the champion, one at a time, and reading their history.

Belongs here: the lock, promotion and rollback by a person, and questions that need no lock. Does not: the writes of a
change (`promotion_transaction`), the champions in the history (`decision_history`), holds (`holds`), the
rule (`recsys.promotion`), alias and tags (`registry`).

The steps of a change: take the lock; settle earlier changes; decide; write the decision as pending; move the alias;
write the tags; set the decision to done. After a failure at any step one valid version is champion, and the next
transaction finds the pending row and compares it with the alias. The alias in MLflow is the truth: when somebody moved
or removed it in MLflow, the next transaction adds a decision that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from psycopg2 import errors

from movierec_assets.models import holds
from movierec_assets.models.decision_history import (
    COLUMNS,
    EVENTS,
    LAST_EVENT,
    SINCE_DELETION,
    TABLE,
    History,
    Loss,
    Record,
    explains,
    promotion_in,
)
from movierec_assets.models.errors import NoChampionError, PromotionBusyError, PromotionError, VersionFilesError
from movierec_assets.models.holds import Hold
from movierec_assets.models.promotion_transaction import Incumbent, PromotionTransaction
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION, LearningProblem, OtherData, Version, other_data
from movierec_assets.recsys.promotion import HELD, Decision
from movierec_assets.settings import get_settings
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import DatasetRef, loaded_dataset
from movierec_assets.tables.served import served_versions

__all__ = ["Hold", "Loss", "OtherData", "PromotionTransaction", "Promotions", "Record"]

WAIT_SECONDS = 120.0
"""Longest wait of a promotion for another one, which takes a few seconds."""


class Promotions:
    """Changes of the champion, and their history.

    Parameters
    ----------
    registry : ModelRegistry
    database : Database
        Has the history, and the lock under which the champion is changed.
    wait : float
        Seconds to wait for another change.
    """

    def __init__(self, registry: ModelRegistry, database: Database, wait: float = WAIT_SECONDS) -> None:
        self.registry = registry
        self._database = database
        self._wait = wait

    def history(
        self, limit: int | None = None, *, version: int | None = None, since_deletion: bool = False
    ) -> list[Record]:
        """Decisions, newest first; only those about one version when it is given.

        Those about a version begin after the latest deletion of the registered model: earlier ones are about another
        version of the same number. With `since_deletion`, all begin there.
        """
        conditions = [
            *(["(model_version = %(version)s OR previous_champion = %(version)s)"] if version is not None else []),
            *([SINCE_DELETION] if since_deletion or version is not None else []),
        ]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        query = f"SELECT {COLUMNS} FROM {TABLE} {where} ORDER BY decision_id DESC LIMIT %(limit)s"
        return self._records(query, {"version": version, "limit": limit})

    def latest(self) -> Record | None:
        """The decision that made the champion; None when the champion was lost, or there never was one."""
        return promotion_in(self._records(LAST_EVENT))

    def champion(self) -> Version:
        """The champion.

        Raises
        ------
        NoChampionError
            The message says how to get one again when it was lost.
        RegistryUnavailableError
        """
        with self.registry.reachable():
            found = self.registry.by_alias(CHAMPION)
            if found is None:
                loss = self.loss()
                raise NoChampionError(None if loss is None else str(loss))
            return found

    def loss(self) -> Loss | None:
        """How the champion was lost; None when there is one, or there never was one."""
        event = next(iter(self._records(LAST_EVENT)), None)
        with self.registry.reachable():
            if event is None or self.registry.by_alias(CHAMPION) is not None:
                return None
            problem = LearningProblem.of(loaded_dataset(self._database))
            return self._history().loss(event, problem, model_exists=self.registry.exists())

    def incumbent(self, dataset_id: int | None, threshold: float | None) -> Version | None:
        """The version that a challenger has to beat; None when there is none, or its files cannot be read."""
        problem = LearningProblem(dataset_id, threshold)
        with self.registry.reachable():
            return Incumbent.of(self.registry, self._history(), self.registry.by_alias(CHAMPION), problem).version

    def broken_champion(self) -> str | None:
        """Why the champion does not load, and the remedy; None when it loads, or there is none."""
        with self.registry.reachable():
            champion = self.registry.by_alias(CHAMPION)
            if champion is None:
                return None
            try:
                self.registry.load(champion)
            except VersionFilesError as error:
                return str(error)
            return None

    def other_data(self, version: Version) -> OtherData | None:
        """The version's dataset and the loaded one when they differ; None when they are the same, or one is unknown."""
        return other_data(version, loaded_dataset(self._database))

    def holds(self, dataset_id: int | None = None) -> list[Hold]:
        """Holds that nobody released, oldest first; only those on one dataset when it is given."""
        with self._database.transaction() as cursor:
            return holds.unreleased(cursor, dataset_id)

    def release(self, who: str, version: int | None = None) -> list[Hold]:
        """Release all holds, or those that hold a version back; returns the released holds.

        Raises
        ------
        NoSuchVersionError, RegistryUnavailableError
            When no hold names the version, and the registry does not have it or does not answer.
        """
        found = self.holds()
        if version is not None:
            named = [hold for hold in found if hold.version == version]
            found = named or self._covering(version, found)
        with self._database.transaction() as cursor:
            holds.release(cursor, found, who)
        return found

    def _covering(self, number: int, found: Sequence[Hold]) -> list[Hold]:
        with self.registry.reachable():
            version = self.registry.version(number)
        return [hold for hold in found if hold.covers_version(version)]

    def kept_by_score(self) -> dict[int, int | None]:
        """Versions that were scored and not promoted, each with the champion at that moment; without held versions."""
        rows = self._database.rows(
            f"""SELECT model_version, previous_champion FROM {TABLE}
                WHERE outcome IN ('kept', 'rejected') AND NOT numbers ? '{HELD}' AND {SINCE_DELETION}
                ORDER BY decision_id"""
        )
        return dict(rows)

    def champions(self) -> History:
        """Events of the champion, with the versions that the registry holds."""
        with self.registry.reachable():
            return self._history()

    def settled(self) -> bool:
        """Whether no decision is pending, and the version with the alias was promoted last."""
        with self.registry.reachable():
            champion = self.registry.by_alias(CHAMPION)
        pending = self._database.scalar(f"SELECT count(*) FROM {TABLE} WHERE state = 'pending'")
        return not pending and explains(self.latest(), champion)

    def _records(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[Record]:
        return [Record(*row) for row in self._database.rows(query, parameters or ())]

    def _history(self) -> History:
        return History(self._records(EVENTS), self.registry.versions())

    def served(self) -> dict[str, int | None]:
        """Model version of the rows in each serving table; None where there are no rows."""
        return served_versions(self._database)

    @contextmanager
    def transaction(
        self, decided_by: str, dagster_run_id: str | None = None, wait: float | None = None
    ) -> Iterator[PromotionTransaction]:
        """Lock out every other change of the champion until the end of the block.

        Parameters
        ----------
        decided_by : str
            Recorded with the decisions of the transaction.
        dagster_run_id : str, optional
        wait : float, optional
            Seconds to wait for another transaction, when it is another time.

        Yields
        ------
        PromotionTransaction
            Earlier changes are settled.

        Raises
        ------
        RegistryUnavailableError, PromotionBusyError
        """
        wait = self._wait if wait is None else wait
        with self.registry.reachable(), self._database.connect() as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{max(1, int(wait * 1000))}ms"])
                try:
                    take_lock(cursor, "promotion", until="session ends")
                except errors.LockNotAvailable as error:
                    raise PromotionBusyError(wait) from error
                # Decisions are written on the connection of the lock: when that is lost, nothing is written.
                transaction = PromotionTransaction(
                    self.registry, cursor, decided_by, dagster_run_id, loaded_dataset(self._database)
                )
                transaction.settle()
                yield transaction
        self._copy(transaction.champion)

    def _copy(self, champion: Version | None) -> None:
        """Copy the champion to the local disk; a champion that does not load is an error where it is used."""
        if champion is not None:
            with suppress(Exception):
                self.registry.load_copied(champion)

    def promote(
        self, number: int, reason: str, decided_by: str, dagster_run_id: str | None = None, *, force: bool = False
    ) -> Record:
        """Make a version the champion because a person asks for it.

        Parameters
        ----------
        number : int
        reason, decided_by : str
        dagster_run_id : str, optional
        force : bool
            Also promote a version of other data than the loaded one.

        Raises
        ------
        NoSuchVersionError, PromotionError, RegistryUnavailableError
        """
        with self.registry.reachable():
            self._require_usable(self.registry.version(number))
        with self.transaction(decided_by, dagster_run_id) as transaction:
            if transaction.champion is not None and transaction.champion.number == number:
                raise PromotionError(f"Version {number} is the champion already.")
            remarks = _remarks(self.registry.version(number), transaction.loaded, force=force)
            return transaction.carry_out(number, Decision(True, "manual", _sentences(reason, remarks)))

    def rollback(
        self, reason: str, decided_by: str, dagster_run_id: str | None = None, *, force: bool = False
    ) -> Record:
        """Make the previous champion of the loaded data the champion again, skipping deleted versions.

        Parameters
        ----------
        reason, decided_by : str
        dagster_run_id : str, optional
        force : bool
            Return to a version of other data when no version of the loaded data is left.

        Raises
        ------
        PromotionError, RegistryUnavailableError
        """
        with self.transaction(decided_by, dagster_run_id) as transaction:
            target, passed_over = transaction.previous()
            remarks = [f"Passed over: version {each.number}, trained on {each.dataset}." for each in passed_over]
            remarks += _remarks(target, transaction.loaded, force=force)
            self._require_usable(target)
            return transaction.carry_out(target.number, Decision(True, "rollback", _sentences(reason, remarks)))

    def note_outside_changes(self, decided_by: str, wait: float | None = None) -> Record | None:
        """Add a decision about a change of the alias in MLflow; returns it, or None when there was no change."""
        if self.settled():
            return None
        with self.transaction(decided_by, wait=wait) as transaction:
            return transaction.noticed

    def _require_usable(self, version: Version) -> None:
        """Load a version before it is promoted: tables and API cannot serve a version that does not load."""
        try:
            self.registry.load(version)
        except VersionFilesError as error:
            raise PromotionError(
                f"Version {version.number} does not load, so it was not promoted: {error.fault}. Promote another "
                "version, see `movierec model list`."
            ) from error
        except Exception as error:
            self.registry.require_reachable()
            raise PromotionError(
                f"Version {version.number} does not load from {version.source}, so it was not promoted: {error}. "
                "Promote another version, see `movierec model list`."
            ) from error


def _remarks(version: Version, loaded: DatasetRef | None, *, force: bool) -> list[str]:
    """Sentences that are added to the reason of a promotion by hand.

    Raises
    ------
    PromotionError
        When the version is of other data than the loaded one, unless forced.
    """
    other = other_data(version, loaded)
    if other is not None and not force:
        raise PromotionError(
            f"{other} Load {other.name} first ({other.command}), or use --force: then the alias moves, "
            f"{other.consequence}."
        )
    if other is not None:
        return [str(other)]
    ours, now = version.positive_threshold, get_settings().positive_threshold
    if ours in (None, now):
        return []
    return [f"Version {version.number} counts {ours:g} stars and more as likes; the setting is {now:g}."]


def _sentences(reason: str, remarks: Sequence[str]) -> str:
    """A person's reason and remarks as one text."""
    if not remarks:
        return reason
    return " ".join([reason if reason.rstrip().endswith((".", "!", "?")) else f"{reason.rstrip()}.", *remarks])
