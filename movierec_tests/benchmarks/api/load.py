"""The load generator: a process that sends HTTP requests over kept connections to a port of this machine.

Belongs here: sending, reading answers, and timing. It must be cheaper than the server that it measures, so it reads no
more of HTTP than this server's answers need. SIGTERM ends the load early. Does not: what is asked (`questions`), and
what follows from it.

    python -m movierec_tests.benchmarks.api.load PLAN_JSON RESULT_JSON
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import signal
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import cast

import psutil
import uvloop

from movierec_tests.benchmarks.api.plan import MAX_CONNECTIONS, MAX_REQUESTS, MAX_SECONDS, Asked, Found, Plan

HOST = "127.0.0.1"
_TICK_SECONDS = 0.001
_RECONNECT_SECONDS = 0.05
_NO_BODY = (204, 304)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
CLOSED, REFUSED, TIMEOUT = "connection closed", "connection refused", "no answer in time"


class LoadError(RuntimeError):
    """An answer that the generator cannot read, or a plan beyond its bounds."""


class _Load:
    """State of a load, shared by its connections."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.bytes = cycle([request_bytes(plan.port, asked) for asked in plan.requests])
        self.left = min(plan.count or MAX_REQUESTS, MAX_REQUESTS)
        self.note = re.compile(plan.note.encode()) if plan.note else None
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self.by_second: Counter[tuple[int, str]] = Counter()
        self.noted: Counter[tuple[str, int]] = Counter()
        self.waiting: deque[float] = deque()
        self.free: list[_Connection] = []
        self.connections: list[_Connection] = []
        self.began, self.last = time.perf_counter(), 0.0
        self.sending = True
        self.trouble: LoadError | None = None

    def take(self) -> bytes | None:
        """The next request; None when no more is to be sent."""
        if not self.sending or self.left <= 0:
            return None
        self.left -= 1
        return next(self.bytes)

    def answer(self, status: int, since: float, body: bytes) -> None:
        now = time.perf_counter()
        self.last = now
        self.latencies.append(now - since)
        self.statuses[status] += 1
        self.by_second[int(now - self.began), str(status)] += 1
        if self.note is not None:
            found = self.note.search(body)
            self.noted[found[1].decode() if found else "", int(time.time() * 10)] += 1

    def fail(self, reason: str) -> None:
        self.failures[reason] += 1
        self.by_second[int(time.perf_counter() - self.began), reason] += 1

    def arrive(self, now: float) -> None:
        """Send a request that arrives now, or let it wait for a free connection."""
        if self.free:
            self.free.pop().send(now)
        else:
            self.waiting.append(now)

    def idle(self, connection: _Connection) -> None:
        """Give a connection that has its answer the next request."""
        if self.plan.rate is None:
            connection.send(time.perf_counter())
        elif self.waiting:
            connection.send(self.waiting.popleft())
        else:
            self.free.append(connection)

    def unfinished(self) -> bool:
        """Whether requests are still to be sent or answered."""
        return self.sending and self.trouble is None and (self.left > 0 or bool(self.waiting) or self.busy())

    def stop(self) -> None:
        """Send nothing more."""
        self.sending = False

    def busy(self) -> bool:
        return any(connection.since is not None for connection in self.connections)


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self.load = load
        self.transport: asyncio.Transport | None = None
        self.since: float | None = None
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = cast(asyncio.Transport, transport), b""
        self.load.idle(self)

    def send(self, since: float) -> None:
        request = self.load.take()
        if request is not None and self.transport is not None:
            self.since = since
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        status = int(self.buffer[9:12])
        length = _LENGTH.search(self.buffer, 0, head)
        if length is None and status not in _NO_BODY:
            self.load.trouble = LoadError(f"An answer has no Content-Length: {self.buffer[:head]!r}")
            return
        end = head + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) < end:
            return
        body, self.buffer = self.buffer[head + 4 : end], b""
        since, self.since = self.since, None
        if since is not None:
            self.load.answer(status, since, body)
            self.load.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.since is not None:
            self.load.fail(CLOSED)
        self.transport, self.since = None, None
        if self in self.load.free:
            self.load.free.remove(self)
        if self.load.sending:
            asyncio.get_running_loop().create_task(self.connect())

    async def connect(self) -> None:
        """Connect, again and again while the server refuses."""
        while self.load.sending:
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, HOST, self.load.plan.port)
            except OSError:
                self.load.fail(REFUSED)
                await asyncio.sleep(_RECONNECT_SECONDS)
            else:
                return


