"""The process that stops the embedded Postgres server after the last process that needed it.

Belongs here: the keeper, and launching it. It waits as long as the server runs, detached, and therefore imports
little. Does not: starting servers, the meaning of the locks (`state`).
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from movierec_assets.file_lock import locked
from movierec_assets.postgres.state import StateDirectory

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
            state.lease_lock.touch(mode=0o600)  # the keeper waits for it, and makes nothing
            path = [str(IMPORT_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            return subprocess.Popen(
                [sys.executable, "-m", MODULE, str(state.path)],
                # It inherits the lock, so that there is never a second keeper, and never a moment without one.
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
        # Nothing is made anew: somebody may be removing the directory.
        with locked(state.lease_lock, create=False), locked(state.server_lock, create=False):
            try:
                if not state.pin.exists():
                    state.cluster.stop()
            finally:
                # The keeper's lock is released first: a process that gets another lock next must find no keeper.
                os.close(0)
    except FileNotFoundError:
        # The directory was removed under the server.
        cluster.stop()


def main() -> None:
    """Detach, so that the process that took the lease need not wait for a child; then `keep`."""
    state = StateDirectory(Path(sys.argv[1]))
    if os.fork():
        os._exit(0)
    keep(state)


if __name__ == "__main__":
    main()
