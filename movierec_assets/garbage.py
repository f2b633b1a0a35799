"""How often Python looks for garbage, in processes that live for one command or one errand.

Belongs here: the number. Does not: processes that answer requests, which would stand still for longer at a time.
"""

from __future__ import annotations

import gc

_NEW_OBJECTS = 100_000


def collect_rarely() -> None:
    """Look for garbage after 100,000 new objects instead of 700.

    Imports leave no garbage. Looking for it took a fifth of the 2.4 s of a processor that MLflow's client needs.
    """
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
