"""How long work reports what it is doing.

Belongs here: the types of the functions that long work calls. What is done with the text is the caller's matter: the
command line shows it, an asset writes it to Dagster's log.
"""

from __future__ import annotations

from collections.abc import Callable

Log = Callable[[str], None]
"""Takes one line of text for people."""
Progress = Callable[[int, int], None]
"""Takes how much is done, and how much there is."""
StageProgress = Callable[[str, int, int], None]
"""Takes the name of a stage, how much of it is done, and how much there is."""
