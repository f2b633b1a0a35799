"""Memory of this process: its peak, and giving back what is free.

Belongs here: asking the system. Does not: showing the peak (`defs.presentation`). Steps of a run share one process, so
the peak is reset where a step begins. Only Linux can reset it; elsewhere it counts from the start of the process.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from contextlib import suppress
from pathlib import Path

_PROCESS = Path("/proc/self")
_RESET_PEAK = "5"


def give_back() -> None:
    """Return memory that steps before have freed, where allocators keep it: GNU's hundreds of MB, Arrow's tens."""
    pool = getattr(sys.modules.get("pyarrow"), "default_memory_pool", None)
    if pool is not None:
        pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def reset_peak() -> None:
    """Count the peak from now on, where the system can."""
    with suppress(OSError):
        (_PROCESS / "clear_refs").write_text(_RESET_PEAK)


def peak_rss_mb() -> float:
    """Largest resident set since the last reset, shared libraries included, in units of a million bytes."""
    with suppress(OSError):
        for line in (_PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
