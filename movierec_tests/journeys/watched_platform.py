"""`movierec up` in a process of its own, as somebody outside sees it: its processes, its state, and its answers.

Belongs here: starting and ending it, finding what to kill, what is left undone or was done twice, and a reader of the
champion. Does not: when to kill what (`kill_rounds`).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg2
import requests
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from movierec_assets.datasets.locate import Located, locate
from movierec_assets.defs.attempts import unfinished_runs
from movierec_assets.defs.catch_up import FILES_TAG, Memory, compare, facts_of
from movierec_assets.defs.half_written import stamp_of
from movierec_assets.defs.staleness import first_stale
from movierec_assets.errors import ExplainedError
from movierec_assets.host.environment import variables
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION, TRAINING_KEY
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import SCHEMA, Database

DAEMON, CODE, RUN, API, MLFLOW, POSTGRES = TARGETS = (
    "the daemon",
    "the code server",
    "the run",
    "the API's worker",
    "MLflow",
    "Postgres",
)
"""What is killed."""
_WORDS = {
    DAEMON: ("movierec_assets.host.daemon",),
    CODE: ("dagster", "api", "grpc"),
    API: ("movierec_assets.serving.api",),
    MLFLOW: ("mlflow.server.fastapi_app:app",),
}
Found = TypeVar("Found")
UNREACHABLE = (psycopg2.Error, ExplainedError, OSError)
READ_SECONDS = 0.2
"""Between two questions of a reader."""


@dataclass
class WatchedPlatform:
    """`movierec up` on a state directory and a dataset of its own.

    Parameters
    ----------
    directory : Path
        For the state and the log.
    dataset : Path
        A directory in MovieLens layout.
    ports : sequence of int
        Of the API, Dagster, MLflow and the app.
    """

    directory: Path
    dataset: Path
    ports: Sequence[int]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    @property
    def settings(self) -> Settings:
        """The settings, with the URL of the running databases."""
        url = EmbeddedPostgres(self.state).url()
        return get_settings() if url is None else get_settings().model_copy(update={"embedded_database_url": url})

    def start(self) -> None:
        """Start it; the variables of this process name the same platform from then on."""
        own: dict[str, Path | int] = {
            "STATE_DIR": self.state,
            "DATA_DIR": self.directory / "data",
            "DATASET": self.dataset,
        }
        own |= dict(zip(("API_PORT", "DAGSTER_PORT", "MLFLOW_PORT", "APP_PORT"), self.ports, strict=True))
        os.environ.update({f"MOVIEREC_{name}": str(value) for name, value in own.items()})
        log = (self.directory / "up.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "movierec_assets.cli", "up"], stdout=log, stderr=log, start_new_session=True
        )
        log.close()

    def enter(self) -> None:
        """Wait for the API, which comes after the databases, and let this process use them."""
        self.wait_for(self._answers, "an answer of the API", 300)
        os.environ.update(variables(self.settings))

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.ports[0]}/health/live", timeout=5).ok
        except requests.RequestException:
            return False

    def running(self) -> bool:
        """Whether `movierec up` itself runs."""
        return self._process is not None and self._process.poll() is None

    def must_run(self) -> None:
        """Raise an error with the end of the log when `movierec up` has ended."""
        if not self.running():
            raise RuntimeError(f"movierec up has ended:\n{self.last_lines()}")

    def wait_for(
        self, look: Callable[[], Found | None], event: str, seconds: float, why: Callable[[], str] = str
    ) -> Found:
        """Wait until `look` sees something, and return that.

        Raises
        ------
        RuntimeError
            When `movierec up` has ended, with the end of its log.
        TimeoutError
            When nothing is seen in these seconds, with what `why` says and the end of the log.
        """
        deadline = time.monotonic() + seconds
        while not (found := look()):
            self.must_run()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{event}: not within {seconds:.0f} s. {why()}\n{self.last_lines()}")
            time.sleep(READ_SECONDS)
        return found

    def last_lines(self) -> str:
        """The end of what `movierec up` and its servers said."""
        return (self.directory / "up.log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """End it; a process in the background of a script ignores Ctrl-C."""
        if self._process is not None and self.running():
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(120)

    def processes(self, target: str) -> list[psutil.Process]:
        """Processes of a part of the platform."""
        if target == POSTGRES:
            pid = EmbeddedPostgres(self.state).status().pid
            return [psutil.Process(pid)] if pid is not None else []
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                ours = process.environ().get("MOVIEREC_STATE_DIR") == str(self.state)
                if ours and process.status() != psutil.STATUS_ZOMBIE and _is(target, words, process):
                    found.append(process)
        return found

    def runs(self, instance: DagsterInstance, files: str | None = None) -> list[DagsterRun]:
        """Runs of the files of the dataset, newest first; unfinished ones of any cause without a stamp."""
        if files is None:
            return list(unfinished_runs(instance, datetime.now(UTC)))
        return list(instance.get_runs(RunsFilter(tags={FILES_TAG: files})))

    @staticmethod
    def files_tag(located: Located) -> str:
        """The tag of the runs for files as they are now."""
        return hashlib.sha256(stamp_of(located.files).encode()).hexdigest()[:16]

    def undone(self, instance: DagsterInstance) -> str | None:
        """What is left to be done; None when everything is made from the files and published."""
        under_way = self.runs(instance)
        if under_way:
            return f"{', '.join(f'{run.job_name} {run.run_id[:8]} is {run.status.value}' for run in under_way)}"
        database, registry = self.database, self.registry
        located = locate(get_settings(), None)
        memory = compare(database, located.files, Memory())
        facts = facts_of(instance, database, registry, stamp_of(located.files), memory.loaded, datetime.now(UTC))
        stale = first_stale(facts)
        if stale is not None:
            return stale.why
        carried = {version for version in facts.served.values() if version is not None}
        if facts.champion is None or carried != {facts.champion}:
            return f"the champion is {facts.champion}, the tables carry {carried}"
        return None if Promotions(registry, database).settled() else "a decision is pending"

    @property
    def database(self) -> Database:
        """The ratings database."""
        return Database(self.settings.databases.ratings)

    @property
    def registry(self) -> ModelRegistry:
        """The registry."""
        return ModelRegistry.of(self.settings)

    def faults(self, instance: DagsterInstance, files: str) -> list[str]:
        """What was lost, was done twice, or was left behind, after everything was done for files with this stamp."""
        database, registry = self.database, self.registry
        found = []
        succeeded = [run for run in self.runs(instance, files) if run.status is DagsterRunStatus.SUCCESS]
        if len(succeeded) > 1:  # none, when a run was killed after its last step
            found.append(f"{len(succeeded)} runs for the new file succeeded: {[run.run_id[:8] for run in succeeded]}")
        lines = sum(1 for _ in (self.dataset / "ratings.csv").open("rb")) - 1
        loaded = database.scalar(f"SELECT count(*) FROM {SCHEMA}.ratings")
        if loaded != lines:
            found.append(f"{loaded} ratings are loaded, the file has {lines}")
        twice = database.rows(
            f"""SELECT model_version, outcome FROM {SCHEMA}.promotion_decisions WHERE state = 'done'
                GROUP BY model_version, outcome HAVING count(*) > 1"""
        )
        found += [f"version {version} was {outcome} twice" for version, outcome in twice]
        keys = [version.tags.get(TRAINING_KEY) for version in registry.versions()]
        found += [f"{keys.count(key)} versions have the training key {key}" for key in set(keys) if keys.count(key) > 1]
        running = registry.client.search_runs([registry.ensure_experiment()], "attributes.status = 'RUNNING'")
        found += [f"MLflow run {run.info.run_id} is RUNNING" for run in running]
        detached = database.rows(
            f"""SELECT relname FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'r'
                AND relname ~ '_[0-9]+$' AND NOT relispartition"""
        )
        found += [f"table {name} was left behind" for (name,) in detached]
        storage = self.state / "storage"
        found += [f"{path} was left behind" for path in storage.rglob(".*") if path.is_file()]
        for target in (DAEMON, CODE, API):
            if len(self.processes(target)) != 1:
                found.append(f"{target}: {len(self.processes(target))} processes")
        return found


def _is(target: str, words: Sequence[str], process: psutil.Process) -> bool:
    """Whether a process, by the words of its command, is the target."""
    if target == RUN:
        # A run's process is a child of the code server, and an orphan after the end of that.
        return any("spawn_main" in word for word in words) and "mlflow" not in " ".join(
            psutil.Process(os.getsid(process.pid)).cmdline() if psutil.pid_exists(os.getsid(process.pid)) else []
        )
    parts = _WORDS[target]
    return any(list(words[start : start + len(parts)]) == list(parts) for start in range(len(words)))


class Reader:
    """Asks for the champion again and again: the API, and the registry with the files.

    Attributes
    ----------
    answers, reads : int
        Answers of the API from the model, and champions that were read from the registry and loaded.
    longest : float
        Seconds of the longest time without an answer of the API.
    away : float
        Seconds of the longest time in which no champion could be read from the registry.
    crowd : float
        The greatest load of a processor, at least 1: how many processes shared it.
    faults : list of str
        Answers without the model, an alias that no version carries, files that are gone or damaged.
    """

    def __init__(self, platform: WatchedPlatform, movie_id: int) -> None:
        self._platform = platform
        self._body = {"liked_movie_ids": [movie_id], "n": 5}
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._ask, self._read)]
        self.begin()

    def begin(self) -> None:
        """Count from here on."""
        self.answers = self.reads = 0
        self.longest = self.away = 0.0
        self.crowd = 1.0
        self.faults: list[str] = []

    def __enter__(self) -> Reader:
        """Begin, once the API has taken up the champion."""
        self._platform.wait_for(self._has_model, "an answer from the champion", 300)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> requests.Response:
        return requests.post(f"http://127.0.0.1:{self._platform.ports[0]}/recommend", json=self._body, timeout=30)

    def _has_model(self) -> bool:
        try:
            return self._is_from_model(self._post())
        except requests.RequestException:
            return False

    def _ask(self) -> None:
        answered = time.monotonic()
        while not self._ended.wait(READ_SECONDS):
            try:
                answer = self._post()
            except requests.RequestException:
                self.longest = max(self.longest, time.monotonic() - answered)
                continue
            self.longest = max(self.longest, time.monotonic() - answered - READ_SECONDS)
            answered = time.monotonic()
            if self._is_from_model(answer):
                self.answers += 1
            else:
                self.faults.append(f"the API answered {answer.status_code}: {answer.text[:200]}")

    def _is_from_model(self, answer: requests.Response) -> bool:
        found = answer.json() if answer.ok else {}
        return found.get("source") == "model" and len(found.get("movies", [])) == self._body["n"]

    def _read(self) -> None:
        answered = time.monotonic()
        while not self._ended.wait(READ_SECONDS):
            self.crowd = max(self.crowd, os.getloadavg()[0] / (os.cpu_count() or 1))
            try:
                registry = self._platform.registry
                champion = registry.by_alias(CHAMPION)
                if champion is None:
                    self.faults.append("no version carries the alias champion")
                else:
                    registry.load(champion)
                self.reads += champion is not None
            except UNREACHABLE as error:
                if "is not there" in str(error) or "damaged" in str(error):
                    self.faults.append(str(error))
                self.away = max(self.away, time.monotonic() - answered)
                continue
            except Exception as error:  # noqa: BLE001 - MLflow wraps errors of its database
                self.away = max(self.away, time.monotonic() - answered)
                if not _of_connection(error):
                    self.faults.append(repr(error))
                continue
            self.away = max(self.away, time.monotonic() - answered - READ_SECONDS)
            answered = time.monotonic()

    def pauses(self, longest: float, away: float) -> list[str]:
        """Faults of pauses that were longer than these seconds, which are for a machine that nobody else uses."""
        seen = (("the API did not answer", self.longest, longest), ("the registry was not read", self.away, away))
        return [
            f"{what} for {seconds:.0f} s; {allowed:.0f} s are allowed, times a load of {self.crowd:.1f} per processor"
            for what, seconds, allowed in seen
            if seconds > allowed * self.crowd
        ]

    def summary(self) -> str:
        """What was read, in one line."""
        return json.dumps(
            {
                "answers": self.answers,
                "reads": self.reads,
                "longest without the API": round(self.longest, 1),
                "longest without the registry": round(self.away, 1),
                "load of a processor": round(self.crowd, 1),
            }
        )


def _of_connection(error: Exception) -> bool:
    """Whether MLflow's error is about a database that does not answer."""
    text = repr(error)
    return any(word in text for word in ("OperationalError", "connection", "terminat", "recovery", "shutting down"))
