"""Points in time as files write them: seconds since 1970, or ISO 8601.

Belongs here: ISO 8601 to Unix seconds, one text or a column. Does not: which times are possible for a rating
(`rating_scan`).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl

_BODY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]((?:[01][0-9]|2[0-3]):[0-5][0-9])(?:(:[0-5][0-9])(?:[.,][0-9]{1,9})?)?(.*))?"
)
_ZONE = re.compile(r" ?(?:(Z|z|UTC)|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)")
_FRACTION = r"^[.,][0-9]{1,9}"
_MAX_ZONES = 1_000
_EPOCH = datetime(1970, 1, 1)


class Moment(NamedTuple):
    """Whole Unix seconds, and whether the text names no zone, so that UTC was assumed."""

    seconds: int
    assumed_utc: bool


def parse_time(text: str) -> Moment | None:
    """Read an ISO 8601 date and time; None where the text is none.

    Examples
    --------
    >>> parse_time("2001-01-03 22:52:36")
    Moment(seconds=978562356, assumed_utc=True)
    >>> parse_time("2001-01-03T23:52:36.5+01:00")
    Moment(seconds=978562356, assumed_utc=False)
    """
    found = _TIME.fullmatch(text)
    offset = _offset(found[4] or "") if found else None
    if found is None or offset is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}{found[3] or ':00'}")
    except ValueError:  # the 30th of February
        return None
    return Moment(int((moment - _EPOCH).total_seconds()) - offset, not found[4])


def _offset(zone: str) -> int | None:
    """Seconds that a zone is ahead of UTC; 0 where none is named, None where the text is no zone."""
    if not zone:
        return 0
    found = _ZONE.fullmatch(zone)
    if found is None:
        return None
    if found[1]:
        return 0
    return (1 if found[2] == "+" else -1) * (int(found[3]) * 3_600 + int(found[4] or 0) * 60)


def parse_times(texts: pl.Series) -> pl.DataFrame:
    """Read a column of times quickly.

    Returns
    -------
    DataFrame
        `seconds` (Int64) and `assumed_utc` (Boolean), as `parse_time` gives them; null where it gives None, and for
        rare forms, which the caller reads with `parse_time`.
    """
    import polars as pl  # noqa: PLC0415 - slow to import, and not needed for a single time

    dates = pl.when(texts.str.len_bytes() == len("2001-01-03")).then(texts + " 00:00:00").otherwise(texts)
    frame = pl.select(text=dates).select(
        body=pl.when(pl.col("text").str.contains("^" + _BODY)).then(pl.col("text").str.slice(0, 19)),
        zone=pl.col("text").str.slice(19).str.replace(_FRACTION, ""),
    )
    zones = frame["zone"].drop_nulls().unique().to_list()
    offsets = {zone: _offset(zone) for zone in zones} if len(zones) <= _MAX_ZONES else {"": 0}
    known = {zone: offset for zone, offset in offsets.items() if offset is not None}
    moment = pl.col("body").str.replace("T", " ", literal=True).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
    offset = pl.col("zone").replace_strict(known, default=None, return_dtype=pl.Int64)
    return frame.select(seconds=moment.dt.epoch("s") - offset, assumed_utc=pl.col("zone") == "").with_columns(
        assumed_utc=pl.when(pl.col("seconds").is_not_null()).then("assumed_utc")
    )
