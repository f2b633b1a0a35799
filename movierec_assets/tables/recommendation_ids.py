"""Ids of recommendations: ordered by time, and not to be guessed.

Belongs here: making and reading them. Does not: the lists that they name (`shown`).

References
----------
RFC 9562, section 5.7, UUID version 7.
"""

from __future__ import annotations

import os
import re
import threading
import time
from datetime import UTC, datetime

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LAST_MILLISECOND = 253_402_300_799_999
"""End of the year 9999, where `datetime` ends."""
_IDS_IN_A_BLOCK = 256
"""Random bits are read for so many ids at a time: each reading lets other threads run first."""
_blocks = threading.local()


def new_id(milliseconds: int | None = None) -> str:
    """A new id: the time in Unix milliseconds, now by default, then 74 random bits of the operating system."""
    chance = _chance()
    at = f"{time.time_ns() // 1_000_000 if milliseconds is None else milliseconds:012x}"
    variant = "89ab"[int(chance[3], 16) & 3]
    return f"{at[:8]}-{at[8:]}-7{chance[:3]}-{variant}{chance[4:7]}-{chance[7:19]}"


def _chance() -> str:
    """20 random hexadecimal digits, which nobody gets again."""
    waiting: list[str] | None = getattr(_blocks, "waiting", None)
    if not waiting:
        block = os.urandom(10 * _IDS_IN_A_BLOCK).hex()
        waiting = _blocks.waiting = [block[start : start + 20] for start in range(0, len(block), 20)]
    return waiting.pop()


def is_id(text: str) -> bool:
    """Whether a text has the form of an id, in lower case, with a time that exists."""
    return _FORM.fullmatch(text) is not None and _milliseconds(text) <= _LAST_MILLISECOND


def time_of(recommendation_id: str) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp(_milliseconds(recommendation_id) / 1000, UTC)


def _milliseconds(recommendation_id: str) -> int:
    return int(recommendation_id[:8] + recommendation_id[9:13], 16)
