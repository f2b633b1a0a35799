"""`movierec up` as a person uses it: time from a dropped file to its recommendations, and memory while nothing happens.

Belongs here: the servers of one scratch platform, and both measurements. Does not: time and memory of the API (`api`),
time and memory of a run (`benchmark`). Memory is read from /proc, so on Linux only.

    python -m movierec_tests.benchmarks.up DATASET_DIR
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_tests.benchmarks.api.service import free_port

KEPT_BACK = 0.02
"""Share of the ratings, the latest ones, that the dropped file has and the one before it has not."""
LONGEST_SECONDS = 1800.0
IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Up:
    """A platform under `movierec up`."""

    settings: Settings
    process: subprocess.Popen[bytes]

    @property
    def promotions(self) -> Promotions:
        """Its champions; needs a running Postgres."""
        url = EmbeddedPostgres(self.settings.state).url()
        assert url is not None
        registry = ModelRegistry(DatabaseUrls(url).mlflow, self.settings.artifacts)
        return Promotions(registry, Database(DatabaseUrls(url).ratings))

    def published(self, rows: int, after: int) -> bool:
        """Whether so many ratings are loaded, a later decision is made, and its champion is in all tables."""
        try:
            promotions = self.promotions
            load = promotions._database.last_load("ratings")
            champion = promotions.registry.by_alias(CHAMPION)
            decided = promotions.history(1)
            served = set(promotions.served().values())
        except Exception:  # noqa: BLE001
            return False  # Postgres is starting
        loaded = load is not None and load.details["rows"] == rows
        return loaded and bool(decided) and decided[0].id > after and served == {champion and champion.number}

    def wait_for(self, rows: int, after: int = 0) -> float:
        """Wait until ratings are published; returns the seconds."""
        started = time.monotonic()
        while not self.published(rows, after):
            assert self.process.poll() is None, "the servers ended"
            assert time.monotonic() - started < LONGEST_SECONDS, "nothing was published"
            time.sleep(0.5)
        return time.monotonic() - started

    def processes(self) -> list[psutil.Process]:
        """The command, its descendants, and the embedded Postgres, which has another parent."""
        roots = [self.process.pid, EmbeddedPostgres(self.settings.state).status().pid]
        found = [psutil.Process(pid) for pid in roots if pid is not None]
        return [each for root in found for each in (root, *root.children(recursive=True))]

    def memory(self) -> dict[str, float]:
        """Megabytes of each kind of process; pages that processes share count once in all."""
        found: defaultdict[str, float] = defaultdict(float)
        for process in self.processes():
            try:
                found[_kind(process)] += process.memory_full_info().pss / 1e6
            except psutil.Error:
                continue  # it has ended
        return dict(sorted(found.items(), key=lambda each: -each[1]))


def _kind(process: psutil.Process) -> str:
    words = process.cmdline()
    text = " ".join(words)
    for kind, mark in {
        "the app": "streamlit",
        "MLflow": "mlflow",
        "Dagster's code server": "grpc",
        "Dagster's webserver": "webserver",
        "Dagster's daemon": "daemon",
        "Postgres": "postgres",
        "Dagster": "dagster",
    }.items():
        if mark in text:
            return kind
    return "the API and the command"


@contextmanager
def running(directory: Path, dataset: Path) -> Iterator[Up]:
    """`movierec up` on a dataset, stopped at the end with its Postgres."""
    ports = {name: str(free_port()) for name in ("DAGSTER", "MLFLOW", "API", "APP")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MOVIEREC_")}
    environment |= {
        "MOVIEREC_STATE_DIR": str(directory / "state"),
        "MOVIEREC_DATASET": str(dataset),
        **{f"MOVIEREC_{name}_PORT": port for name, port in ports.items()},
    }
    log = (directory / "up.log").open("wb")
    command = [sys.executable, "-m", "movierec_assets.cli", "up"]
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield Up(Settings(state_dir=directory / "state"), process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        log.close()


def _cut(dataset: Path, target: Path) -> tuple[int, int]:
    """A copy of a dataset without its latest ratings; returns the ratings of the copy and of the dataset."""
    shutil.copytree(dataset, target)
    file = target / "ratings.csv"
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    by_time = sorted(lines, key=lambda line: int(line.rsplit(",", 1)[1]))
    kept = set(by_time[: round(len(lines) * (1 - KEPT_BACK))])
    file.write_text("\n".join([header, *(line for line in lines if line in kept)]) + "\n", encoding="utf-8")
    return len(kept), len(lines)


@click.command()
@click.argument("dataset", type=click.Path(exists=True, file_okay=False, path_type=Path))
def up(dataset: Path) -> None:
    """Measure on a copy of a dataset in MovieLens layout, first without its latest ratings, then with them."""
    with tempfile.TemporaryDirectory(prefix="movierec-up-") as scratch:
        directory = Path(scratch)
        before, after = _cut(dataset, directory / "films")
        with running(directory, directory / "films") as platform:
            click.echo(f"first recommendations, from the start of the command: {platform.wait_for(before):.0f} s")
            decided = platform.promotions.history(1)[0].id
            time.sleep(IDLE_SECONDS)
            shutil.copy(dataset / "ratings.csv", directory / "films" / "ratings.csv")
            seconds = platform.wait_for(after, decided)
            click.echo(f"recommendations from the dropped file of {after:,} ratings: {seconds:.0f} s")
            time.sleep(IDLE_SECONDS)
            found = platform.memory()
            click.echo(f"memory while nothing happens: {sum(found.values()):,.0f} MB")
            for kind, megabytes in found.items():
                click.echo(f"  {kind}: {megabytes:,.0f} MB")


if __name__ == "__main__":
    up()
