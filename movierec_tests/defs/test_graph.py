"""The whole graph in real Dagster runs on the demo set."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterInstance

from movierec_assets.datasets.demo import make_demo
from movierec_assets.definitions import build
from movierec_assets.resources.database import Database
from movierec_assets.settings import Settings


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo(tmp_path_factory.mktemp("demo") / "demo", users=120)


@pytest.mark.slow
def test_everything_gives_twenty_unseen_movies_to_everybody(
    platform_settings: Settings, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_DATASET", str(demo))
    with DagsterInstance.get() as instance:
        result = build().resolve_job_def("everything").execute_in_process(instance=instance)
    assert result.success
    database = Database(platform_settings.databases.ratings)
    lists = database.rows(
        "SELECT user_id, count(*), count(DISTINCT movie_id) FROM movierec.user_recommendations GROUP BY 1"
    )
    assert len(lists) == 120
    assert {row[1:] for row in lists} == {(20, 20)}
