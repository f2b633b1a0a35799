"""Refusals as problem+json (RFC 9457).

Belongs here: the exception that routes raise, and the answers to every kind of error. Does not: texts of one route.
"""

from __future__ import annotations

from typing import Any


class Problem(Exception):  # noqa: N818 - the name of RFC 9457
    """A refusal that a client understands.

    Parameters
    ----------
    status : int
        HTTP status.
    title : str
        The kind of problem, the same for all of its kind.
    detail : str
        This case: what was wrong, and the remedy.
    headers : dict, optional
    **more
        Further members of the answer, as in `field="n"`.
    """

    def __init__(
        self, status: int, title: str, detail: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.headers, self.more = status, title, detail, headers or {}, more


def not_found(detail: str) -> Problem:
    """404."""
    return Problem(404, "Not found", detail)


def out_of_range(field: str, detail: str) -> Problem:
    """422, naming a field."""
    return Problem(422, "Unusable value", detail, errors=[{"field": field, "message": detail}])


def unavailable(detail: str, retry_after: int = 5) -> Problem:
    """503, with Retry-After in seconds."""
    return Problem(503, "Temporarily unavailable", detail, {"Retry-After": str(retry_after)})
