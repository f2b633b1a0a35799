"""The short version of the kill rounds: the first training of a platform, whose run and daemon are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_assets.models.version import CHAMPION
from movierec_tests.journeys.kill_rounds import Rounds, watched
from movierec_tests.journeys.watched_platform import DAEMON, RUN


@pytest.mark.slow  # a whole platform starts, trains, and trains again
@pytest.mark.parametrize("seed", [1])
def test_the_first_training_is_done_once_although_its_run_and_the_daemon_are_killed(tmp_path: Path, seed: int) -> None:
    with watched(tmp_path, None) as platform:
        platform.enter()
        played = Rounds(platform, typical=5.0).disturb(seed, [RUN, DAEMON])
        assert played.faults == [], played
        assert len(played.killed) == 2
        champion = platform.registry.by_alias(CHAMPION)
        assert champion is not None
        platform.registry.load(champion)
