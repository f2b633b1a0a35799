"""The process that keeps the snapshot up to date: `python -m movierec_assets.serving.online.keeper`.

Belongs here: when catalogue, champion and states of users are made again, and what is served until then. Does not:
making them (`making`, `user_states`), their form on the disk (`stored`), restarting this process (`host.api`).

Every LOOK_SECONDS it looks at the tables and at the champion's alias. Catalogue and champion are published at once; the
states of users follow from a process of low priority. When MLflow or the database does not answer, or the new champion
cannot be used, the last good snapshot stays. What was seen is in `keeper.json`, for readiness.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import psycopg2

from movierec_assets.errors import ExplainedError
from movierec_assets.file_lock import locked
from movierec_assets.full_disk import is_full
from movierec_assets.models.errors import NoChampionError, OtherDatasetError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION, Version
from movierec_assets.serving.online import making, registry_watch, stored
from movierec_assets.serving.online.errand import Errand, end_with_parent, log_lines
from movierec_assets.serving.online.making import LoadedTables
from movierec_assets.serving.online.parts_on_disk import DamagedError
from movierec_assets.serving.online.stored import Pointer
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import Database

LOOK_SECONDS = 2.0
RETRY_SECONDS = 30.0
"""Until something that failed is tried again, although nothing has changed."""
USERS_SECONDS = 3600.0
"""States of users are made again after this time when ratings were posted; until then those users are folded in."""
REGISTRY_SECONDS = 600.0
"""Versions that were deleted or tagged in MLflow are noticed after this time."""

LOCK = "keeper.lock"

_log = logging.getLogger("movierec.keeper")
_Answer = TypeVar("_Answer")


class Keeper:
    """Keeps the snapshot of one platform.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._directory = stored.directory_of(settings.state)
        self._database = Database(settings.databases.ratings)
        self._registry = ModelRegistry.of(settings)
        self._pointer = stored.read_pointer(self._directory) or Pointer()
        stored.remove(self._directory, stored.names_in(self._directory) - self._pointer.names)
        self._damaged: set[str] = set()
        self._refused: list[Any] | None = None
        self._answers: dict[str, dict[str, Any]] = {}
        self._failures: dict[str, tuple[Any, float]] = {}
        self._problems: dict[str, str] = {}
        self._full_until = 0.0
        self._users: tuple[list[Any], Errand] | None = None
        self._page: tuple[list[Any], Errand] | None = None
        self._page_key: tuple[list[Any], float] = ([], 0.0)

    def keep(self) -> None:
        """Look again and again, for ever."""
        logged = ""
        while True:
            started = time.monotonic()
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the last good snapshot stays, and so does this process
                if repr(error) != logged:  # a full disk lasts
                    _log.exception("The snapshot could not be looked after; it stays as it is.")
                logged = repr(error)
            time.sleep(max(0.1, LOOK_SECONDS - (time.monotonic() - started)))

    def look(self) -> None:
        """Publish what has changed."""
        self._find_damage()
        tables = self._ask("database", lambda: making.loaded_tables(self._database))
        version = self._ask("mlflow", lambda: self._registry.by_alias(CHAMPION))
        if time.monotonic() >= self._full_until:
            try:
                self._publish_changes(tables, version)
            except OSError as error:
                if not is_full(error):
                    raise
                self._full_until = time.monotonic() + RETRY_SECONDS
                self._note("disk", f"The disk of {self._directory} is full ({error}). The last good snapshot stays.")
            else:
                self._note("disk", None)
        self._tell(version)

    def _publish_changes(self, tables: tuple[LoadedTables] | None, version: tuple[Version | None] | None) -> None:
        """Publish what differs from the snapshot; None for what does not answer."""
        if tables is not None:
            fresh = self._with_catalogue(tables[0])
            if fresh is not None:
                try:
                    self._publish(self._with_champion(fresh, tables[0], version))
                except BaseException:
                    stored.remove(self._directory, fresh.names - self._pointer.names)
                    raise
                self._publish(self._with_users(tables[0]))
        if tables is not None and version is not None:
            self._refresh_page(version[0])

    def stop(self) -> None:
        """End the processes that work for this one."""
        for errand in (self._users, self._page):
            if errand is not None:
                errand[1].stop()

    def _ask(self, name: str, query: Callable[[], _Answer]) -> tuple[_Answer] | None:
        """An answer of a dependency, None when it does not answer; how it answered is remembered."""
        before, started = self._answers.get(name, {}), time.monotonic()
        answer: tuple[_Answer] | None = None
        problem: str | None = None
        try:
            answer = (query(),)
        except (ExplainedError, psycopg2.Error, OSError) as error:
            problem = " ".join(str(error).split())
        answers = problem is None
        since = before.get("since") if before.get("answers") == answers else time.time()
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        self._answers[name] = {"answers": answers, "since": since, "milliseconds": milliseconds, "problem": problem}
        if problem is not None and before.get("answers") != answers:
            _log.warning("%s The last good snapshot stays.", problem)
        return answer

    def _find_damage(self) -> None:
        """Look which parts a worker could not read; they are made again."""
        marker = self._directory / stored.UNREADABLE
        if not marker.exists():
            return
        kinds = {stored.CATALOGUE: self._pointer.catalogue, stored.CHAMPION: self._pointer.champion}
        kinds |= {stored.USERS: self._pointer.users}
        self._damaged = {
            name
            for kind, name in kinds.items()
            if name is not None and not stored.is_sound(self._directory, name, kind)
        }
        for name in sorted(self._damaged):
            _log.warning("%s is damaged; it is made again.", self._directory / name)
        marker.unlink(missing_ok=True)
        if self._pointer.users in self._damaged:
            self._publish(replace(self._pointer, users=None))

    def _is(self, name: str | None, key: list[Any]) -> bool:
        """Whether a part was made from this."""
        return name not in self._damaged and stored.facts_of(self._directory, name).get("key") == key

    def _with_catalogue(self, tables: LoadedTables) -> Pointer | None:
        """The pointer with the catalogue of the tables; None when it must stay as it is."""
        if self._is(self._pointer.catalogue, tables.key):
            return self._pointer
        found = making.read_catalogue(self._database)
        if found is None:
            self._note("catalogue", "Another dataset is being loaded: its movies are there, its ratings are not.")
            return None
        self._note("catalogue", None)
        return replace(self._pointer, catalogue=stored.write_catalogue(self._directory, found[1], found[0].key))

    def _with_champion(self, pointer: Pointer, tables: LoadedTables, version: tuple[Version | None] | None) -> Pointer:
        """The pointer with the champion of the alias, or the one before where that cannot be used."""
        if version is None:
            return self._without_foreign(pointer, "MLflow does not answer, and there was no champion of these movies.")
        found = version[0]
        key = [*((found.number, found.run_id) if found else ()), tables.dataset_id, tables.movies_version]
        if found is not None and self._is(pointer.champion, key):
            self._note("champion", None)
            return pointer
        if key == self._refused and pointer.champion is None:
            return pointer
        if self._is_due("champion", key):
            return self._with_new_champion(pointer, tables, found, key)
        return self._without_foreign(pointer, _unusable(found))

    def _with_new_champion(
        self, pointer: Pointer, tables: LoadedTables, found: Version | None, key: list[Any]
    ) -> Pointer:
        """The pointer with the champion as it is now, with none and the reason, or with the one before."""
        try:
            served, champion = making.read_champion(self._registry, self._database)
        except (NoChampionError, OtherDatasetError) as error:
            self._note("champion", None)
            self._refused = key
            return replace(pointer, champion=None, users=None, why_none=str(error))
        except Exception as error:  # noqa: BLE001 - MLflow's own errors as well: the champion before stays
            self._failures["champion"] = (key, time.monotonic())
            self._note("champion", f"{_unusable(found)} {error}")
            return self._without_foreign(pointer, _unusable(found))
        self._note("champion", None)
        made_from = [served.number, served.run_id, tables.dataset_id, tables.movies_version]
        name = stored.write_champion(self._directory, champion, made_from, tables.dataset_id)
        _log.info("Version %d is served.", served.number)
        return replace(pointer, champion=name, users=None, why_none=None)

    def _without_foreign(self, pointer: Pointer, why: str) -> Pointer:
        """The pointer without a champion that is not of its catalogue."""
        if pointer.champion is None:
            return pointer if pointer.why_none else replace(pointer, why_none=why)
        if pointer.catalogue == self._pointer.catalogue or self._is_of(pointer.champion, str(pointer.catalogue)):
            return pointer
        return replace(pointer, champion=None, users=None, why_none=why)

    def _is_of(self, champion: str, catalogue: str) -> bool:
        """Whether a champion is of the dataset of a catalogue, which has all of its movies."""
        ours, theirs = (stored.facts_of(self._directory, name).get("dataset_id") for name in (champion, catalogue))
        if ours is None or ours != theirs:
            return False
        movies = stored.read_catalogue(self._directory, catalogue).movie_ids
        try:
            known = stored.read_champion(self._directory, champion).recommender.ids.movie_ids
        except DamagedError:
            return False
        return bool(np.isin(known, movies).all())

    def _with_users(self, tables: LoadedTables) -> Pointer:
        """The pointer with the states of users that were made; starts making them where that is due."""
        champion = stored.facts_of(self._directory, self._pointer.champion)
        wanted = [self._pointer.champion, tables.ratings_version]
        if self._users is not None:
            return self._with_made_users(*self._users, wanted)
        users = stored.facts_of(self._directory, self._pointer.users)
        mine = [champion.get("version"), champion.get("run_id"), tables.ratings_version]
        fits = mine == [users.get(name) for name in ("version", "run_id", "ratings_version")]
        old = tables.watermark > users.get("watermark", 0) and time.time() - users.get("made_at", 0) > USERS_SECONDS
        if self._pointer.champion is None or tables.ratings_version is None:
            return self._pointer
        if fits and not old:
            return self._pointer
        if self._is_due("users", wanted):
            errand = Errand("movierec_assets.serving.online.user_states", self._pointer.champion)
            self._users = (wanted, errand)
        return self._pointer

    def _with_made_users(self, made_for: list[Any], errand: Errand, wanted: list[Any]) -> Pointer:
        if made_for != wanted:
            errand.stop()
            self._users = None
        elif errand.ended:
            name, problem = errand.result()
            self._users = None
            self._note("users", None if name else f"States of users could not be made: {problem}")
            if name:
                return replace(self._pointer, users=name)
            self._failures["users"] = (wanted, time.monotonic())
        return self._pointer

    def _refresh_page(self, champion: Version | None) -> None:
        """Start writing the page of the registry when something about versions has changed."""
        if self._page is not None:
            if not self._page[1].ended:
                return
            written, problem = self._page[1].result()
            self._note("registry", None if written is not None else f"Versions could not be listed: {problem}")
            self._page = None
        changes = self._ask("mlflow", lambda: registry_watch.key(self._registry, self._database))
        if changes is None:
            return
        key = [champion.number if champion else None, *changes[0]]
        if key != self._page_key[0] or time.monotonic() - self._page_key[1] > REGISTRY_SECONDS:
            self._page_key = (key, time.monotonic())
            self._page = (key, Errand("movierec_assets.serving.online.registry_watch"))

    def _publish(self, pointer: Pointer) -> None:
        """Publish a pointer that differs, and remove the parts that it no longer names."""
        if pointer == self._pointer:
            return
        stored.publish(self._directory, pointer)
        before, self._pointer = self._pointer, pointer
        stored.remove(self._directory, before.names - pointer.names)
        self._damaged &= pointer.names

    def _is_due(self, what: str, key: Any) -> bool:
        """Whether something may be tried: it did not fail just now for the same reason."""
        failed = self._failures.get(what)
        return failed is None or failed[0] != key or time.monotonic() - failed[1] > RETRY_SECONDS

    def _note(self, what: str, problem: str | None) -> None:
        """Remember a problem until it is gone; a new one is logged."""
        if problem is None:
            self._problems.pop(what, None)
        elif self._problems.get(what) != problem:
            self._problems[what] = problem
            _log.warning("%s", problem)

    def _tell(self, version: tuple[Version | None] | None) -> None:
        """Write what was seen."""
        told = {
            "at": time.time(),
            "pid": os.getpid(),
            **self._answers,
            "alias": version[0].number if version and version[0] else None,
            "users_are_made": self._users is not None,
            "problems": self._problems,
        }
        stored.write_json(self._directory / stored.KEEPER, told)


def _unusable(version: Version | None) -> str:
    """What clients are told about a champion that cannot be read: places of files are for the log alone."""
    return f"The champion, version {version.number if version else '?'}, cannot be used; the keeper's log says why."


def main() -> None:
    """Keep the snapshot of the platform that the environment names, until this process is ended."""
    log_lines()
    end_with_parent()
    settings = get_settings()
    directory = stored.directory_of(settings.state)
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / LOCK):  # a second keeper waits, and takes over when the first one ends
        Keeper(settings).keep()


if __name__ == "__main__":
    main()
