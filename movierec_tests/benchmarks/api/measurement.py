"""The whole measurement of the API, on the state directory of a platform that has a champion.

Belongs here: the order, and the results together. Does not: the parts, each in a module of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from movierec_assets.progress import Log
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.benchmarks import machine
from movierec_tests.benchmarks.api import changes, kills, memory, questions, rates, reflected, search, service
from movierec_tests.benchmarks.api.changes import Changes
from movierec_tests.benchmarks.api.kills import Kill
from movierec_tests.benchmarks.api.memory import Soak
from movierec_tests.benchmarks.api.rates import FLOOR, RouteRate
from movierec_tests.benchmarks.api.reflected import Reflected
from movierec_tests.benchmarks.api.search import Search
from movierec_tests.benchmarks.api.service import Start
from movierec_tests.benchmarks.targets import Target

READY_FLOOR = "floor, by the class of route of /recommend"
LIVE = "/recommend, something new, live fold-in"
SITTING = "/recommend, a like just now, in the sitting"
NOTHING_NEW = "/recommend, nothing new"
SEARCH = "/movies?query= with typing errors"
"""Names of the routes in the report."""
LOW_STARS, HIGH_STARS = 2.0, 5.0
"""Stars of new ratings: no like, and a like."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    rounds : int
    seconds : float
        Of a route in a round.
    new_ratings : int
        Users who get a new rating, for each of the two kinds.
    soak, changes, posted, titles : int
    kill_seconds : float
        Of the load after a kill; 0 kills nothing.
    """

    rounds: int
    seconds: float
    new_ratings: int
    soak: int
    changes: int
    posted: int
    titles: int
    kill_seconds: float


FULL = Sizes(
    rounds=5, seconds=3.0, new_ratings=20_000, soak=100_000, changes=10, posted=1000, titles=200, kill_seconds=30.0
)
SHORT = Sizes(
    rounds=1, seconds=0.5, new_ratings=20, soak=200, changes=1, posted=10, titles=20, kill_seconds=0.0
)  # fmt: skip


@dataclass(frozen=True)
class ApiBenchmark:
    """All results.

    Attributes
    ----------
    full : bool
        Whether everything was measured at full size.
    users, movies : int
        Of the file, and in the catalogue.
    start : Start
    routes : list of RouteRate
    soak : Soak
    changes : Changes
    reflected : Reflected
    search : Search
    kills : list of Kill
    machine : dict of str
    targets : list of Target
    """

    full: bool
    users: int
    movies: int
    start: Start
    routes: list[RouteRate]
    soak: Soak
    changes: Changes
    reflected: Reflected
    search: Search
    kills: list[Kill]
    machine: dict[str, str]
    targets: list[Target] = field(default_factory=list)

    def route(self, name: str) -> RouteRate:
        """A route by its name."""
        return next(each for each in self.routes if each.name == name)


def measure(state: Path, environment: Mapping[str, str], database: Database, sizes: Sizes, log: Log) -> ApiBenchmark:
    """Measure everything.

    Parameters
    ----------
    state : Path
        State directory of the platform; users get ratings there.
    environment : mapping of str
        For processes that work there.
    database : Database
    sizes : Sizes
    log : callable

    Raises
    ------
    CommandError
        When a process fails or does not get ready.
    """
    from movierec_tests.benchmarks.api.targets import targets

    load = psutil.getloadavg()[0]
    users = questions.known_users(database)
    movies = int(database.scalar(f"SELECT count(*) FROM {SCHEMA}.movies"))
    count = min(sizes.new_ratings, len(users) // 5)
    rated, sitting, posting, untouched = _parts(users, count, count, min(sizes.posted, count))
    typed = questions.misspelled(database, sizes.titles)
    service.forget(state)
    with service.running(environment, workers=1) as api:
        first = api.seconds_to_ready
        waited = service.wait_for_states(state)
        log(f"ready after {first:.1f} s with nothing prepared; states of users {waited:.0f} s later")
    with service.running(environment, workers=1) as api:
        again = api.seconds_to_ready
        log(f"ready after {again:.1f} s")
        service.wait_for_states(state)
        questions.rate(database, rated, LOW_STARS)
        questions.rate(database, sitting, HIGH_STARS)
        routes = {
            FLOOR: questions.floor(untouched),
            READY_FLOOR: questions.floor(untouched, "/ready-floor"),
            LIVE: questions.recommend(rated),
            SITTING: questions.recommend(sitting),
            NOTHING_NEW: questions.recommend(untouched),
            SEARCH: questions.search([text for _, text in typed]),
        }
        measured = rates.measure(
            api.port, routes, api.workers, rounds=sizes.rounds, seconds=sizes.seconds, half_of=LIVE, log=log
        )
        mixed = [asked for pair in zip(routes[LIVE], routes[NOTHING_NEW], strict=False) for asked in pair]
        soak = memory.measure(api.port, mixed, api.workers, count=sizes.soak, log=log)
        about_changes = changes.measure(
            api.port, mixed, api.workers, environment, user=untouched[0], count=sizes.changes, log=log
        )
        about_ratings = reflected.measure(api.port, posting, log)
        about_search = search.measure(api.port, typed, movies, api.workers, seconds=2 * sizes.seconds, log=log)
    killed: list[Kill] = []
    if sizes.kill_seconds:
        with service.running(environment, workers=2) as api:
            service.wait_for_states(state)
            victims = {
                "the keeper": api.keeper,
                "one of two workers": api.workers[0],
                "Postgres": service.postmaster(state),
            }
            asked = [each for pair in zip(mixed, questions.liked(database, len(mixed)), strict=True) for each in pair]
            killed = [
                kills.measure(name, pid, api.port, asked, seconds=sizes.kill_seconds, log=log)
                for name, pid in victims.items()
            ]
    found = ApiBenchmark(
        full=sizes == FULL,
        users=len(users),
        movies=movies,
        start=Start(first, again),
        routes=measured,
        soak=soak,
        changes=about_changes,
        reflected=about_ratings,
        search=about_search,
        kills=killed,
        machine=machine.describe(str(database.scalar("SHOW server_version")), load),
    )
    found.targets.extend(targets(found))
    return found


def _parts(users: list[int], *counts: int) -> list[list[int]]:
    """Disjoint parts of the users, so many in each, and the rest."""
    parts, begin = [], 0
    for count in counts:
        parts.append(users[begin : begin + count])
        begin += count
    return [*parts, users[begin:]]
