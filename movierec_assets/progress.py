"""Types of the functions that long work calls to report progress.

Belongs here: the types. Does not: the functions; the command line prints, assets write to Dagster's log.
"""

from __future__ import annotations

from collections.abc import Callable

Log = Callable[[str], None]
"""Called with a line of text for people."""
Progress = Callable[[int, int], None]
"""Called with the amount done and the total amount."""
StageProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, the amount done and the total amount of the stage."""
