"""Times in words.

Belongs here: ages, waits and lengths of time as people read them. Does not: the clock, which callers pass.
"""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1))


def length(seconds: float) -> str:
    """A length of time in its largest unit, or its two largest ones where the first is small: "2 h 5 min"."""
    for unit, size, smaller, part in _UNITS:
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // part} {smaller}" if whole < 3 and rest // part else f"{whole} {unit}"
    return f"{max(0, round(seconds))} s"


def ago(moment: datetime, now: datetime) -> str:
    """As in "3 h ago"."""
    return f"{length((now - moment).total_seconds())} ago"


def ahead(moment: datetime, now: datetime) -> str:
    """As in "in 3 h"; "now" for a moment that has passed."""
    seconds = (moment - now).total_seconds()
    return f"in {length(seconds)}" if seconds > 0 else "now"


def at(moment: datetime) -> str:
    """As in "2026-01-31 02:00 UTC"."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def read(text: str | None) -> datetime | None:
    """A time of the API, in ISO 8601; None stays None."""
    return None if text is None else datetime.fromisoformat(text)
