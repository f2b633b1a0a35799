"""Figures of the service for Prometheus.

Belongs here: the metrics, and adding up those of several workers. Does not: the route (`routes.metrics`).

With several workers each writes its figures into files of a directory that MULTIPROCESS names, and any of them adds
all up. The variable has to be set before this module is imported.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import Scope

from movierec_assets.serving.api.guard import ROUTE

if TYPE_CHECKING:
    from movierec_assets.serving.api.worker import Worker

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The library's variable: a directory that exists, empty when the service starts."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_FOLD_IN_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05)


class Metrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        _forget_dead_workers()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = own = CollectorRegistry()
        self._requests = Counter(
            "movierec_requests", "Requests by route and status.", ["method", "route", "status"], registry=own
        )
        self._latency = Histogram(
            "movierec_request_seconds", "Time to an answer, by route.", ["route"], registry=own, buckets=_SECONDS
        )
        self._answers = Counter("movierec_answers", "Lists by their source.", ["source"], registry=own)
        self._ranking = Histogram(
            "movierec_ranking_seconds",
            "Time to fold a user in and to rank, without reading ratings.",
            registry=own,
            buckets=_FOLD_IN_SECONDS,
        )
        self._fold_in = Histogram(
            "movierec_fold_in_seconds",
            "Time to fold a user in, within that; not of stored states.",
            registry=own,
            buckets=_FOLD_IN_SECONDS,
        )
        self._version = self._gauge("movierec_model_version", "Served version; 0 without one.", "mostrecent")
        self._age = self._gauge("movierec_model_age_seconds", "Since the version became champion.", "mostrecent")
        self._running = self._gauge("movierec_running_requests", "Requests that are being answered.", "livesum")
        self._waiting = self._gauge("movierec_log_queue_rows", "Lists and events that wait to be written.", "livesum")
        self._reading = self._gauge(
            "movierec_live_queue_requests", "Requests that wait for the ratings of their user.", "livesum"
        )
        self._dropped = Counter("movierec_log_dropped_rows", "Lists and events that were not written.", registry=own)
        self._written = Counter("movierec_log_written_rows", "Lists and events that were written.", registry=own)
        self._seen_dropped = self._seen_written = 0
        # Looking a child up by its labels costs as much as a short request.
        self._of_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._of_source: dict[str, Counter] = {}

    def _gauge(self, name: str, text: str, mode: str) -> Gauge:
        return Gauge(name, text, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def seen(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request."""
        key = (scope["method"], scope.get(ROUTE, "none"), status)
        found = self._of_request.get(key)
        if found is None:
            method = key[0] if key[1] != "none" else "any"  # a client may make up methods and addresses
            found = self._requests.labels(method, key[1], status), self._latency.labels(key[1])
            if key[1] != "none":
                self._of_request[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def answered(self, source: str, seconds: float, fold_in_seconds: float | None = None) -> None:
        """Count a list, the time to fold its user in and to rank, and of that the fold-in, where there was one."""
        found = self._of_source.get(source)
        if found is None:
            found = self._of_source[source] = self._answers.labels(source)
        found.inc()
        self._ranking.observe(seconds)
        if fold_in_seconds is not None:
            self._fold_in.observe(fold_in_seconds)

    def look(self, worker: Worker, running: int) -> None:
        """Take what a worker counts by itself; called every few seconds, and before the figures are given out."""
        champion = worker.current.snapshot.champion
        self._version.set(champion.version if champion else 0)
        promoted_at = champion.promoted_at if champion else None
        self._age.set(max(0.0, time.time() - promoted_at) if promoted_at else 0.0)
        self._running.set(running)
        self._waiting.set(worker.shown.waiting)
        self._reading.set(worker.live.waiting)
        dropped, written = worker.shown.dropped, worker.shown.written
        self._dropped.inc(dropped - self._seen_dropped)
        self._written.inc(written - self._seen_written)
        self._seen_dropped, self._seen_written = dropped, written

    def text(self) -> bytes:
        """The figures of all workers, in the text format of Prometheus."""
        registry = self._registry
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_dead_workers() -> None:
    """Remove the gauges of workers that have ended; what they counted stays."""
    for path in Path(os.environ.get(MULTIPROCESS, os.devnull)).glob("gauge_live*_*.db"):
        if not psutil.pid_exists(int(path.stem.rpartition("_")[2])):
            path.unlink(missing_ok=True)
