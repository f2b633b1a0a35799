"""Who is champion, one change at a time, and the history of how it came to be.

Belongs here: the table of decisions, and the turn that whoever wants to move the champion alias has to take. The rules
are `recsys.promotion`'s; the alias and the tags are `registry`'s; the tables that follow a champion are `defs`'.

A change goes: take the lock; settle what others left; decide; write the decision as pending; move the alias; write the
tags; write the decision as done. Wherever that breaks off, one valid version is champion, the pending row says what
was under way, and the next turn settles it by looking at the alias. The alias in MLflow is the truth: when it was
moved by other means, the next turn notes that as a decision of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.recsys.promotion import HELD, Decision
from movierec_assets.resources import holds
from movierec_assets.resources.database import SCHEMA, Database
from movierec_assets.resources.decision_history import (
    COLUMNS,
    EVENTS,
    LAST_EVENT,
    MODEL_DELETED,
    TABLE,
    History,
    Loss,
    Problem,
    Record,
    data_mismatch,
    tags_to_keep,
)
from movierec_assets.resources.holds import Hold
from movierec_assets.resources.known_datasets import DatasetRef, loaded_dataset
from movierec_assets.resources.registry import (
    CHAMPION,
    ModelRegistry,
    NoChampionError,
    RegistryUnavailableError,
    Version,
)
from movierec_assets.settings import get_settings

__all__ = ["Hold", "Loss", "PromotionBusyError", "PromotionError", "Promotions", "Record", "Turn", "data_mismatch"]

WAIT_SECONDS = 120.0
"""How long a promotion waits for another one; none takes longer than a few seconds."""
SERVED_TABLES = ("user_recommendations", "similar_movies", "popular_movies")

_SEEN_BY = "noticed afterwards"


class PromotionError(RuntimeError):
    """The champion cannot be changed as asked; the message says why and what to do."""


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
        return _promotion(self._last_event())

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
            problem = _problem_of(loaded_dataset(self._database))
            return self._history().loss(event, problem, model_exists=self.registry.exists())

    def incumbent(self, dataset_id: int | None, threshold: float | None) -> Version | None:
        """The version that a challenger has to beat, see `Turn.incumbent`; a look without a lock."""
        with self.registry.reachable():
            history = self._history()
            return history.incumbent(self.registry.by_alias(CHAMPION), Problem(dataset_id, threshold))

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
        if version is not None and not any(hold.version == version for hold in found):
            with self.registry.reachable():
                asked = self.registry.version(version)
            found = [hold for hold in found if hold.covers_version(asked)]
        elif version is not None:
            found = [hold for hold in found if hold.version == version]
        with self._database.transaction() as cursor:
            holds.release(cursor, found, who)
        return found

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
        return not pending and _explains(self.latest(), champion)

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
            rows = self._database.rows(f"SELECT model_version FROM {SCHEMA}.{table} LIMIT 1")
            found[table] = int(rows[0][0]) if rows else None
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
                    cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [f"{SCHEMA}.promotion"])
                except errors.LockNotAvailable as error:
                    raise PromotionBusyError(wait) from error
                # The lock is of this connection, and so is what is written: no lock, no decision.
                turn = Turn(self.registry, cursor, decided_by, dagster_run_id, loaded_dataset(self._database))
                turn.settle()
                yield turn

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
        except Exception as error:
            self.registry.require_reachable()
            raise PromotionError(
                f"Version {version.number} does not load from {version.source}, so it was not promoted: {error}. "
                "Promote another version, see `movierec model list`."
            ) from error


class Turn:
    """The right to change the champion; made by `Promotions.turn`.

    Attributes
    ----------
    champion : Version or None
        Champion now.
    loaded : DatasetRef or None
        The dataset in the tables.
    noticed : Record or None
        A change made by other means, noted at the beginning of this turn.
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
        """Finish or abandon what broke off, and note a change made by other means."""
        self.champion = self._registry.by_alias(CHAMPION)
        for pending in self._records(f"SELECT {COLUMNS} FROM {TABLE} WHERE state = 'pending'"):
            self._settle_pending(pending)
        latest = self.latest()
        if _explains(latest, self.champion):
            return
        if latest is not None and (self.champion is None or latest.version == self.champion.number):
            self.noticed, latest = self._note_loss(latest), None
        if self.champion is not None:
            self.noticed = self._note_move(self.champion, latest)

    def latest(self) -> Record | None:
        """The decision that made the champion; None when the champion was lost."""
        return _promotion(next(iter(self._records(LAST_EVENT)), None))

    def incumbent(self, dataset_id: int | None, threshold: float | None) -> Version | None:
        """The version that a challenger has to beat.

        Parameters
        ----------
        dataset_id : int or None
        threshold : float or None
            Stars from which a rating is a like. None, here or on a version, agrees with everything.

        Returns
        -------
        Version or None
            The champion when it was trained on this dataset with this threshold. Otherwise the last champion that was,
            unless it was rolled back, is deleted, or was lost in MLflow.
        """
        return self._history().incumbent(self.champion, Problem(dataset_id, threshold))

    def holds(self, dataset_id: int | None = None) -> list[Hold]:
        """Holds that nobody released, oldest first; those on one dataset when it is given."""
        return holds.unreleased(self._cursor, dataset_id)

    def previous(self) -> tuple[Version, list[Version]]:
        """Version that a rollback returns to, and later champions of other data that it passes over.

        The version is of the loaded data when there is one, else of other data.

        Raises
        ------
        PromotionError
            When there is none.
        """
        history, now = self._history(), self.champion.number if self.champion else None
        anything, ours = (
            [version for version in history.returnable(problem) if version.number != now]
            for problem in (Problem(), _problem_of(self.loaded))
        )
        if ours:
            target = ours[0]
            passed = [each for each in anything if data_mismatch(each, self.loaded) is not None]
            return target, [each for each in passed if history.promoted_after(each.number, target.number)]
        if anything:
            return anything[0], []
        deleted = [number for number in dict.fromkeys(history.standing(Problem())) if number != now]
        gone = f" (deleted from the registry: {', '.join(map(str, deleted))})" if deleted else ""
        champion = "No version is the champion" if now is None else f"Version {now} is the champion"
        raise PromotionError(f"Nothing to roll back to: {champion}, and there is no earlier one{gone}.")

    def carry_out(self, number: int, decision: Decision) -> Record:
        """Do what was decided about a version, and keep the decision.

        A promotion by hand and a rollback hold back the champion that they replace, see `Hold`.

        Raises
        ------
        NoSuchVersionError
        RegistryUnavailableError
            When MLflow goes away; the champion is the old one or the new one, and the next turn settles which.
        """
        version, replaced = self._registry.version(number), self.champion
        previous, tags = replaced.number if replaced else None, tags_to_keep(version)
        if not decision.promoted:
            self._registry.record(number, decision, self._dagster_run_id)
            return self._add(number, previous, decision, "done", self._decided_by, tags)
        record = self._add(number, previous, decision, "pending", self._decided_by, tags)
        try:
            self._registry.record(number, decision, self._dagster_run_id)
        except Exception:
            # Whatever it was is raised again: the alias may have moved before it, so the row is settled by looking.
            # While MLflow is away the row stays pending, and the next turn looks again.
            with suppress(RegistryUnavailableError):
                self._registry.require_reachable()
                self.settle()
            raise
        with self._at_once():
            self._mark(record.id, "done")
            self._hold(record, version, replaced)
        self.champion = self._registry.by_alias(CHAMPION)
        return replace(record, state="done")

    def _settle_pending(self, pending: Record) -> None:
        """Finish a promotion whose alias moved; abandon one whose alias did not."""
        champion = self.champion
        if champion is None or champion.number != pending.version:
            self._mark(pending.id, "abandoned")
            return
        self._registry.note(pending.version, pending.outcome, pending.reason, pending.dagster_run_id)
        latest = self.latest()
        with self._at_once():
            self._mark(pending.id, "done")
            self._hold(pending, champion, self._trained(latest) if latest else None)

    def _note_loss(self, latest: Record) -> Record:
        """Note that the champion of the latest decision was lost, and how to get one again."""
        model_exists = self._registry.exists()
        loss = self._history().loss(latest, _problem_of(self.loaded), model_exists=model_exists)
        numbers = {MODEL_DELETED: 1.0} if loss.cause == "model" else {}
        if loss.cause == "alias":
            self._registry.note(latest.version, "lost", str(loss), None)
        decision = Decision(False, "lost", str(loss), numbers)
        return self._add(latest.version, latest.version, decision, "done", f"MLflow ({_SEEN_BY})", latest.version_tags)

    def _note_move(self, champion: Version, latest: Record | None) -> Record:
        """Note that somebody moved the alias in MLflow, as a promotion by hand."""
        before = f"from version {latest.version}" if latest else "where no version had it"
        reason = (
            f"The alias {CHAMPION} was moved to version {champion.number} in MLflow, {before}; no decision says why."
        )
        replaced = self._trained(latest) if latest else None
        self._registry.note(champion.number, "manual", reason, None)
        decision, by = Decision(True, "manual", reason), f"MLflow ({_SEEN_BY})"
        with self._at_once():
            previous = latest.version if latest else None
            record = self._add(champion.number, previous, decision, "done", by, tags_to_keep(champion))
            self._hold(record, champion, replaced)
        return record

    def _hold(self, record: Record, promoted: Version, replaced: Version | None) -> None:
        """Hold back the champion that a person replaced, and release what the person promoted.

        A champion of other data is not held back: it was not replaced because it is bad.
        """
        if record.outcome not in ("manual", "rollback"):
            return
        released = [hold for hold in self.holds() if hold.covers_version(promoted)]
        holds.release(self._cursor, released, record.decided_by)
        if replaced is not None and data_mismatch(replaced, promoted.dataset) is None:
            holds.add(self._cursor, replaced, record.id, record.reason, record.decided_by)

    def _trained(self, record: Record) -> Version:
        """The version of a decision, with its tags as the registry or the history has them."""
        known = record.version_tags or not self._registry.has(record.version)
        return record.remembered() if known else self._registry.version(record.version)

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
        return self._records(
            f"""
            INSERT INTO {TABLE} (
                model_version, previous_champion, outcome, promoted, reason, numbers, dagster_run_id, decided_by, state,
                version_tags
            )
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            RETURNING {COLUMNS}
            """,
            [*values, json.dumps(version_tags)],
        )[0]

    def _mark(self, decision_id: int, state: str) -> None:
        self._cursor.execute(f"UPDATE {TABLE} SET state = %s WHERE decision_id = %s", [state, decision_id])

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """A transaction on the connection of the lock, which commits each statement otherwise."""
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


