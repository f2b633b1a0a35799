"""The short version of the kill rounds: the first training of a platform, whose run and Postgres are killed.

The daemon ends with the session of its lock when Postgres is killed, and is started again as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import DagsterInstance

from movierec_assets.host.automation_status import automation_of
from movierec_assets.models.version import CHAMPION
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.journeys.kill_rounds import Round, Rounds, watched
from movierec_tests.journeys.watched_platform import POSTGRES, RUN, WatchedPlatform

pytestmark = pytest.mark.slow  # a whole platform starts, trains, and trains again


@dataclass(frozen=True)
class Survivor:
    """A platform under `movierec up`, after its first training was disturbed.

    Attributes
    ----------
    platform : WatchedPlatform
    played : Round
    chosen : dict
        Variables that `movierec up` was started with.
    environment : dict
        Variables with which a process uses its databases.
    """

    platform: WatchedPlatform
    played: Round
    chosen: dict[str, str]
    environment: dict[str, str]


def _own(names: Iterable[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name.startswith("MOVIEREC_") or name == "DAGSTER_HOME"}


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survivor]:
    before = dict(os.environ)
    try:
        with watched(tmp_path_factory.mktemp("killed"), None) as platform:
            chosen = _own(os.environ)
            platform.enter()
            played = Rounds(platform, typical=5.0).disturb(1, [RUN, POSTGRES])
            yield Survivor(platform, played, chosen, _own(os.environ))
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def survivor(disturbed: Survivor, monkeypatch: pytest.MonkeyPatch) -> Survivor:
    """The platform, whose databases this process uses."""
    for name, value in disturbed.environment.items():
        monkeypatch.setenv(name, value)
    return disturbed


def test_the_first_training_is_done_once_although_its_run_and_postgres_are_killed(survivor: Survivor) -> None:
    assert survivor.played.faults == [], survivor.played
    assert len(survivor.played.killed) == 2
    champion = survivor.platform.registry.by_alias(CHAMPION)
    assert champion is not None
    survivor.platform.registry.load(champion)


def test_movierec_up_switches_every_schedule_and_sensor_on(survivor: Survivor) -> None:
    assert survivor.platform.running()
    with DagsterInstance.get() as instance:
        found = automation_of(instance, datetime.now(UTC))
    assert found.daemon_up
    assert {each.name for each in found.schedules} >= {"daily_refresh", "daily_train", "weekly_maintenance"}
    assert {each.name for each in found.sensors} >= {"dataset_file_sensor", "champion_sensor", "alerts"}
    assert [each.name for each in found.schedules if not each.on] == []
    assert [each.name for each in found.sensors if not each.on] == []
    assert [each.problem for each in found.sensors if each.problem] == []


def test_a_backup_made_beside_the_servers_is_restored_into_an_empty_state_directory(
    survivor: Survivor, tmp_path: Path
) -> None:
    file, other = tmp_path / "before.zip", tmp_path / "Ann's state"
    others = {name: value for name, value in os.environ.items() if name not in survivor.environment}

    def movierec(state: Path, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "movierec_assets.cli", *arguments],
            env=others | survivor.chosen | {"MOVIEREC_STATE_DIR": str(state)},
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        assert str(file) in movierec(survivor.platform.state, "backup", str(file))
        assert "Restored." in movierec(other, "restore", str(file))
        champion = survivor.platform.registry.by_alias(CHAMPION)
        assert champion is not None
        assert f"version {champion.number}" in movierec(other, "recommend", "--user", "42", "--at", "latest")
    finally:
        EmbeddedPostgres(other).destroy(force=True)
