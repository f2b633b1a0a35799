"""Rounds in which a part of the platform is killed during a training: `python -m movierec_tests.journeys.kill_rounds`.

Belongs here: the rounds, their random moments, and what is printed about them. Does not: looking at the platform
(`watched_platform`).

Each round appends ratings to the file of the dataset. The platform notices them and starts a run by itself. At a random
moment of that run one part, or with --all each part in turn, is killed with SIGKILL. The round ends when everything is
made from the new file; then nothing may be lost, done twice or left behind, and the champion must have been readable
all the time.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from dagster import DagsterInstance, DagsterRunStatus

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.locate import locate
from movierec_assets.settings import get_settings
from movierec_tests.benchmarks.api.service import free_port
from movierec_tests.journeys.conftest import new_ratings, rewrite
from movierec_tests.journeys.watched_platform import (
    API,
    POSTGRES,
    RUN,
    TARGETS,
    Reader,
    WatchedPlatform,
)

Found = TypeVar("Found")

USERS = 120
"""Of the demo set, when no dataset is named."""
NEW_RATINGS = 25
MOVIE = 1
PATIENCE = 900.0
"""Seconds for one round."""
WITHOUT_API, WITHOUT_WORKER = 5.0, 30.0
"""Longest time, in seconds, without an answer of the API, and in rounds in which its only worker is killed."""
WITHOUT_REGISTRY, WITHOUT_POSTGRES = 5.0, 15.0
"""Longest time, in seconds, without a champion read from the registry, and in rounds in which Postgres is killed.

All of them where each process has a processor: they are multiplied by the load of one (`Reader.crowd`).
"""


def say(text: str) -> None:
    """Print a line with the time."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Round:
    """What happened in a round.

    Attributes
    ----------
    killed : list of str
        Each part, and the second of the run at which it was killed.
    seconds : float
        From the new file until everything was made from it.
    runs : list of str
        Runs for the new file, oldest first.
    read : str
    faults : list of str
    """

    killed: list[str]
    seconds: float
    runs: list[str]
    read: str
    faults: list[str]


class Rounds:
    """Rounds on one platform.

    Parameters
    ----------
    platform : WatchedPlatform
        Running, with a champion.
    typical : float
        Seconds that a run takes.
    reader : Reader, optional
        None while there is no champion.
    """

    def __init__(self, platform: WatchedPlatform, typical: float, reader: Reader | None = None) -> None:
        self._platform = platform
        self._reader = reader
        self._typical = typical

    def play(self, number: int, seed: int, targets: Sequence[str]) -> Round:
        """Append ratings, and kill `targets`, in this order, until everything is made from them."""
        if self._reader is not None:
            self._reader.begin()
        self._append(number, seed)
        return self.disturb(seed, targets)

    def _append(self, day: int, seed: int) -> None:
        lines = new_ratings(self._platform.dataset, NEW_RATINGS, day=day, seed=seed)
        rewrite(self._platform.dataset, lambda before: [*before, *lines])

    def disturb(self, seed: int, targets: Sequence[str]) -> Round:
        """Kill `targets`, in this order, in the runs that are due, and wait until nothing is due."""
        chance = random.Random(seed)
        started = time.monotonic()
        killed = [self._kill(target, chance) for target in targets]
        self._until("the work of the round", lambda instance: self._platform.undone(instance) is None)
        took = time.monotonic() - started
        with DagsterInstance.get() as instance:
            files = stamp(self._platform)
            runs = self._platform.runs(instance, files)
            faults = self._platform.faults(instance, files)
        if not self._platform.running():
            faults.append(f"movierec up has ended:\n{self._platform.last_lines()}")
        read = ""
        if self._reader is not None:
            read = self._reader.summary()
            faults += self._reader.faults
            longest = WITHOUT_WORKER if API in targets else WITHOUT_API
            away = WITHOUT_POSTGRES if POSTGRES in targets else WITHOUT_REGISTRY
            faults += self._reader.pauses(longest, away)
        shown = [f"{run.job_name} {run.run_id[:8]} {run.status.value}" for run in reversed(runs)]
        return Round(killed, took, shown, read, faults)

    def _kill(self, target: str, chance: random.Random) -> str:
        """Kill a part at a random moment of a run, and wait until it is there again."""

        def executes(instance: DagsterInstance) -> bool:
            if any(run.status is DagsterRunStatus.STARTED for run in self._platform.runs(instance)):
                return True
            if self._platform.undone(instance) is not None:
                return False
            if target == RUN:  # all was done before it could be killed: more is due
                self._append(1000, chance.randrange(1_000_000))
            return target != RUN

        def found(instance: DagsterInstance) -> list[psutil.Process]:
            # On a fast machine the run has ended by now: its successor is killed at its start.
            return self._platform.processes(target) or (executes(instance) and self._platform.processes(target)) or []

        self._until(f"a run to kill {target} in", executes)
        began = time.monotonic()
        time.sleep(chance.uniform(0, self._typical))
        victims = self._until(f"{target}, to be killed,", found)
        after = time.monotonic() - began
        victim = chance.choice(sorted(victims, key=lambda process: process.pid))
        victim.send_signal(signal.SIGKILL)
        if target != RUN:
            self._until(f"{target}, again", lambda _: self._is_back(target, victim.pid))
        return f"{target} ({victim.pid}) after {after:.1f} s"

    def _is_back(self, target: str, killed: int) -> bool:
        return any(process.pid != killed for process in self._platform.processes(target))

    def _until(self, what: str, look: Callable[[DagsterInstance], Found]) -> Found:
        """Wait for something that the instance shows, and return it; the instance may be away."""
        error: Exception | None = None

        def seen() -> Found | None:
            nonlocal error
            try:
                with DagsterInstance.get() as instance:
                    error = None
                    return look(instance)
            except Exception as caught:  # noqa: BLE001 - Dagster wraps errors of its database
                error = caught
                return None

        return self._platform.wait_for(seen, what, PATIENCE, lambda: str(error or self._left()))

    def _left(self) -> str | None:
        with DagsterInstance.get() as instance:
            return self._platform.undone(instance)


