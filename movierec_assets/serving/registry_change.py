"""A promotion or a rollback in a process of its own, so that a worker of the API never imports MLflow.

Belongs here: the process, and how its caller reads the end of it. Does not: how the champion changes
(`models.decisions`), HTTP.

The request comes on stdin as JSON, and the answer goes to stdout as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from typing import Any, Literal

from movierec_assets.garbage import collect_rarely

SECONDS = 90.0
"""Longest time of a change. One that was killed is settled by the next."""
WAIT_SECONDS = 10.0
"""Longest wait for another change."""

Refusal = Literal["no such version", "refused", "busy", "unavailable"]


@dataclass(frozen=True)
class Change:
    """A change of the champion that a person asks for.

    Attributes
    ----------
    version : int or None
        Version to promote; None for a rollback.
    reason, decided_by : str
    force : bool
        Also a version of other data than the loaded one.
    """

    version: int | None
    reason: str
    decided_by: str
    force: bool = False


class ChangeRefusedError(Exception):
    """The champion is as it was; the message says why.

    Attributes
    ----------
    kind : {"no such version", "refused", "busy", "unavailable"}
    """

    def __init__(self, kind: Refusal, message: str) -> None:
        super().__init__(message)
        self.kind = kind


async def carry_out(change: Change) -> dict[str, Any]:
    """Carry out a change in a process of its own.

    Returns
    -------
    dict
        `decision`, as `Record.as_dict` gives it, and `other_data`, the consequence when the version is of other data.

    Raises
    ------
    ChangeRefusedError
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        content, log = await asyncio.wait_for(process.communicate(json.dumps(asdict(change)).encode()), SECONDS)
    except TimeoutError as error:
        raise ChangeRefusedError(
            "unavailable",
            f"The change was not done within {SECONDS:g} s and was ended; GET /model shows whether it took effect.",
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"The process of a change ended with status {process.returncode}: {log.decode()[-2000:]}")
    answer: dict[str, Any] = json.loads(content.splitlines()[-1])
    if "kind" in answer:
        raise ChangeRefusedError(answer["kind"], answer["message"])
    return answer


def main() -> None:
    """Carry out the change on stdin."""
    collect_rarely()
    from movierec_assets.models.decisions import Promotions  # noqa: PLC0415
    from movierec_assets.models.errors import (  # noqa: PLC0415
        NoSuchVersionError,
        PromotionBusyError,
        PromotionError,
        RegistryUnavailableError,
    )
    from movierec_assets.models.registry import ModelRegistry  # noqa: PLC0415
    from movierec_assets.settings import get_settings  # noqa: PLC0415
    from movierec_assets.tables.database import Database, DatabaseUnavailableError  # noqa: PLC0415

    change = Change(**json.load(sys.stdin))
    settings = get_settings()
    promotions = Promotions(ModelRegistry.of(settings), Database(settings.databases.ratings), WAIT_SECONDS)
    kinds: dict[type[Exception], Refusal] = {
        NoSuchVersionError: "no such version",
        PromotionBusyError: "busy",
        PromotionError: "refused",
        RegistryUnavailableError: "unavailable",
        DatabaseUnavailableError: "unavailable",
    }
    answer: dict[str, Any]
    try:
        if change.version is None:
            record = promotions.rollback(change.reason, change.decided_by, force=change.force)
        else:
            record = promotions.promote(change.version, change.reason, change.decided_by, force=change.force)
        other = promotions.other_data(promotions.registry.version(record.version))
        answer = {"decision": record.as_dict(), "other_data": None if other is None else other.consequence}
    except tuple(kinds) as error:
        kind = next(kind for each, kind in kinds.items() if isinstance(error, each))
        answer = {"kind": kind, "message": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
