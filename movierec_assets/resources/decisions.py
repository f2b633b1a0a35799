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
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import errors
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.recsys.promotion import Decision, standing
from movierec_assets.resources.database import SCHEMA, Database
from movierec_assets.resources.registry import CHAMPION, ModelRegistry, RegistryUnavailableError, Version

WAIT_SECONDS = 120.0
"""How long a promotion waits for another one; none takes longer than a few seconds."""
SERVED_TABLES = ("user_recommendations", "similar_movies", "popular_movies")

_COLUMNS = (
    "decision_id, decided_at, model_version, previous_champion, outcome, promoted, reason, numbers, dagster_run_id, "
    "decided_by, state"
)
_TABLE = f"{SCHEMA}.promotion_decisions"


class PromotionError(RuntimeError):
    """The champion cannot be changed as asked; the message says why and what to do."""


class PromotionBusyError(PromotionError):
    """Somebody else is changing the champion."""

    def __init__(self, waited: float) -> None:
        super().__init__(f"Another promotion or rollback is under way, for more than {waited:g} s. Try again.")


@dataclass(frozen=True)
class Record:
    """A decision as it is kept.

    Attributes
    ----------
    id : int
    decided_at : datetime
    version : int
        What was decided about.
    previous : int or None
        Champion at that moment.
    outcome : str
        See `recsys.promotion.Decision`.
    promoted : bool
    reason : str
    numbers : dict of str to float
    dagster_run_id : str or None
    decided_by : str
    state : {"pending", "done", "abandoned"}
        Abandoned: the alias never moved, because MLflow or the process went away.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values under the table's names."""
        return {
            "decision_id": self.id,
            "decided_at": self.decided_at.isoformat(),
            "model_version": self.version,
            "previous_champion": self.previous,
            "outcome": self.outcome,
            "promoted": self.promoted,
            "reason": self.reason,
            "numbers": self.numbers,
            "dagster_run_id": self.dagster_run_id,
            "decided_by": self.decided_by,
            "state": self.state,
        }


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
        """Decisions, newest first; those about one version when it is given."""
        where = "" if version is None else "WHERE model_version = %(version)s OR previous_champion = %(version)s"
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM {_TABLE} {where} ORDER BY decision_id DESC LIMIT %(limit)s",
            {"version": version, "limit": limit},
        )
        return [Record(*row) for row in rows]

    def latest(self) -> Record | None:
        """The decision that made the champion, as far as the history knows."""
        rows = self._database.rows(_LATEST)
        return Record(*rows[0]) if rows else None

    def settled(self) -> bool:
        """Whether the history explains the alias as it stands; a look without a lock."""
        with self.registry.reachable():
            champion = self.registry.by_alias(CHAMPION)
        latest = self.latest()
        pending = self._database.scalar(f"SELECT count(*) FROM {_TABLE} WHERE state = 'pending'")
        return not pending and (champion is None or (latest is not None and latest.version == champion.number))

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
                turn = Turn(self.registry, cursor, decided_by, dagster_run_id)
                turn.settle()
                yield turn

    def promote(self, number: int, reason: str, decided_by: str, dagster_run_id: str | None = None) -> Record:
        """Make a version the champion because somebody says so.

        Raises
        ------
        NoSuchVersionError, PromotionError, RegistryUnavailableError
        """
        with self.registry.reachable():
            self._require_usable(self.registry.version(number))
        with self.turn(decided_by, dagster_run_id) as turn:
            if turn.champion is not None and turn.champion.number == number:
                raise PromotionError(f"Version {number} is the champion already.")
            self.registry.version(number)
            return turn.carry_out(number, Decision(True, "manual", reason))

    def rollback(self, reason: str, decided_by: str, dagster_run_id: str | None = None) -> Record:
        """Make the previous champion the champion again; the one before it when it was deleted.

        Raises
        ------
        PromotionError, RegistryUnavailableError
        """
        with self.turn(decided_by, dagster_run_id) as turn:
            target = turn.previous()
            self._require_usable(self.registry.version(target))
            return turn.carry_out(target, Decision(True, "rollback", reason))

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
    noticed : Record or None
        A change made by other means, noted at the beginning of this turn.
    """

    def __init__(self, registry: ModelRegistry, cursor: Cursor, decided_by: str, dagster_run_id: str | None) -> None:
        self._registry = registry
        self._cursor = cursor
        self._decided_by = decided_by
        self._dagster_run_id = dagster_run_id
        self.champion: Version | None = None
        self.noticed: Record | None = None

    def settle(self) -> None:
        """Finish or abandon what broke off, and note a change made by other means."""
        self.champion = self._registry.by_alias(CHAMPION)
        number = self.champion.number if self.champion else None
        for pending in self._records(f"SELECT {_COLUMNS} FROM {_TABLE} WHERE state = 'pending'"):
            if pending.version == number:
                self._registry.note(pending.version, pending.outcome, pending.reason, pending.dagster_run_id)
            self._mark(pending.id, "done" if pending.version == number else "abandoned")
        latest = self.latest()
        if number is None or (latest is not None and latest.version == number):
            return
        before = f"from version {latest.version}" if latest else "before there was a history"
        reason = f"The alias {CHAMPION} was moved to version {number} in MLflow, {before}; no decision says why."
        self._registry.note(number, "manual", reason, None)
        previous = latest.version if latest else None
        self.noticed = self._add(number, previous, Decision(True, "manual", reason), "done", f"MLflow ({_SEEN_BY})")

    def latest(self) -> Record | None:
        """The decision that made the champion."""
        found = self._records(_LATEST)
        return found[0] if found else None

    def previous(self) -> int:
        """Version that a rollback returns to.

        Raises
        ------
        PromotionError
            When there is none.
        """
        self._cursor.execute(
            f"SELECT model_version, outcome = 'rollback' FROM {_TABLE} WHERE promoted AND state = 'done' "
            "ORDER BY decision_id"
        )
        now = self.champion.number if self.champion else None
        earlier = [version for version in reversed(standing(self._cursor.fetchall())) if version != now]
        for version in earlier:
            if self._registry.has(version):
                return version
        gone = f" (deleted from the registry: {', '.join(map(str, dict.fromkeys(earlier)))})" if earlier else ""
        champion = "No version is the champion" if now is None else f"Version {now} is the champion"
        raise PromotionError(f"Nothing to roll back to: {champion}, and there is no earlier one{gone}.")

    def carry_out(self, number: int, decision: Decision) -> Record:
        """Do what was decided about a version, and keep the decision.

        Raises
        ------
        RegistryUnavailableError
            When MLflow goes away; the champion is the old one or the new one, and the next turn settles which.
        """
        previous = self.champion.number if self.champion else None
        if not decision.promoted:
            self._registry.record(number, decision, self._dagster_run_id)
            return self._add(number, previous, decision, "done", self._decided_by)
        record = self._add(number, previous, decision, "pending", self._decided_by)
        try:
            self._registry.record(number, decision, self._dagster_run_id)
        except Exception:
            # Whatever it was is raised again: the alias may have moved before it, so the row is settled by looking.
            # While MLflow is away the row stays pending, and the next turn looks again.
            with suppress(RegistryUnavailableError):
                self._registry.require_reachable()
                self.settle()
            raise
        self._mark(record.id, "done")
        self.champion = self._registry.by_alias(CHAMPION)
        return self._records(f"SELECT {_COLUMNS} FROM {_TABLE} WHERE decision_id = %s", [record.id])[0]

    def _add(self, number: int, previous: int | None, decision: Decision, state: str, decided_by: str) -> Record:
        values = [number, previous, decision.outcome, decision.promoted, decision.reason]
        values += [json.dumps(dict(decision.numbers)), self._dagster_run_id, decided_by, state]
        return self._records(
            f"""
            INSERT INTO {_TABLE} (
                model_version, previous_champion, outcome, promoted, reason, numbers, dagster_run_id, decided_by, state
            )
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            RETURNING {_COLUMNS}
            """,
            values,
        )[0]

    def _mark(self, decision_id: int, state: str) -> None:
        self._cursor.execute(f"UPDATE {_TABLE} SET state = %s WHERE decision_id = %s", [state, decision_id])

    def _records(self, query: str, parameters: Sequence[Any] = ()) -> list[Record]:
        self._cursor.execute(query, parameters)
        return [Record(*row) for row in self._cursor.fetchall()]


_LATEST = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE promoted AND state = 'done' ORDER BY decision_id DESC LIMIT 1"
_SEEN_BY = "noticed afterwards"
