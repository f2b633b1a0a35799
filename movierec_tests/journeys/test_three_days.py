"""Three days of a platform that nobody watches, under a clock that is moved: each run, decision and alert of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dagster._core.definitions.run_request import InstigatorType

from movierec_assets.alerts.storage import told_alerts
from movierec_assets.defs.nightly import SCHEDULE
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.recipes import record_search
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.app_ratings import post_rating
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.known_datasets import loaded_dataset
from movierec_tests.defs.harness import own_platform
from movierec_tests.journeys.conftest import rewrite
from movierec_tests.journeys.moved_clock import Daemon, daemon_of

pytestmark = pytest.mark.slow

ZONE = ZoneInfo("Asia/Jerusalem")
"""Summer time begins there in the night to Friday, 2026-03-27: after 01:59 it is 03:00. No weekly job is due."""
WORSE = Recipe(alpha=300.0, regularization=1e-3, iterations=1)
"""Its lists look sound, and hold little that people like."""


def on(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=ZONE)


class Days:
    """The platform, with its file of ratings."""

    def __init__(self, daemon: Daemon, dataset: Path) -> None:
        self.daemon = daemon
        self.dataset = dataset
        self.promotions = Promotions(daemon.platform.registry, daemon.platform.database)

    def night(self, day: int) -> None:
        """The daemon works; two o'clock of the night in which it does not exist is the moment after 01:59."""
        for time in ((0, 30), (1, 30), (1, 55), (2, 0), (2, 10), (2, 30), (4, 0)):
            if on(day, *time).astimezone(UTC) > self.daemon.now:
                self.daemon.at(on(day, *time))

    def change_file(self, at: datetime, change: Callable[[list[str]], list[str]]) -> None:
        """Write the file of ratings at a moment."""
        rewrite(self.dataset, change)
        for file in self.dataset.iterdir():
            os.utime(file, (at.timestamp(), at.timestamp()))

    def post_ratings(self, at: datetime, count: int) -> None:
        """Ratings of a user in the app."""
        database = self.daemon.platform.database
        films = database.rows(f"SELECT movie_id FROM {SCHEMA}.movies ORDER BY movie_id LIMIT {count}")
        with database.transaction() as cursor:
            for (film,) in films:
                post_rating(cursor, 1, film, 4.5)
            cursor.execute(f"UPDATE {SCHEMA}.app_ratings SET rated_at = %s WHERE rated_at > %s", [at, at])

    def runs(self) -> list[str]:
        """Time, job and end of each run; those of one moment by their jobs, because Dagster shuffles schedules."""
        records = self.daemon.instance.get_run_records()
        found = [(each.create_timestamp, each.dagster_run.job_name, each.dagster_run.status.value) for each in records]
        return [f"{_local(at)} {job} {status.lower()}" for at, job, status in sorted(found)]

    def training_ticks(self) -> list[str]:
        """Time of each tick of the training, and why it started none."""
        (state,) = (
            each
            for each in self.daemon.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
            if each.instigator_name == SCHEDULE
        )
        ticks = self.daemon.instance.get_ticks(state.instigator_origin_id, state.selector_id)[::-1]
        return [
            f"{_local(datetime.fromtimestamp(tick.timestamp, UTC))} {tick.tick_data.skip_reason or 'started'}"
            for tick in ticks
        ]

    def decisions(self) -> list[str]:
        """Time, version and outcome of each decision."""
        return [f"{_local(each.decided_at)} {each.version} {each.outcome}" for each in self.promotions.history()[::-1]]

    def alerts(self) -> list[str]:
        """Beginning, end and cause of each alert that was told."""
        told = told_alerts(self.daemon.platform.database)
        spans = [(each.told_at or each.since, each.over_at, each.cause) for each in told]
        spans.sort(key=lambda span: (span[0], span[1] or self.daemon.now, span[2]))
        return [f"{_local(begun)} to {_local(over) if over else 'now'}: {cause}" for begun, over, cause in spans]


def _local(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%a %H:%M}"


@pytest.fixture
def days(server_url: str, tmp_path: Path, demo_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    with own_platform(server_url, tmp_path, demo_copy) as platform:
        settings = {"TIMEZONE": str(ZONE), "AUTOMATION": "true", "MIN_FREE_DISK": "1"}
        for name, value in settings.items():
            monkeypatch.setenv(f"MOVIEREC_{name}", value)
        with daemon_of(platform, on(25, 18)) as daemon:
            found = Days(daemon, demo_copy)
            found.change_file(on(25, 12), lambda lines: lines)
            yield found


def test_runs_decisions_and_alerts_of_three_days_are_those_that_were_expected(days: Days) -> None:
    daemon = days.daemon
    daemon.at(on(25, 18))

    # In the night to Thursday, the file is broken just before the refresh. It is mended in the morning.
    good = (days.dataset / "ratings.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split(",") for line in good]
    daemon.at(on(26, 1, 30))
    doubled = [f"{user},{film},{2 * float(stars):g},{at}" for user, film, stars, at in rows]
    days.change_file(on(26, 1, 50), lambda _: doubled)
    days.night(26)
    days.change_file(on(26, 8), lambda _: good)
    daemon.at(on(26, 9))
    days.post_ratings(on(26, 20), 20)

    # In the night to Friday, two o'clock does not exist.
    days.night(27)

    # In the night to Saturday, the machine sleeps until eight. The recipe of a search is worse.
    database = daemon.platform.database
    record_search(database, WORSE, {}, "run", loaded_dataset(database), 4.0)
    for hour in (8, 12):
        daemon.at(on(28, hour))

    assert days.runs() == [
        "Wed 18:00 everything success",
        "Thu 01:30 feedback success",
        "Thu 01:55 refresh failure",
        "Thu 01:56 everything failure",
        "Thu 02:10 everything failure",
        "Thu 02:30 everything failure",
        "Thu 04:00 backup success",
        "Fri 01:30 feedback success",
        "Fri 01:55 refresh success",
        "Fri 03:00 train success",
        "Fri 04:00 backup success",
        "Sat 08:00 backup success",
        "Sat 08:00 feedback success",
        "Sat 08:00 refresh success",
        "Sat 08:01 train failure",
    ]
    thursday, friday, saturday = days.training_ticks()
    assert thursday.startswith("Thu 02:00 The training of 2026-03-26 is skipped, because its refresh did not succeed")
    assert "is this a 1 to 10 scale?" in thursday
    assert friday == "Fri 03:00 started"
    # Schedules that are due at one moment start in any order, so the refresh may have begun or not.
    assert saturday.startswith("Sat 02:00 The training of 2026-03-28 waits for ")
    assert days.decisions() == ["Wed 18:00 1 first", "Fri 03:00 2 refresh", "Sat 08:02 3 rejected"]
    assert days.alerts() == [
        "Thu 01:56 to Fri 01:56: run:raw_ratings",
        "Sat 08:02 to now: check:return_evaluation:not_worse_on_return",
    ]
    assert set(days.promotions.served().values()) == {2}
