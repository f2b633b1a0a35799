"""The report of the API, and the verdicts in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from movierec_tests.benchmarks import report as whole_report
from movierec_tests.benchmarks.api import report
from movierec_tests.benchmarks.api.measurement import ApiBenchmark
from movierec_tests.benchmarks.api.targets import targets
from movierec_tests.benchmarks.tests.api_figures import api_benchmark, load
from movierec_tests.benchmarks.tests.figures import benchmark


def verdict(found: ApiBenchmark, name: str) -> str:
    return next(target.verdict for target in targets(found) if name in target.name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("something new, live", "met"),
        ("nothing new", "not met: off by 1.09 times"),
        ("p99", "met"),
        ("failed requests", "met"),
        ("memory", "met"),
        ("start to ready", "met"),
        ("changes of the champion", "not met"),  # the second was never answered from
        ("posted ratings", "not met"),
        ("p50", "met"),
        ("typing errors", "met"),
    ],
)
def test_every_target_is_compared_with_its_figure(name: str, expected: str) -> None:
    assert verdict(api_benchmark(), name) == expected


def test_one_failed_request_misses_a_limit_of_none() -> None:
    found = api_benchmark()
    failed = replace(found.soak, load=load(99_999, failures={"connection closed": 1}))
    assert verdict(replace(found, soak=failed), "failed requests") == "not met"


def test_small_data_and_short_runs_are_not_judged() -> None:
    assert {target.verdict for target in targets(api_benchmark(full=False))} == {"not judged"}
    assert {target.verdict for target in targets(replace(api_benchmark(), movies=9000))} == {"not judged"}


def test_the_report_has_every_figure(tmp_path: Path) -> None:
    found = api_benchmark()
    report.write(found, tmp_path)
    text = (tmp_path / report.MARKDOWN).read_text()
    for part in (
        "138,000 users",
        "| floor route | 2,000 | 1.00 |",
        "100,000 requests",
        "7.5 s with nothing prepared, 3.2 s",
        "98 x 503; none failed later than 2.8 s after it",
        "all 6,000 requests were answered",
        "'teh mtrix' for 'the matrix'",
        "5.0, inf",
    ):
        assert part in text
    assert json.loads((tmp_path / report.JSON).read_text())["reflected"]["reflected"] == 999


def test_the_report_of_a_whole_run_has_a_section_about_the_api() -> None:
    assert "## The API" not in whole_report.as_markdown(benchmark())
    assert "## The API" in whole_report.as_markdown(replace(benchmark(), api=api_benchmark()))
