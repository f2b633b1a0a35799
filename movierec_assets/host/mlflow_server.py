"""MLflow's server in one process: `python -m movierec_assets.host.mlflow_server ARGUMENTS`, those of `mlflow server`.

Belongs here: becoming the server. Does not: its arguments and variables (`servers`).

MLflow's own command starts the server as a child and waits for its end. That costs 200 MB for nothing, and a command
that was killed leaves the server behind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import mlflow.server
from mlflow.cli import cli


def main() -> None:
    """Prepare the server as MLflow does, then become it."""
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # jobs need the process that waits
    server: Any = mlflow.server
    server._exec_cmd = _become
    cli(["server", *sys.argv[1:]], prog_name="mlflow")


def _become(command: Sequence[str], *, extra_env: Mapping[str, str], **_: Any) -> NoReturn:
    os.execvpe(command[0], list(command), os.environ | dict(extra_env))


if __name__ == "__main__":
    main()
