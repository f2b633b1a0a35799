"""Requests per second of routes, in alternating rounds, beside the floor route.

Belongs here: rounds and ratios. Does not: limits, which are in `targets`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from movierec_assets.progress import Log
from movierec_tests.benchmarks.api.driver import send
from movierec_tests.benchmarks.api.plan import Asked, Found, Plan

FLOOR = "floor route"
CONNECTIONS = 32
_MAX_DIFFERENT = 40_000
"""Different requests in one load; a round sends fewer."""


@dataclass(frozen=True)
class RouteRate:
    """A route at full load, and at a rate that is the same for all routes.

    Attributes
    ----------
    name : str
    rounds : list of Found
        At full load: each connection sends its next request when the last one was answered.
    of_floor : float
        Requests per second, as a share of the floor route's: median over the rounds.
    of_floor_processor : float
        Processor time of the floor route's requests, as a share of this route's: median over the rounds.
    steady : Found
        Requests at random times, at half the rate of `half_of`.
    half_of : str
        The route whose rate was halved.
    """

    name: str
    rounds: list[Found]
    of_floor: float
    of_floor_processor: float
    steady: Found
    half_of: str

    @property
    def rate(self) -> float:
        """Requests per second: median over the rounds."""
        return statistics.median(each.rate for each in self.rounds)

    @property
    def processor_us(self) -> float:
        """Processor time of the worker for a request, in microseconds: median over the rounds."""
        return statistics.median(each.processor_us for each in self.rounds)

    @property
    def errors(self) -> int:
        """Failed requests of all rounds."""
        return sum(each.errors for each in [*self.rounds, self.steady])


def measure(
    port: int,
    routes: Mapping[str, Sequence[Asked]],
    workers: Sequence[int],
    *,
    rounds: int,
    seconds: float,
    half_of: str,
    log: Log,
) -> list[RouteRate]:
    """Load each route in turn, round after round, and then each at one rate.

    Parameters
    ----------
    port : int
    routes : mapping of str to requests
        With `FLOOR` among the names. A round takes up the requests where the one before ended.
    workers : sequence of int
        Processes that answer.
    rounds : int
    seconds : float
        Of a route in a round.
    half_of : str
        The route whose rate is halved for the steady load.
    log : callable
    """
    found: dict[str, list[Found]] = {name: [] for name in routes}
    sent = dict.fromkeys(routes, 0)
    names = list(routes)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            asked = _rotated(routes[name], sent[name])
            result = send(Plan(port, asked, CONNECTIONS, seconds, processes=[*workers]))
            sent[name] += result.answered
            found[name].append(result)
        log(f"round {number + 1} of {rounds}: " + _rates({name: found[name][-1] for name in names}))
    rate = statistics.median(each.rate for each in found[half_of]) / 2
    steady = {
        name: send(
            Plan(port, _rotated(routes[name], sent[name]), CONNECTIONS, 2 * seconds, rate=rate, processes=[*workers])
        )
        for name in names
    }
    log(f"at {rate:.0f}/s: " + ", ".join(f"{name} p99 {each.latencies['p99']:.1f} ms" for name, each in steady.items()))
    return [
        RouteRate(
            name,
            found[name],
            _median_ratio([each.rate for each in found[name]], [each.rate for each in found[FLOOR]]),
            _median_ratio([each.processor_us for each in found[FLOOR]], [each.processor_us for each in found[name]]),
            steady[name],
            half_of,
        )
        for name in names
    ]


def _rotated(asked: Sequence[Asked], begin: int) -> list[Asked]:
    begin %= len(asked)
    return [*asked[begin:], *asked[:begin]][:_MAX_DIFFERENT]


def _rates(found: Mapping[str, Found]) -> str:
    return ", ".join(f"{name} {each.rate:.0f}/s {each.processor_us:.0f} us" for name, each in found.items())


def _median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    ratios = [a / b for a, b in zip(above, below, strict=True) if b > 0]
    return statistics.median(ratios) if ratios else 0.0
