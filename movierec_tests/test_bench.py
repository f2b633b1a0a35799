"""`make bench` leaves its report, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from movierec_assets.bench import __main__ as bench
from movierec_assets.bench import measure
from movierec_assets.datasets.demo import make_demo
from movierec_assets.resources.embedded_postgres import EmbeddedPostgres


@pytest.fixture
def _same_variables_afterwards() -> Iterator[None]:
    saved = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(saved)


@pytest.mark.slow
@pytest.mark.usefixtures("_same_variables_afterwards")
def test_a_bench_that_fails_leaves_no_database_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[Path] = []

    def interrupted(_: object, environment: os._Environ[str], *, servers: str) -> measure.Cost:
        server = EmbeddedPostgres(Path(environment["MOVIEREC_STATE_DIR"]))
        with server.lease():
            places.append(server.status().data_dir)
            assert places[0].is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "run", interrupted)
    demo = make_demo(tmp_path / "demo", users=20)
    result = CliRunner().invoke(bench.main, ["--dataset", str(demo), "--output", str(tmp_path / "output")])
    assert result.exit_code == 1
    assert not places[0].exists()
    assert not places[0].parent.exists()
