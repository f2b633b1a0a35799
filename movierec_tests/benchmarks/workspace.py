"""A platform to measure on: a database and a state directory of its own, for as long as something runs there.

Belongs here: making it, running this room's programs on it, and removing it. What is measured is the callers' matter.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.movielens import MovieLensFiles
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.benchmarks import process_cost
from movierec_tests.benchmarks.process_cost import Cost


@dataclass(frozen=True)
class Place:
    """A platform of its own.

    Attributes
    ----------
    scratch : Path
        Its state directory.
    environment : mapping of str
        Variables that point there.
    postmaster : int or None
        Main process of its Postgres server.
    """

    scratch: Path
    environment: Mapping[str, str]
    postmaster: int | None

    def run(self, module: str, *arguments: str, name: str) -> Cost:
        """Run a module of this room there, and measure what it costs."""
        command = [sys.executable, "-m", f"movierec_tests.benchmarks.{module}", *arguments]
        return process_cost.run(command, self.environment, name=name, postmaster=self.postmaster)


@contextmanager
def platform(home: Path, files: MovieLensFiles) -> Iterator[Place]:
    """Make one for a dataset; it is removed at the end.

    Parameters
    ----------
    home : Path
        The project's directory, which holds dagster.yaml.
    files : MovieLensFiles
    """
    with tempfile.TemporaryDirectory(prefix="movierec-bench-") as directory:
        scratch = Path(directory)
        server = EmbeddedPostgres(scratch)
        try:
            with server.lease() as url:
                yield Place(scratch, environment(scratch, home, files, url), server.status().pid)
        finally:
            # Run by root, the data is elsewhere: Postgres does not run as root, and only root may enter the directory.
            server.destroy(force=True)


def environment(scratch: Path, home: Path, files: MovieLensFiles, url: str) -> dict[str, str]:
    """Variables of a platform that has nothing in common with the user's own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MOVIEREC_", "DAGSTER_", "MLFLOW_"))
    }
    return kept | {
        "MOVIEREC_STATE_DIR": str(scratch),
        "MOVIEREC_HOME": str(home),
        "MOVIEREC_DATASET": str(files.directory.resolve()),
        "MOVIEREC_EMBEDDED_DATABASE_URL": url,
        "OPENBLAS_NUM_THREADS": "1",
    }
