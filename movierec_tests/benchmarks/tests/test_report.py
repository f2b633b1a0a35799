"""The report shows all results, in three files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from movierec_assets.recsys.rankers import EASE, MODEL, ORIGINAL
from movierec_tests.benchmarks import report
from movierec_tests.benchmarks.quality import METRICS, Quality, summarize
from movierec_tests.benchmarks.tests.figures import CURVES, DAYS, benchmark, measured


def test_a_report_is_three_files(tmp_path: Path) -> None:
    report.write(benchmark(), tmp_path / "new" / "directory")
    assert sorted(path.name for path in (tmp_path / "new" / "directory").iterdir()) == [
        "plot.png",
        "report.json",
        "report.md",
    ]
    figures = json.loads((tmp_path / "new" / "directory" / "report.json").read_text())
    assert figures["graph"]["stages"][0] | {"peaks": {}} == {
        "name": "load",
        "seconds": 20.0,
        "share": 0.2,
        "rows": 20_000_000,
        "unit": "ratings",
        "peaks": {},
    }
    assert (tmp_path / "new" / "directory" / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_markdown_has_stages_ratios_targets_and_growth() -> None:
    text = report.as_markdown(benchmark())
    assert "Of 8 targets 4 are met." in text
    assert (
        "| iteration, 128 factors, beside one of `implicit` | ≤ 0.35 x | 0.40 x | not met: off by 1.14 times |" in text
    )
    assert "| this project, 64 factors, 2 threads | 0.50, 0.80, 0.60 | 0.25 |" in text
    assert "| CSV to validated, indexed Postgres tables | 20.00 | 1.00 | 20% | 1,000,000 ratings | 900 |" in text
    assert "| CSV to validated, indexed Postgres tables | 20.00 | 240.00 | 12.0 |" in text
    assert "| both | 12.00 | CSV to validated, indexed Postgres tables | 20.00 |" in text
    assert "| users | 1/4 | 1/2 | all |" in text
    assert "4.00, 6.00, 9.00 s beside 20.00, 20.00, 30.00 s, 0.30 bare fits. The process took 1,800 MB." in text
    assert "For 2.0 times the ratings: 2.0 times the time" in text
    assert "Without all baselines: 2.0 times" in text


def test_markdown_has_the_cost_of_a_day_with_new_ratings() -> None:
    text = report.as_markdown(benchmark())
    start = "warm: the champion's recipe on newer data"
    assert f"| day 2 | 100,001 | 4.50 | 60.0 | {start} | 2 iterations | 0.1000 0.1020 | 2 iterations |" in text
    assert "an NDCG@10 of 0.1015 after 6 iterations" in text
    assert "reaches 0.1005, 0.1025 after its iterations: as high after 2." in text
    never = replace(DAYS, curves=replace(CURVES, cold=0.2))
    assert "never as high" in report.as_markdown(replace(benchmark(), days=never))
    assert "continues the day before" not in report.as_markdown(replace(benchmark(), days=replace(DAYS, curves=None)))
    assert "At 1/4 the run stopped before its end: champion_model: nothing is served" in text
    assert "## Quality" not in text


def test_tables_are_as_wide_in_every_line() -> None:
    tables = [block for block in report.as_markdown(benchmark()).split("\n\n") if block.startswith("|")]
    assert len(tables) == 7
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_busy_machine_is_no_secret() -> None:
    quiet = benchmark()
    assert report.BUSY not in report.as_markdown(quiet)
    assert report.BUSY in report.as_markdown(replace(quiet, machine=quiet.machine | {"load before": "3.4"}))


def test_the_largest_process_is_one_process() -> None:
    assert measured().peak_mb == 2400.0


def test_without_growth_and_with_quality(tmp_path: Path) -> None:
    answer = {
        ranker: dict.fromkeys((name for names in METRICS.values() for name in names), value)
        for ranker, value in ((MODEL, 0.06), (ORIGINAL, 0.04))
    }
    better = {ranker: {name: value + 0.01 for name, value in values.items()} for ranker, values in answer.items()}
    rows = summarize({protocol: [answer, better] for protocol in METRICS})
    assert rows[0].means[MODEL] == pytest.approx(0.065)
    assert rows[0].times_original(MODEL) == pytest.approx(0.065 / 0.045)
    assert rows[0].times_original(EASE) is None
    commands = ["movierec evaluate --dataset x --seed 1 --json"]
    found = replace(benchmark(), growth=[], quality=Quality([1, 2], commands, rows))
    report.write(found, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| leave-latest-out | ndcg@10 | 0.0650 | 0.0450 | not run | not run | not run | 1.44 x |" in text
    assert commands[0] in text
    assert "## Growth" not in text
