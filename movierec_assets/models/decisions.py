"""Who is champion, one change at a time, and the history of how it came to be.

Belongs here: who gets the turn to move the champion alias, what a person may do with it, and looks without a lock. What
happens in a turn is in `promotion_turn`, what the history says in `decision_history`, what is held back in `holds`. The
rules are `recsys.promotion`'s; the alias and the tags are `registry`'s; the tables that follow a champion are `defs`'.

A change goes: take the lock; settle what others left; decide; write the decision as pending; move the alias; write the
tags; write the decision as done. Wherever that breaks off, one valid version is champion, the pending row says what
was under way, and the next turn settles it by looking at the alias. The alias in MLflow is the truth: when it was
moved or removed by other means, the next turn notes that as a decision of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from psycopg2 import errors

from movierec_assets.models import holds
from movierec_assets.models.decision_history import (
    COLUMNS,
    EVENTS,
    LAST_EVENT,
    MODEL_DELETED,
    TABLE,
    History,
    Loss,
    OtherData,
    Problem,
    Record,
    explains,
    other_data,
    promotion_in,
)
from movierec_assets.models.holds import Hold
from movierec_assets.models.promotion_turn import PromotionError, Turn
from movierec_assets.models.registry import ModelRegistry, NoChampionError, VersionFilesError
from movierec_assets.models.version import CHAMPION, Version
from movierec_assets.recsys.promotion import HELD, Decision
from movierec_assets.settings import get_settings
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import DatasetRef, loaded_dataset
from movierec_assets.tables.served import SERVED_TABLES

__all__ = ["Hold", "Loss", "OtherData", "PromotionBusyError", "PromotionError", "Promotions", "Record", "Turn"]

WAIT_SECONDS = 120.0
"""How long a promotion waits for another one; none takes longer than a few seconds."""


class PromotionBusyError(PromotionError):
    """Somebody else is changing the champion."""

    def __init__(self, waited: float) -> None:
        super().__init__(f"Another promotion or rollback is under way, for more than {waited:g} s. Try again.")


class Promotions:
    """Changes of the champion, with their history.

    Parameters
    ----------
    registry : ModelRegistry
    database : Database
        Holds the history, and the lock that makes promotions wait for each other.
    """

    def __init__(self, registry: ModelRegistry, database: Database) -> None:
        self.registry = registry
        self._database = database

    def history(self, limit: int | None = None, *, version: int | None = None) -> list[Record]:
        """Decisions, newest first; those about one version when it is given.

        A version has the decisions since the registered model was deleted last: earlier ones are about another version
        of its number.
        """
        about = (
            "WHERE (model_version = %(version)s OR previous_champion = %(version)s) AND decision_id > "
            f"coalesce((SELECT max(decision_id) FROM {TABLE} WHERE numbers ? '{MODEL_DELETED}'), 0)"
        )
        where = "" if version is None else about
        rows = self._database.rows(
            f"SELECT {COLUMNS} FROM {TABLE} {where} ORDER BY decision_id DESC LIMIT %(limit)s",
            {"version": version, "limit": limit},
        )
        return [Record(*row) for row in rows]

    def latest(self) -> Record | None:
        """The decision that made the champion, as far as the history knows; None when the champion was lost."""
        return promotion_in(self._last_event())

    def champion(self) -> Version:
        """The champion.

        Raises
        ------
        NoChampionError
            With the way to get one again when it was lost.
        RegistryUnavailableError
        """
        with self.registry.reachable():
            found = self.registry.by_alias(CHAMPION)
            if found is None:
                loss = self.loss()
                raise NoChampionError(None if loss is None else str(loss))
            return found

    def loss(self) -> Loss | None:
        """How the champion was lost; None when there is one, or never was one. A look without a lock."""
        event = self._last_event()
        with self.registry.reachable():
            if event is None or self.registry.by_alias(CHAMPION) is not None:
                return None
            problem = Problem.of(loaded_dataset(self._database))
            return self._history().loss(event, problem, model_exists=self.registry.exists())

    def incumbent(self, dataset_id: int | None, threshold: float | None) -> Version | None:
        """The version that a challenger has to beat, see `Turn.incumbent`; a look without a lock."""
        with self.registry.reachable():
            found = self._history().incumbent(self.registry.by_alias(CHAMPION), Problem(dataset_id, threshold))
            return found if found is None or self.registry.problem_of(found) is None else None

    def broken_champion(self) -> str | None:
        """What keeps the champion from being loaded, and what to do; None when it loads, or there is none."""
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
        """Tell a version of other data than is loaded; None for one of the same data, and when either is unknown."""
        return other_data(version, loaded_dataset(self._database))

    def holds(self, dataset_id: int | None = None) -> list[Hold]:
        """Holds that nobody released, oldest first; those on one dataset when it is given."""
        with self._database.transaction() as cursor:
            return holds.unreleased(cursor, dataset_id)

    def release(self, who: str, version: int | None = None) -> list[Hold]:
        """End all holds, or those that hold a version back; returns what was ended.

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
        """Versions that were scored and not promoted, each with the champion at that moment; holds do not count."""
        rows = self._database.rows(
            f"""SELECT model_version, previous_champion FROM {TABLE}
                WHERE outcome IN ('kept', 'rejected') AND NOT numbers ? '{HELD}' AND decision_id >
                    coalesce((SELECT max(decision_id) FROM {TABLE} WHERE numbers ? '{MODEL_DELETED}'), 0)
                ORDER BY decision_id"""
        )
        return dict(rows)

    def settled(self) -> bool:
        """Whether the history explains the alias as it stands; a look without a lock."""
        with self.registry.reachable():
            champion = self.registry.by_alias(CHAMPION)
        pending = self._database.scalar(f"SELECT count(*) FROM {TABLE} WHERE state = 'pending'")
        return not pending and explains(self.latest(), champion)

    def _last_event(self) -> Record | None:
        rows = self._database.rows(LAST_EVENT)
        return Record(*rows[0]) if rows else None

    def _history(self) -> History:
        events = [Record(*row) for row in self._database.rows(EVENTS)]
        return History(events, self.registry.versions())

    def served(self) -> dict[str, int | None]:
        """Model version of the rows in each serving table; None where there are no rows."""
        found = {}
        for table in SERVED_TABLES:
            # All rows of a table are of one version, because it is replaced as a whole.
            rows = self._database.rows(f"SELECT model_version FROM {SCHEMA}.{table.name} LIMIT 1")
            found[table.name] = int(rows[0][0]) if rows else None
        return found

    @contextmanager
    def turn(self, decided_by: str, dagster_run_id: str | None = None, wait: float = WAIT_SECONDS) -> Iterator[Turn]:
        """A turn to change the champion: nobody else can until the end of the block.

        Parameters
        ----------
        decided_by : str
            Who will stand in the history.
        dagster_run_id : str, optional
        wait : float
            Seconds to wait for somebody else's turn.

        Yields
        ------
        Turn
            With the history settled.

        Raises
        ------
        RegistryUnavailableError, PromotionBusyError
        """
        with self.registry.reachable(), self._database.connect() as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{max(1, int(wait * 1000))}ms"])
                try:
                    take_lock(cursor, "promotion", until="session ends")
                except errors.LockNotAvailable as error:
                    raise PromotionBusyError(wait) from error
                # The lock is of this connection, and so is what is written: no lock, no decision.
                turn = Turn(self.registry, cursor, decided_by, dagster_run_id, loaded_dataset(self._database))
                turn.settle()
                yield turn
        self._copy(turn.champion)

    def _copy(self, champion: Version | None) -> None:
        """Let the copy of the champion follow the alias; a champion that does not load is told of where it is used."""
        if champion is not None:
            with suppress(Exception):
                self.registry.load_copied(champion)

    def promote(
        self, number: int, reason: str, decided_by: str, dagster_run_id: str | None = None, *, force: bool = False
    ) -> Record:
        """Make a version the champion because somebody says so.

        Parameters
        ----------
        number : int
        reason, decided_by : str
        dagster_run_id : str, optional
        force : bool
            Promote a version of other data than is loaded, too.

        Raises
        ------
        NoSuchVersionError, PromotionError, RegistryUnavailableError
        """
        with self.registry.reachable():
            self._require_usable(self.registry.version(number))
        with self.turn(decided_by, dagster_run_id) as turn:
            if turn.champion is not None and turn.champion.number == number:
                raise PromotionError(f"Version {number} is the champion already.")
            remarks = _remarks(self.registry.version(number), turn.loaded, force=force)
            return turn.carry_out(number, Decision(True, "manual", _sentences(reason, remarks)))

    def rollback(
        self, reason: str, decided_by: str, dagster_run_id: str | None = None, *, force: bool = False
    ) -> Record:
        """Make the previous champion of the loaded data the champion again; the one before it when it was deleted.

        Parameters
        ----------
        reason, decided_by : str
        dagster_run_id : str, optional
        force : bool
            Return to a version of other data when there is none of the loaded data.

        Raises
        ------
        PromotionError, RegistryUnavailableError
        """
        with self.turn(decided_by, dagster_run_id) as turn:
            target, passed_over = turn.previous()
            remarks = [f"Passed over: version {each.number}, trained on {each.dataset}." for each in passed_over]
            remarks += _remarks(target, turn.loaded, force=force)
            self._require_usable(target)
            return turn.carry_out(target.number, Decision(True, "rollback", _sentences(reason, remarks)))

    def note_outside_changes(self, decided_by: str, wait: float = WAIT_SECONDS) -> Record | None:
        """Bring the history in line with the alias; returns the decision when one had to be added."""
        if self.settled():
            return None
        with self.turn(decided_by, wait=wait) as turn:
            return turn.noticed

    def _require_usable(self, version: Version) -> None:
        """Load a version before it is promoted: tables and API could not follow one that does not load."""
        try:
            self.registry.load(version)
        except VersionFilesError as error:
            raise PromotionError(
                f"Version {version.number} does not load, so it was not promoted: {error.problem}. Promote another "
                "version, see `movierec model list`."
            ) from error
        except Exception as error:
            self.registry.require_reachable()
            raise PromotionError(
                f"Version {version.number} does not load from {version.source}, so it was not promoted: {error}. "
                "Promote another version, see `movierec model list`."
            ) from error


def _remarks(version: Version, loaded: DatasetRef | None, *, force: bool) -> list[str]:
    """Sentences to keep with a promotion by hand.

    Raises
    ------
    PromotionError
        When the version is of other data than is loaded, unless forced.
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
