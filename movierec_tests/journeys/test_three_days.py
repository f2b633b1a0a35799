"""Three days of a platform that nobody watches, under a moved clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from movierec_assets.models.decisions import Promotions
from movierec_assets.models.recipes import record_search
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.app_ratings import post_rating
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.known_datasets import loaded_dataset
from movierec_tests.defs.harness import Platform, own_platform
from movierec_tests.journeys.conftest import rewrite
from movierec_tests.journeys.moved_clock import Daemon, daemon_of

pytestmark = pytest.mark.slow

ZONE = ZoneInfo("Asia/Jerusalem")
"""Summer time begins there on a Friday: on 2026-03-27, two o'clock is followed by three o'clock."""
WORSE = Recipe(alpha=300.0, regularization=1e-3, iterations=1)


def on(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=ZONE)


@pytest.fixture
def daemon(server_url: str, tmp_path: Path, demo_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with own_platform(server_url, tmp_path, demo_copy) as platform:
        settings = {"TIMEZONE": str(ZONE), "AUTOMATION": "true", "MIN_FREE_DISK": "1"}
        for name, value in settings.items():
            monkeypatch.setenv(f"MOVIEREC_{name}", value)
        with daemon_of(platform, on(25, 18)) as daemon:
            yield daemon


def post(platform: Platform, count: int, at: datetime) -> None:
    """Ratings of one user of the app."""
    database = platform.database
    films = [film for (film,) in database.rows(f"SELECT movie_id FROM {SCHEMA}.movies ORDER BY movie_id LIMIT {count}")]
    with database.transaction() as cursor:
        for film in films:
            post_rating(cursor, 1, film, 4.5)
        cursor.execute(f"UPDATE {SCHEMA}.app_ratings SET rated_at = %s WHERE rated_at > %s", [at, at])


def night(daemon: Daemon, day: int) -> None:
    """The daemon works all night."""
    for hour, minute in ((1, 30), (1, 55), (3, 0), (4, 0)):
        daemon.at(on(day, hour, minute))


def listed(daemon: Daemon) -> list[tuple[str, str, str]]:
    """Day and time, job and end of each run."""
    records = daemon.instance.get_run_records()[::-1]
    return [
        (
            f"{record.create_timestamp.astimezone(ZONE):%a %H:%M}",
            record.dagster_run.job_name,
            record.dagster_run.status.value,
        )
        for record in records
    ]


def test_three_days_pass_as_expected(daemon: Daemon, demo_copy: Path) -> None:
    platform = daemon.platform
    daemon.at(on(25, 18))
    print(listed(daemon))

    # Thursday: the file is broken before the night, and mended in the morning.
    good = (demo_copy / "ratings.csv").read_text(encoding="utf-8")
    rewrite(demo_copy, lambda lines: [line.replace(",5.0,", ",9.0,").replace(",4.0,", ",8.0,") for line in lines])
    night(daemon, 26)
    (demo_copy / "ratings.csv").write_text(good, encoding="utf-8")
    daemon.at(on(26, 8))
    post(platform, 20, on(26, 20))
    daemon.at(on(26, 20))
    print(listed(daemon))

    # Friday: two o'clock does not exist.
    night(daemon, 27)
    daemon.at(on(27, 12))
    print(listed(daemon))

    # Saturday: the machine sleeps until nine, and the recipe of a search is worse.
    database = platform.database
    record_search(database, WORSE, {}, "run", loaded_dataset(database), 4.0)
    daemon.at(on(28, 9))
    daemon.at(on(28, 20))
    print(listed(daemon))
    decisions = Promotions(platform.registry, database).history()[::-1]
    print([(f"{each.decided_at.astimezone(ZONE):%a %H:%M}", each.outcome) for each in decisions])
    from dagster import AssetKey

    print(
        [
            (k.to_user_string(), datetime.fromtimestamp(e.timestamp, ZONE))
            for k, e in daemon.instance.get_latest_materialization_events(
                [AssetKey("raw_ratings"), AssetKey("als_model"), AssetKey("user_recommendations")]
            ).items()
        ]
    )
    assert 0
