"""Results of a benchmark of the API, with figures that are made up."""

from __future__ import annotations

from movierec_tests.benchmarks.api.changes import Changes
from movierec_tests.benchmarks.api.kills import Kill
from movierec_tests.benchmarks.api.measurement import LIVE, NOTHING_NEW, SEARCH, SITTING, ApiBenchmark
from movierec_tests.benchmarks.api.memory import Memory, Soak
from movierec_tests.benchmarks.api.plan import Found
from movierec_tests.benchmarks.api.promotions import Change
from movierec_tests.benchmarks.api.rates import FLOOR, RouteRate
from movierec_tests.benchmarks.api.reflected import Reflected
from movierec_tests.benchmarks.api.search import Search
from movierec_tests.benchmarks.api.service import Start
from movierec_tests.benchmarks.api.targets import targets


def load(answered: int, p99: float = 10.0, failures: dict[str, int] | None = None) -> Found:
    return Found(
        seconds=10.0,
        answered=answered,
        statuses={"200": answered},
        failures=failures or {},
        latencies={"p50": p99 / 4, "p90": p99 / 2, "p99": p99, "p99.9": p99 * 2, "max": p99 * 3},
        processor=5.0,
        own_processor=1.0,
        by_second=[(0, "200", answered)],
        noted=[("model", 1000.0, answered)],
        started=1000.0,
    )


def route(name: str, answered: int, of_floor: float, p99: float) -> RouteRate:
    return RouteRate(name, [load(answered)] * 3, of_floor, of_floor, load(3000, p99), LIVE)


def api_benchmark(*, full: bool = True) -> ApiBenchmark:
    found = ApiBenchmark(
        full=full,
        users=138_000,
        movies=27_278,
        start=Start(7.5, 3.25),
        routes=[
            route(FLOOR, 20_000, 1.0, 4.0),
            route(LIVE, 9_000, 0.45, 12.0),
            route(SITTING, 8_000, 0.39, 13.0),
            route(NOTHING_NEW, 11_000, 0.55, 9.0),
            route(SEARCH, 7_000, 0.35, 8.0),
        ],
        soak=Soak(load(100_000), Memory(300.0, 120.0), Memory(315.0, 130.0)),
        changes=Changes(load(50_000), [Change(2, 1000.0, 1001.0, 1006.0), Change(1, 1010.0, 1011.0, None)], 0),
        reflected=Reflected(1000, 999, 3.5, ["user 7: movie 3 is still listed after 5.0 stars"]),
        search=Search(200, 27_278, 194, ["'teh mtrix' for 'the matrix'"], load(500, 7.0)),
        kills=[
            Kill("the keeper", load(6000), 3.2, {}, 0.0),
            Kill("Postgres", load(5900, failures={"connection closed": 2}), 3.2, {"503": 98}, 2.8),
        ],
        machine={"cores": "2", "load before": "0.1"},
    )
    found.targets.extend(targets(found))
    return found
