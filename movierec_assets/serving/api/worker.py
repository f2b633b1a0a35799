"""The parts of one worker, and how routes reach them.

Belongs here: the parts, by name. Does not: starting and stopping them (`app`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from starlette.requests import Request

from movierec_assets.serving.api.dagster_client import DagsterClient
from movierec_assets.serving.online.app_counts import AppCountsKept
from movierec_assets.serving.online.current import CurrentSnapshot
from movierec_assets.serving.online.live import LiveReader
from movierec_assets.serving.online.movie_search import CurrentSearch
from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.rankers import Rankers
from movierec_assets.serving.online.shown import ShownLog
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database

_Result = TypeVar("_Result")


class Queries(Protocol):
    """Runs queries that take longer than a moment in threads of their own, with kept connections and a time limit."""

    async def run(self, query: Callable[[Database], _Result]) -> _Result:
        """The result of a function of the database; raises `DatabaseUnavailableError`."""


@dataclass
class Worker:
    """Parts of a worker.

    Attributes
    ----------
    queries : Queries
        For what answers soon.
    launches : Queries
        For what waits for Dagster, so that nothing else waits behind it; see `launches.threads_for_launches`.
    """

    settings: Settings
    current: CurrentSnapshot
    live: LiveReader
    queries: Queries
    launches: Queries
    shown: ShownLog
    dagster: DagsterClient
    search: CurrentSearch = field(default_factory=CurrentSearch)
    rankers: Rankers = field(default_factory=Rankers)
    app_counts: AppCountsKept = field(default_factory=AppCountsKept)

    @property
    def ranker(self) -> Ranker:
        """Ranks by the current snapshot. Take it once for each request: the next one may have another."""
        return self.rankers.of(self.current.snapshot)


def worker_of(request: Request) -> Worker:
    """The parts that a request is answered with."""
    return cast(Worker, request.app.state.worker)