def _promotion(event: Record | None) -> Record | None:
    return event if event is not None and event.promoted else None


def _explains(latest: Record | None, champion: Version | None) -> bool:
    """Whether the latest promotion accounts for the alias."""
    if latest is None or champion is None:
        return latest is None and champion is None
    return latest.is_about(champion)


def _problem_of(loaded: DatasetRef | None) -> Problem:
    return Problem(loaded.id if loaded else None)


def _remarks(version: Version, loaded: DatasetRef | None, *, force: bool) -> list[str]:
    """Sentences to keep with a promotion by hand.

    Raises
    ------
    PromotionError
        When the version is of other data than is loaded, unless forced.
    """
    mismatch = data_mismatch(version, loaded)
    if mismatch is not None and version.dataset is not None:
        name = version.dataset.name
        if not force:
            raise PromotionError(
                f"{mismatch} Load {name} first (`movierec run --dataset {name} --job refresh`), or use --force: then "
                "the alias moves, the tables of recommendations stay as they are, and nothing is served until "
                f"{name} is loaded again."
            )
        return [mismatch]
    ours, now = version.positive_threshold, get_settings().positive_threshold
    return [f"It counts {ours:g} stars and more as likes; the setting is {now:g}."] if ours not in (None, now) else []


def _sentences(reason: str, remarks: Sequence[str]) -> str:
    """A person's reason and remarks as one text."""
    if not remarks:
        return reason
    return " ".join([reason if reason.rstrip().endswith((".", "!", "?")) else f"{reason.rstrip()}.", *remarks])
