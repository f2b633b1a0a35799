"""Requests that change or read rows about a user: their transactions, their keys, and their refusals.

Belongs here: the step from errors of `tables` to problems, and the header Idempotency-Key. Does not: routes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request, Response
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.serving.api.admission import network_of
from movierec_assets.serving.api.problems import Problem, forbidden, not_found
from movierec_assets.serving.api.roles import caller_of
from movierec_assets.serving.api.worker import worker_of
from movierec_assets.tables.app_ratings import NoSuchMovieError, NoSuchUserError, NotRatedError
from movierec_assets.tables.app_users import FileUserError
from movierec_assets.tables.database import Database
from movierec_assets.tables.idempotency import IdempotencyKey, KeyReusedError, once

_Result = TypeVar("_Result")

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of the client's choice, as a random UUID. The same request sent again with the same key "
        "within a day gets the first answer and changes nothing. It is of the API key, or without one of the address.",
        examples=["5f3a1c9e-7a41-4a0c-9d0e-0f6f2f9b6c11"],
    ),
]

REPLAYED: dict[str, Any] = {
    "headers": {
        "Idempotency-Replayed": {
            "description": "`true` where this answer was given to the same request before.",
            "schema": {"type": "string"},
        }
    }
}
"""What the schema says of answers to requests that may name a key."""


async def ask(request: Request, query: Callable[[Database], _Result]) -> _Result:
    """The result of a function of the database; what it refuses becomes a problem.

    Raises
    ------
    Problem
        404, 403, or 422.
    DatabaseUnavailableError
    """
    try:
        return await worker_of(request).queries.run(query)
    except (NoSuchUserError, NoSuchMovieError, NotRatedError) as error:
        raise not_found(str(error)) from error
    except FileUserError as error:
        raise forbidden(str(error)) from error
    except KeyReusedError as error:
        raise Problem(
            422, "Key reused", str(error), errors=[{"field": "header.Idempotency-Key", "message": str(error)}]
        ) from error


async def write_once(
    request: Request,
    response: Response,
    key: str | None,
    body: dict[str, Any],
    answer: Callable[[Cursor], dict[str, Any]],
) -> dict[str, Any]:
    """The answer of a request that writes in one transaction, once for each key.

    Parameters
    ----------
    request, response
        An answer that was given before gets the header `Idempotency-Replayed`.
    key : str or None
        Of the header.
    body : dict
        All that the request asks for.
    answer : callable
        Writes; returns the answer, as JSON, with a `user_id`.
    """
    named = None if key is None else IdempotencyKey(_sender(request), key)
    asked = {"method": request.method, "path": request.url.path, **body}

    def write(database: Database) -> tuple[dict[str, Any], bool]:
        with database.transaction() as cursor:
            return once(cursor, named, asked, lambda: answer(cursor))

    made, repeated = await ask(request, write)
    if repeated:
        response.headers["Idempotency-Replayed"] = "true"
    return made


def _sender(request: Request) -> str:
    """The API key of a request, or a digest of its address: strangers may choose the same Idempotency-Key."""
    key_id = caller_of(request).key_id
    if key_id is not None:
        return key_id
    address = network_of(request.client.host) if request.client else None
    return "" if address is None else f"address {hashlib.sha256(address.encode()).hexdigest()[:16]}"


def as_text(time: datetime) -> str:
    """A time as in 2026-05-04T12:30:00.123456Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
