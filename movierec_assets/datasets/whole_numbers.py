"""Whole numbers as tools write them: 1, 1.0, 9.78562356E8.

Belongs here: reading one text. Does not: reading columns (`rating_rows`).
"""

from __future__ import annotations

import re

import numpy as np

INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
LARGEST_EXACT = 2**53
"""From here on, a floating-point number may differ from the whole number in the text."""
_THOUSANDS = re.compile(r"[+-]?[0-9]+\.[0-9]{3}", re.ASCII)
"""1.000 is a thousand in half of Europe and one elsewhere, so it is refused."""
_INT64 = np.iinfo(np.int64)
_MAX_DIGITS = 4_000


def whole_number(text: str) -> int | None:
    """Read a whole number, clipped to 64 bits; None where the text is none.

    Examples
    --------
    >>> whole_number("978562356.0"), whole_number("9.78562356E8"), whole_number("1.5"), whole_number("1.000")
    (978562356, 978562356, None, None)
    """
    if INTEGER.fullmatch(text):
        if len(text) > _MAX_DIGITS:  # int() refuses more than 4,300
            return int(_INT64.max)
        return _clipped(int(text))
    if not NUMBER.fullmatch(text) or _THOUSANDS.fullmatch(text):
        return None
    number = float(text)
    if abs(number) >= LARGEST_EXACT:
        return int(_INT64.max if number > 0 else _INT64.min)
    return int(number) if number.is_integer() else None


def _clipped(number: int) -> int:
    return min(max(number, int(_INT64.min)), int(_INT64.max))
