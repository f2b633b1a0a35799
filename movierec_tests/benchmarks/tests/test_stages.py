"""Stages and targets from plain numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from movierec_tests.benchmarks import stages, targets
from movierec_tests.benchmarks.graph_run import GraphRun
from movierec_tests.benchmarks.process_cost import Cost, MemorySample, highest
from movierec_tests.benchmarks.solvers import OURS, Solver, Solvers
from movierec_tests.benchmarks.stages import Stage
from movierec_tests.benchmarks.tests.figures import (
    CURVES,
    DAYS,
    NEXT_MOVIES,
    ORIGINAL,
    ORIGINAL_SECONDS,
    RUN,
    SOLVERS,
)


def by_name(run: GraphRun = RUN, cost: Cost | None = None) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages.stages_of(run, cost or Cost(100.0, {}))}


def test_stages_together_are_the_whole_run() -> None:
    found = by_name()
    assert sum(stage.seconds for stage in found.values()) == pytest.approx(RUN.seconds)
    assert sum(stage.share for stage in found.values()) == pytest.approx(1)
    assert [*found] == [name for name in stages.DESCRIPTIONS if name in found]


def test_fits_are_stages_apart_from_the_rest_of_their_step() -> None:
    found = by_name()
    assert found[stages.SCORED_FIT].seconds == 21
    assert found[stages.SERVED_FIT].seconds == 20
    assert found[stages.REGISTER].seconds == 45 - 21 - 20
    assert found[stages.BASELINES].seconds == 1
    assert found[stages.EVALUATE].seconds == 9 - 1


def test_steps_that_are_no_asset_are_checks() -> None:
    assert by_name()[stages.CHECKS].seconds == 2


def test_rows_per_second_count_what_a_stage_worked_through() -> None:
    found = by_name()
    assert found[stages.LOAD].rows_per_second == 20_000_000 / 20
    assert (found[stages.SCORED_FIT].rows, found[stages.SCORED_FIT].unit) == (9_000_000 - 100_000, "positives")
    assert found[stages.EVALUATE].rows_per_second == 120_000 / 8
    assert found[stages.DAGSTER].rows_per_second is None


def test_a_run_that_stopped_has_the_stages_before_its_end() -> None:
    stopped = replace(RUN, steps={"raw_movies": (1002.0, 1004.0)}, facts={})
    assert [*by_name(stopped)] == [stages.LOAD, stages.DAGSTER]
    assert by_name(stopped)[stages.LOAD].rows is None


def test_peaks_of_a_stage_are_those_of_its_own_time() -> None:
    samples = (
        MemorySample(1003.0, {"a": 5.0}),
        MemorySample(1010.0, {"a": 7.0, "b": 1.0}),
        MemorySample(1050.0, {"a": 9.0}),
    )
    found = by_name(cost=Cost(100.0, {"a": 9.0}, samples))
    assert found[stages.LOAD].peaks == {"a": 7.0, "b": 1.0}
    assert found[stages.SCORED_FIT].peaks == found[stages.REGISTER].peaks == {"a": 9.0}
    assert highest([{"a": 1.0}, {"a": 3.0, "b": 2.0}, {"a": 2.0}]) == {"a": 3.0, "b": 2.0}


def judged(
    ratings: int = 20_000_000,
    peak_mb: float = 1900.0,
    next_movies_peak_mb: float = 1800.0,
    solvers: Solvers = SOLVERS,
) -> dict[str, targets.Target]:
    found = targets.targets(
        [*by_name().values()],
        ratings=ratings,
        whole_seconds=100.0,
        bare_seconds=20.0,
        solvers=solvers,
        peak_mb=peak_mb,
        original=stages.original_stages(ORIGINAL),
        original_peak_mb=7500.0,
        next_movies=NEXT_MOVIES,
        next_movies_peak_mb=next_movies_peak_mb,
    )
    return {target.name: target for target in found}


def test_targets_that_were_met_and_missed() -> None:
    found = judged()
    whole = found["whole refresh without search, cold, evaluation and serving included"]
    assert (whole.met, whole.measured, whole.verdict) == (False, "5.00 x (100.0 s)", "not met: off by 3.33 times")
    assert {name: each.met for name, each in found.items() if name != whole.name} == {
        "iteration, 64 factors, beside one of `implicit`": True,
        "iteration, 128 factors, beside one of `implicit`": False,
        "iteration, 64 factors, two threads over one": True,
        "next movies, counted for a split, beside a bare fit": True,
        "stages that the next-movie signal brings": True,
        "all stages other than fitting, together": False,
        "peak RSS of any one process": True,
    }


def test_solvers_are_compared_round_by_round() -> None:
    found = judged()
    assert found["iteration, 64 factors, beside one of `implicit`"].measured == "0.25 x", "not 0.6 / 2.0"
    assert found["iteration, 128 factors, beside one of `implicit`"].measured == "0.40 x"
    assert found["iteration, 64 factors, two threads over one"].measured == "2.00 x"
    assert SOLVERS.share(Solver("irspack", 64, 2), Solver(OURS, 64, 2)) is None


def test_without_the_native_library_its_targets_are_not_met() -> None:
    rest = [number for number, each in enumerate(SOLVERS.solvers) if each.name != OURS]
    without = replace(
        SOLVERS,
        solvers=[SOLVERS.solvers[number] for number in rest],
        seconds=[SOLVERS.seconds[number] for number in rest],
    )
    missing = [each for each in judged(solvers=without).values() if each.measured.startswith("not measured")]
    assert [each.verdict for each in missing] == ["not met"] * 3


def test_the_arithmetic_of_an_iteration() -> None:
    """A like: in both halves, four products with the residual or a direction, of two passes over f factors."""
    one = replace(SOLVERS, positives=1, users=0, movies=0)
    assert one.operations(64) == 2 * 4 * 2 * (2 * 64)
    assert one.bytes(64) == 2 * (4 * 64 + 8)
    empty = replace(SOLVERS, positives=0, users=1, movies=0)
    assert empty.operations(64) == 5 * 2 * 64 * 64


def test_the_original_is_compared_by_the_stages_that_both_have() -> None:
    target = judged()["all stages other than fitting, together"]
    theirs = sum(ORIGINAL_SECONDS[name] for name in ("load", "refresh", "read", "split", "rank", "score"))
    assert target.measured.startswith(f"{theirs / (20 + 5 + 10 + 8):.2f} x")
    assert target.measured.endswith(f"({theirs / (100 - 41):.2f} x with stages that the original does not have)")
    assert target.off_by == pytest.approx(12 / (theirs / 43))
    assert target.met is (target.off_by <= 1)


@pytest.mark.parametrize(("peak_mb", "off_by"), [(1900.0, 0.95), (2100.0, 1.05), (3300.0, 1.65)])
def test_memory_has_to_meet_both_limits(peak_mb: float, off_by: float) -> None:
    target = judged(peak_mb=peak_mb)["peak RSS of any one process"]
    assert target.off_by == pytest.approx(off_by)
    assert target.met is (off_by <= 1)


@pytest.mark.parametrize(("peak_mb", "off_by"), [(1800.0, 0.75), (3600.0, 1.2)])
def test_counting_the_next_movies_has_a_limit_in_bare_fits_and_in_memory(peak_mb: float, off_by: float) -> None:
    target = judged(next_movies_peak_mb=peak_mb)["next movies, counted for a split, beside a bare fit"]
    assert target.measured == f"0.30 x, {peak_mb / 1000:.2f} GB"
    assert target.off_by == pytest.approx(off_by)


def test_stages_of_the_signal_are_limited_together() -> None:
    target = judged()["stages that the next-movie signal brings"]
    assert (target.measured, target.met) == ("0.07 x", True)
    assert target.off_by == pytest.approx(1.5 / 20 / 0.6)


def test_a_day_and_continuing_have_limits_of_their_own() -> None:
    of_day, warm = targets.day_targets(DAYS, 100.0, judged=True)
    assert of_day.name == "a day with 100,001 new ratings, whole run"
    assert (of_day.measured, of_day.met) == ("0.60 x (60.0 s)", True)
    assert (warm.limit, warm.measured, warm.met) == ("≤ 2 of 6", "2", True)
    _, never = targets.day_targets(replace(DAYS, curves=replace(CURVES, cold=0.3)), 100.0, judged=True)
    assert (never.measured, never.verdict) == ("never, 0.1025 of 0.3000", "not met")
    missed, other = targets.day_targets(replace(DAYS, curves=None), 50.0, judged=True)
    assert missed.met is False
    assert missed.off_by == pytest.approx(1.2 / 0.7)
    assert (other.measured, other.met) == (f"no warm start: {DAYS.days[-1].start}", False)
    assert [each.met for each in targets.day_targets(DAYS, 100.0, judged=False)] == [None, None]


@pytest.mark.parametrize(("seconds", "met"), [(400.0, True), (450.0, False)])
def test_all_but_fitting_may_grow_as_the_ratings_do(seconds: float, met: bool) -> None:
    found = targets.growth_target(targets.Growth(1_000, 100.0), targets.Growth(4_000, seconds), judged=True)
    assert (found.name, found.met) == ("growth of all but fitting, for 4.0 times the ratings", met)


def test_small_data_is_not_judged() -> None:
    assert {(target.met, target.verdict) for target in judged(ratings=100_836).values()} == {(None, "not judged")}
