"""The comparison of recipes runs the command that the report shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_assets.datasets.demo import make_demo
from movierec_assets.host import CommandError
from movierec_tests.benchmarks import quality
from movierec_tests.benchmarks.quality import METRICS, RANKERS


@pytest.mark.slow
def test_every_ranker_is_scored_by_both_protocols(tmp_path: Path) -> None:
    demo = make_demo(tmp_path / "demo", users=100)
    logged: list[str] = []
    found = quality.compare(demo, "demo", logged.append, seeds=(4,), trials=0)
    assert logged == found.commands
    assert found.commands[0] == (
        "movierec evaluate --dataset demo --protocol leave-latest-out --seed 4 --search-trials 0 --json"
    )
    assert [(row.protocol, row.metric) for row in found.rows] == [
        (protocol, metric) for protocol, names in METRICS.items() for metric in names
    ]
    for row in found.rows:
        assert [*row.means] == [*RANKERS]
        assert all(0 <= value <= 1 for value in row.means.values())


def test_a_comparison_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="exit status 1"):
        quality.compare(tmp_path / "nowhere", "nowhere", lambda _: None)
