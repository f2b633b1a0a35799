"""`make bench`, as people type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.host import CommandError
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.settings import PROJECT_ROOT
from movierec_tests.benchmarks import benchmark, process_cost, workspace
from movierec_tests.benchmarks.command import bench


def test_help_says_what_is_measured_and_how_long_it_takes() -> None:
    output = " ".join(CliRunner().invoke(bench, ["--help"]).output.split())
    for text in (
        "--scale [small|ml-20m]",
        "--no-growth",
        "--no-days",
        "--no-quality",
        "original recipe",
        "about 40 minutes",
    ):
        assert text in output


def test_a_workspace_has_no_setting_of_the_users_own_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIEREC_DATABASE_URL", "postgresql://somebody@example.org/precious")
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere")
    files = MovieLensFiles.at(make_demo(tmp_path / "demo", users=20))
    found = workspace.environment(tmp_path / "scratch", PROJECT_ROOT, files, "postgresql://x@127.0.0.1/movierec")
    assert "MOVIEREC_DATABASE_URL" not in found
    assert "DAGSTER_HOME" not in found
    assert found["MOVIEREC_STATE_DIR"] == str(tmp_path / "scratch")


def test_days_that_cannot_be_measured_lose_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> None:
        raise CommandError("no disk")

    monkeypatch.setattr(benchmark, "measure_days", fails)
    logged: list[str] = []
    files = MovieLensFiles.at(make_demo(tmp_path / "demo", users=20))
    assert benchmark._days(files, PROJECT_ROOT, logged.append) is None
    assert logged == ["the report leaves out the days after. no disk"]


@pytest.mark.slow
def test_a_bench_that_fails_leaves_no_database_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Path] = []

    def fails(_: object, environment: dict[str, str], **__: object) -> process_cost.Cost:
        found.append(EmbeddedPostgres(Path(environment["MOVIEREC_STATE_DIR"])).status().data_dir)
        assert found[0].is_dir()
        raise CommandError("no")

    monkeypatch.setattr(process_cost, "run", fails)
    files = MovieLensFiles.at(make_demo(tmp_path / "demo", users=20))
    with pytest.raises(CommandError):
        benchmark.run(
            "small",
            "demo",
            files,
            home=PROJECT_ROOT,
            growth=False,
            days=False,
            api=None,
            log=lambda _: None,
            quality=None,
        )
    assert not found[0].exists()


@pytest.mark.slow
def test_a_bench_from_the_command_line(tmp_path: Path) -> None:
    demo, output = make_demo(tmp_path / "demo", users=120), tmp_path / "output"
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "movierec_tests.benchmarks",
                "--no-growth",
                "--no-days",
                "--api",
                "short",
                "--json",
            ),
            *("--dataset", str(demo), "--output", str(output)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT_ROOT,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures == json.loads((output / "report.json").read_text())
    assert sum(stage["seconds"] for stage in figures["graph"]["stages"]) == pytest.approx(figures["graph"]["seconds"])
    assert {"movierec run", "Dagster run", process_cost.BACKEND, process_cost.SERVER} <= set(figures["graph"]["peaks"])
    assert figures["graph"]["bare_fit"]["positives"] > 0
    assert all(seconds > 0 for seconds in figures["bare_copy"].values())
    rounds = figures["solvers"]["seconds"]
    assert all(len(seconds) == 3 and min(seconds) > 0 for seconds in rounds)
    assert {each["name"] for each in figures["solvers"]["solvers"]} >= {"implicit"}
    assert all(seconds > 0 for seconds in figures["next_movies"]["counts"] + figures["next_movies"]["fits"])
    assert figures["next_movies_peak_mb"] > 0
    assert figures["original"]["ratings"] == figures["graph"]["ratings"]
    api = figures["api"]
    assert all(each["load"]["answered"] > 0 for each in (api["soak"], api["changes"]))
    assert api["soak"]["load"]["failures"] == {}
    assert set(api["soak"]["load"]["statuses"]) == {"200"}
    assert api["changes"]["stale"] == 0
    assert all(change["answered"] is not None for change in api["changes"]["changes"])
    assert api["reflected"]["posted"] == api["reflected"]["reflected"] > 0
    assert {name for route in api["routes"] for each in route["rounds"] for name in each["statuses"]} == {"200"}
    report = (output / "report.md").read_text()
    assert "not judged" in report
    assert str(tmp_path) not in report + done.stdout
    assert (output / "plot.png").is_file()
