"""What `movierec api` starts, with workers that have the floor route as well.

Belongs here: another program for the workers. Does not: the processes, which are in `host.api`.

    python -m movierec_tests.benchmarks.api.server
"""

from __future__ import annotations

import logging
import os
import signal
import sys

from movierec_assets.host.api import api_databases, serve
from movierec_assets.serving.online.errand import end_with_parent
from movierec_assets.settings import get_settings

WORKER = "movierec_tests.benchmarks.api.worker"


def main() -> None:
    """Answer requests until SIGTERM."""
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with api_databases(get_settings(), lambda _: None) as settings:
        serve(settings, lambda address: print(address, file=sys.stderr), WORKER)


if __name__ == "__main__":
    main()
