"""A workspace: a Postgres server and a state directory that exist only while a benchmark runs in them.

Belongs here: creating and removing them, and running programs of this room there. Does not: which programs run.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.benchmarks import process_cost
from movierec_tests.benchmarks.process_cost import Cost


@dataclass(frozen=True)
class Workspace:
    """A state directory, and a Postgres server that runs.

    Attributes
    ----------
    state : Path
        The state directory.
    environment : mapping of str
        Environment variables for processes that work there.
    postmaster : int or None
        Process id of the server's main process.
    """

    state: Path
    environment: Mapping[str, str]
    postmaster: int | None

    def run(self, module: str, *arguments: str, name: str) -> tuple[Any, Cost]:
        """Run a module of this room as a program.

        Parameters
        ----------
        module : str
            It gets the path of its result, a JSON file, as the last argument.
        *arguments : str
        name : str
            Name of the process in the report.

        Returns
        -------
        result : JSON value
        cost : Cost

        Raises
        ------
        CommandError
            When the program fails.
        """
        result = self.state / f"{module}.json"
        command = [sys.executable, "-m", f"movierec_tests.benchmarks.{module}", *arguments, str(result)]
        cost = process_cost.run(command, self.environment, name=name, postmaster=self.postmaster)
        return json.loads(result.read_text(encoding="utf-8")), cost


@contextmanager
def open_workspace(home: Path, files: MovieLensFiles) -> Iterator[Workspace]:
    """Create a workspace for a dataset, and remove it at the end.

    Parameters
    ----------
    home : Path
        The project's directory, which holds dagster.yaml.
    files : MovieLensFiles
    """
    with tempfile.TemporaryDirectory(prefix="movierec-bench-") as directory:
        state = Path(directory)
        server = EmbeddedPostgres(state)
        try:
            with server.lease() as url:
                yield Workspace(state, environment(state, home, files, url), server.status().pid)
        finally:
            # For root, the server keeps its data outside the state directory.
            server.destroy(force=True)


def environment(state: Path, home: Path, files: MovieLensFiles | None, url: str) -> dict[str, str]:
    """Environment variables of a workspace, without any setting of the user's own platform.

    Without files, the dataset is that of the settings' default.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MOVIEREC_", "DAGSTER_", "MLFLOW_"))
    }
    return kept | {
        "MOVIEREC_STATE_DIR": str(state),
        "MOVIEREC_HOME": str(home),
        **({} if files is None else {"MOVIEREC_DATASET": str(files.directory.resolve())}),
        "MOVIEREC_EMBEDDED_DATABASE_URL": url,
        "OPENBLAS_NUM_THREADS": "1",
    }