def stamp(platform: WatchedPlatform) -> str:
    """The tag of runs for the files of the dataset as they are."""
    return platform.files_tag(locate(get_settings(), None))


def first_champion(platform: WatchedPlatform) -> float:
    """Wait until the platform has made its first champion by itself; returns the seconds that its run took."""
    platform.enter()
    with DagsterInstance.get() as instance:
        platform.wait_for(lambda: platform.undone(instance) is None, "the first champion", PATIENCE)
        record = instance.get_run_record_by_id(platform.runs(instance, stamp(platform))[0].run_id)
    assert record is not None
    return (record.end_time or 0.0) - (record.start_time or 0.0)


@contextmanager
def watched(directory: Path, dataset: Path | None) -> Iterator[WatchedPlatform]:
    """`movierec up` on a copy of a dataset, else on the demo set."""
    copy = directory / "dataset"
    if not copy.exists():
        if dataset is None:
            make_demo(copy, users=USERS)
        else:
            shutil.copytree(dataset, copy)
    platform = WatchedPlatform(directory, copy, [free_port() for _ in range(4)])
    platform.start()
    try:
        yield platform
    finally:
        platform.stop()


def main(directory: Path, arguments: argparse.Namespace) -> bool:
    """Play the rounds; returns whether all were without fault."""
    with watched(directory, arguments.dataset) as platform:
        typical = first_champion(platform)
        say(f"The first champion is there; its run took {typical:.0f} s. The log is {directory / 'up.log'}")
        good = True
        with Reader(platform, MOVIE) as reader:
            rounds = Rounds(platform, 0.8 * typical, reader)  # later runs are faster
            order: list[str] = []
            for number in range(1, arguments.rounds + 1):
                seed = arguments.seed + number
                if not order:
                    order = random.Random(seed).sample(TARGETS, len(TARGETS))
                targets = random.Random(seed).sample(TARGETS, len(TARGETS)) if arguments.all else [order.pop()]
                played = rounds.play(number, seed, targets)
                say(f"round {number}, seed {seed}: killed {'; '.join(played.killed)}; {played.seconds:.0f} s")
                say(f"  runs: {', '.join(played.runs)}")
                say(f"  reader: {played.read}")
                for fault in played.faults:
                    say(f"  FAULT: {fault}")
                good = good and not played.faults
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--all", action="store_true", help="kill every part in each round, one after another")
    parser.add_argument("--dataset", type=Path, help="a directory in MovieLens layout [the demo set, 120 users]")
    parser.add_argument("--directory", type=Path, help="where state, log and dataset stay [a temporary one]")
    given = parser.parse_args()
    if given.directory is not None:
        given.directory.mkdir(parents=True, exist_ok=True)
        sys.exit(0 if main(given.directory.resolve(), given) else 1)
    with tempfile.TemporaryDirectory() as made:
        sys.exit(0 if main(Path(made), given) else 1)