def request_bytes(port: int, asked: Asked) -> bytes:
    """A request as it is sent."""
    method, path, body = asked
    head = f"{method} {path} HTTP/1.1\r\nhost: {HOST}:{port}\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    content = body.encode()
    return f"{head}content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


async def _arrivals(load: _Load, rate: float) -> None:
    chance = random.Random(1)
    due = time.perf_counter()
    while load.sending and load.left > 0:
        now = time.perf_counter()
        while due <= now:
            load.arrive(now)
            due += chance.expovariate(rate)
        await asyncio.sleep(_TICK_SECONDS)


async def _end_late_ones(load: _Load) -> None:
    while True:
        await asyncio.sleep(0.2)
        limit = time.perf_counter() - load.plan.timeout
        for connection in load.connections:
            if connection.since is not None and connection.since < limit and connection.transport is not None:
                connection.since = None
                load.fail(TIMEOUT)
                connection.transport.abort()


async def _run(load: _Load) -> None:
    plan = load.plan
    load.connections = [_Connection(load) for _ in range(plan.connections)]
    tasks = [asyncio.create_task(connection.connect()) for connection in load.connections]
    tasks.append(asyncio.create_task(_end_late_ones(load)))
    if plan.rate is not None:
        tasks.append(asyncio.create_task(_arrivals(load, plan.rate)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop)
    end = load.began + plan.seconds
    while (
        load.sending
        and time.perf_counter() < end
        and (load.left > 0 or load.waiting or load.busy())
        and load.trouble is None
    ):
        await asyncio.sleep(0.01)
    load.sending = False
    last = time.perf_counter() + plan.timeout
    while load.busy() and time.perf_counter() < last and load.trouble is None:
        await asyncio.sleep(0.005)
    for task in tasks:
        task.cancel()
    for connection in load.connections:
        if connection.transport is not None:
            connection.transport.abort()


def run(plan: Plan) -> Found:
    """Send a load and return what was found.

    Raises
    ------
    LoadError
        When the plan is beyond the bounds, or an answer cannot be read.
    """
    if not (0 < plan.seconds <= MAX_SECONDS and 0 < plan.connections <= MAX_CONNECTIONS and plan.requests):
        raise LoadError(f"At most {MAX_SECONDS:g} s and {MAX_CONNECTIONS} connections, and at least one request.")
    processes = [psutil.Process(pid) for pid in plan.processes]
    started, own = time.time(), _processor([psutil.Process()])
    before = _processor(processes)
    load = _Load(plan)
    gc.disable()
    uvloop.run(_run(load))
    processor = _processor(processes) - before
    if load.trouble is not None:
        raise load.trouble
    return Found(
        seconds=max(load.last, load.began) - load.began,
        answered=len(load.latencies),
        statuses={str(status): count for status, count in sorted(load.statuses.items())},
        failures=dict(load.failures),
        latencies=percentiles(load.latencies),
        processor=processor,
        own_processor=_processor([psutil.Process()]) - own,
        by_second=[(second, what, count) for (second, what), count in sorted(load.by_second.items())],
        noted=[(text, tenth / 10, count) for (text, tenth), count in sorted(load.noted.items())],
        started=started,
    )


def percentiles(latencies: list[float]) -> dict[str, float]:
    """Percentiles of seconds, in milliseconds: the smallest value that so many percent do not exceed."""
    ordered = sorted(latencies)
    if not ordered:
        return {}
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {
        name: ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))] * 1000
        for name, share in shares.items()
    }


def _processor(processes: list[psutil.Process]) -> float:
    """Processor seconds of processes that still run."""
    seconds = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


def main(plan: str, result: str) -> None:
    """Read the plan, send the load, and write the result."""
    values = json.loads(Path(plan).read_text(encoding="utf-8"))
    values["requests"] = [tuple(asked) for asked in values["requests"]]
    Path(result).write_text(json.dumps(asdict(run(Plan(**values)))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
