"""What the load generator is asked to do, and what it found.

Belongs here: the two files between the generator and the program that starts it. Does not: sending (`load`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_SECONDS, MAX_REQUESTS, MAX_CONNECTIONS = 1800.0, 1_000_000, 256
"""A generator never runs for longer, sends more, or opens more than these."""

Asked = tuple[str, str, str | None]
"""Method, path and body of a request."""


@dataclass(frozen=True)
class Plan:
    """A load on a port of this machine.

    Attributes
    ----------
    port : int
    requests : list of Asked
        Sent in turn, from the beginning again after the last one.
    connections : int
        Kept alive. Without a rate, each sends its next request when the last one was answered.
    seconds : float
        After them nothing more is sent.
    count : int or None
        Requests to send at most.
    rate : float or None
        Requests per second, which arrive at random times whether earlier ones were answered or not (a Poisson process).
    note : str or None
        Regular expression with one group; the answers are counted by it and by the time.
    processes : list of int
        Processes whose processor time is measured.
    timeout : float
        Seconds until a request without an answer counts as failed.
    """

    port: int
    requests: list[Asked]
    connections: int
    seconds: float
    count: int | None = None
    rate: float | None = None
    note: str | None = None
    processes: list[int] = field(default_factory=list)
    timeout: float = 10.0


@dataclass(frozen=True)
class Found:
    """What a load found.

    Attributes
    ----------
    seconds : float
        From the first request to the last answer.
    answered : int
        Requests with an answer of any status.
    statuses : dict of int
        Answers by status.
    failures : dict of int
        Requests without an answer, by reason.
    latencies : dict of float
        Milliseconds by percentile: "p50", "p90", "p99", "p99.9", "max". With a rate, from the time when the request
        arrived, so that waiting for a free connection counts.
    processor : float
        Seconds of processor time of the processes.
    own_processor : float
        Seconds of processor time of the generator.
    by_second : list of [int, str, int]
        Second since the start, status or reason, and number.
    noted : list of [str, float, int]
        Text of the group, Unix time rounded down to a tenth of a second, and number of answers received then.
    started : float
        Unix time.
    """

    seconds: float
    answered: int
    statuses: dict[str, int]
    failures: dict[str, int]
    latencies: dict[str, float]
    processor: float
    own_processor: float
    by_second: list[tuple[int, str, int]]
    noted: list[tuple[str, float, int]]
    started: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def processor_us(self) -> float:
        """Processor time of the processes for each answer, in microseconds."""
        return self.processor / self.answered * 1e6 if self.answered else 0.0

    @property
    def errors(self) -> int:
        """Requests without an answer, and answers of a status other than 2xx."""
        bad = sum(count for status, count in self.statuses.items() if not status.startswith("2"))
        return bad + sum(self.failures.values())
