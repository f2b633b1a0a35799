"""Types of values that requests hold, strict enough that each has one spelling.

Belongs here: types that several routes take. Does not: the bodies of one route.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LARGEST_ID = 2**31 - 1
"""Ids are Postgres integers."""
_DIGITS = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def _plain_digits(value: Any) -> Any:
    # pydantic reads "5_0" and " 5" as numbers, too.
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("must be a whole number in plain digits")
    return value


PlainDigits = BeforeValidator(_plain_digits)
"""Makes a whole number of a path or a query strict: plain digits only. It goes behind the bounds."""


def _plain_truth(value: Any) -> Any:
    # pydantic reads "yes", "on" and "1" as true, too.
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("must be true or false")
        return value == "true"
    return value


TrueOrFalse = BeforeValidator(_plain_truth)
"""Makes a switch of a query strict: `true` or `false`, as in a body."""

UserPath = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of a user.", examples=[42]), PlainDigits]
MoviePath = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of a movie.", examples=[1]), PlainDigits]
ListLength = Annotated[int, Query(ge=1, le=100, description="Number of movies, at most.", examples=[10]), PlainDigits]

Id = Annotated[int, Field(strict=True, ge=1, le=LARGEST_ID)]
"""Id of a user or a movie in a body."""
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\u0000]*$")]
"""Short text without the character NUL, which Postgres cannot store."""


class Body(BaseModel):
    """A body, or a part of one: unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class NoFields(Body):
    """The body of a request that takes none; `{}` says the same as no body."""


NO_FIELDS = NoFields()
