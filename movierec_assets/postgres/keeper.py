"""The process that stops the embedded Postgres server after the last process that needed it.

Belongs here: the keeper, which waits detached for as long as the server runs, so imports little; and how
it comes to be. Does not: starting servers, or the meaning of the locks (`postgres_state`).
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from movierec_assets.postgres.state import StateDirectory, locked

MODULE = "movierec_assets.postgres.keeper"
MODULES = (MODULE, "movierec_assets.resources.postgres_keeper")
"""This module, and its name in earlier versions, whose keeper may still run after an upgrade."""
IMPORT_ROOT = Path(__file__).resolve().parents[2]


def ensure_keeper(state: StateDirectory) -> subprocess.Popen[bytes] | None:
    """Start a keeper unless one is alive; call with the server lock held.

    Returns
    -------
    Popen or None
        Its launcher, which exits with 0 once the keeper waits; None when one was there.
    """
    try:
        with locked(state.keeper_lock, fcntl.LOCK_EX | fcntl.LOCK_NB) as held, state.keeper_log.open("wb") as log:
            path = [str(IMPORT_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            return subprocess.Popen(
                [sys.executable, "-m", MODULE, str(state.path)],
                # It inherits the lock itself, so at no time do two keepers run or does one seem to be missing.
                stdin=held,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
                start_new_session=True,
            )
    except BlockingIOError:
        return None


def keep(state: StateDirectory) -> None:
    """Wait until nobody holds a lease, then stop the server unless it is pinned."""
    cluster = state.cluster
    try:
        with locked(state.lease_lock), locked(state.server_lock):
            try:
                if not state.pin.exists():
                    state.cluster.stop()
            finally:
                # Released first: whoever gets one of the other locks must not take this process for a keeper.
                os.close(0)
    except FileNotFoundError:
        # Somebody removed the directory under the server.
        cluster.stop()


def main() -> None:
    """Detach, so that no process that took a lease is left with a child to wait for, and keep."""
    state = StateDirectory(Path(sys.argv[1]))
    if os.fork():
        os._exit(0)
    keep(state)


if __name__ == "__main__":
    main()
