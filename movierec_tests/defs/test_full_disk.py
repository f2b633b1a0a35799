"""A disk that is full in each stage that writes files: the run says so, and nothing that was there is touched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from movierec_assets.models.decisions import Promotions
from movierec_assets.resources.provenance import SPLIT_PARTS
from movierec_assets.tables.database import SCHEMA
from movierec_tests.defs.harness import Platform, failures_of, run
from movierec_tests.first_day import FirstDay
from movierec_tests.full_disk import files_up_to
from movierec_tests.journeys.conftest import new_ratings, rewrite

pytestmark = pytest.mark.slow

LIMIT = 2_000
"""Bytes; every file that a stage writes is larger."""
STAGES = (
    ("positive_ratings",),
    SPLIT_PARTS,
    ("next_movies",),
    ("als_model", "champion_refit"),
    ("return_evaluation",),
    ("model_evaluation",),
)
"""Stages that store files, in order."""


@pytest.fixture
def platform(first_day: FirstDay, tmp_path: Path) -> Iterator[Platform]:
    shutil.copytree(first_day.files, tmp_path / "growing")
    with first_day.copied(tmp_path, tmp_path / "growing") as platform:
        yield platform


def state_of(platform: Platform) -> dict[str, Any]:
    """What people are served, and the files of the storage with their content."""
    promotions = Promotions(platform.registry, platform.database)
    champion = promotions.champion()
    platform.registry.load(champion)
    rows = platform.database.rows(f"SELECT * FROM {SCHEMA}.user_recommendations ORDER BY 1, 2")
    storage = Path(platform.settings.storage)
    files = {str(path.relative_to(storage)): path.read_bytes() for path in storage.rglob("*") if path.is_file()}
    return {"champion": champion.number, "decisions": len(promotions.history()), "rows": rows, "files": files}


def test_a_full_disk_in_any_stage_is_named_and_changes_nothing_and_afterwards_the_work_goes_on(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.enter(monkeypatch)
    dataset = Path(str(platform.settings.dataset))
    rewrite(dataset, lambda lines: [*lines, *new_ratings(dataset, 25, day=1)])
    assert run("refresh").success
    for stage in STAGES:
        before = state_of(platform)
        with files_up_to(LIMIT):
            result = run("everything", *stage)
        problems = failures_of(result)
        assert not result.success, stage
        assert any("The disk is full, so" in problem for problem in problems.values()), problems
        assert state_of(platform) == before, stage
        assert run("everything", *stage).success
    experiment = platform.registry.ensure_experiment()
    assert list(platform.registry.client.search_runs([experiment], "attributes.status = 'RUNNING'")) == []
