"""Stages and targets from plain numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from movierec_tests.benchmarks import stages, targets
from movierec_tests.benchmarks.bare_fit import BareFit
from movierec_tests.benchmarks.graph_run import GraphRun
from movierec_tests.benchmarks.process_cost import Cost, MemorySample, highest
from movierec_tests.benchmarks.reference_machine import SpeedFactors
from movierec_tests.benchmarks.stages import Stage
from movierec_tests.benchmarks.tests.figures import (
    BARE_COPY,
    CURVES,
    DAYS,
    NEXT_MOVIES,
    ORIGINAL,
    ORIGINAL_SECONDS,
    RUN,
    SPEED,
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
    ratings: int = 20_000_000, peak_mb: float = 2400.0, next_movies_peak_mb: float = 1800.0
) -> dict[str, targets.Target]:
    found = targets.targets(
        [*by_name().values()],
        ratings=ratings,
        whole_seconds=100.0,
        bare_seconds=20.0,
        speed=SPEED,
        peak_mb=peak_mb,
        original=stages.original_stages(ORIGINAL),
        original_peak_mb=7500.0,
        next_movies=NEXT_MOVIES,
        next_movies_peak_mb=next_movies_peak_mb,
    )
    return {target.name: target for target in found}


def test_targets_that_were_met_and_missed() -> None:
    found = judged()
    assert len(found) == 11
    load, refresh = found[stages.DESCRIPTIONS[stages.LOAD]], found[stages.DESCRIPTIONS[stages.REFRESH]]
    assert (load.met, load.measured, load.verdict) == (True, "20.0 s, 1.00 bare fits", "met")
    assert (refresh.met, refresh.verdict) == (False, "not met: off by 1.25 times")
    fit = found["fit, 64 factors, 15 iterations"]
    assert (fit.met, fit.measured) == (True, "1.05 x")
    whole = found["whole refresh without search, cold, both fits included"]
    assert (whole.met, whole.measured) == (True, "5.00 x (100.0 s)")


def test_the_original_is_compared_by_the_stages_that_both_have() -> None:
    target = judged()["all stages other than fitting, together"]
    theirs = sum(ORIGINAL_SECONDS[name] for name in ("load", "refresh", "read", "split", "rank", "score"))
    assert target.measured.startswith(f"{theirs / (20 + 5 + 10 + 8):.2f} x")
    assert target.measured.endswith(f"({theirs / (100 - 41):.2f} x with stages that the original does not have)")
    assert target.met is True


@pytest.mark.parametrize(("peak_mb", "off_by"), [(2400.0, 0.96), (2700.0, 1.08), (3300.0, 1.32)])
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


def test_appending_and_continuing_have_limits_of_their_own() -> None:
    append, warm = targets.day_targets(DAYS, SPEED, judged=True)
    assert (append.name, append.met) == ("100,001 appended ratings into Postgres", True)
    assert (warm.limit, warm.measured, warm.met) == ("≤ 2 of 6", "2", True)
    _, never = targets.day_targets(replace(DAYS, curves=replace(CURVES, cold=0.3)), SPEED, judged=True)
    assert (never.measured, never.verdict) == ("never, 0.1025 of 0.3000", "not met")
    _, other = targets.day_targets(replace(DAYS, curves=None), SPEED, judged=True)
    assert (other.measured, other.met) == (f"no warm start: {DAYS.days[-1].start}", False)
    assert [each.met for each in targets.day_targets(DAYS, SPEED, judged=False)] == [None, None]


def test_a_slower_machine_may_take_longer_by_its_least_speed_factor() -> None:
    assert SPEED.allowance == 1.1
    assert SpeedFactors(0.5, 3.0, 2.0).allowance == 1
    bare = BareFit(2 * 15 * 1.3, [], 9_300_000)
    speed = SpeedFactors.of(bare, BARE_COPY, 19_000_000)
    assert (speed.fit, speed.copy, speed.key) == pytest.approx((2.0, 8 * 4.5 / 19, 4 / 3.5))
    slow = targets.Target("load", "≤ 25 s", "30.0 s", True, 1.2, 1.3)
    assert slow.verdict == "off by 1.20 times: slower machine"
    refresh = judged()[stages.DESCRIPTIONS[stages.REFRESH]]
    assert (refresh.off_by, refresh.allowance, refresh.met) == (1.25, 1.1, False)
    append, warm = targets.day_targets(DAYS, speed, judged=True)
    assert (append.allowance, warm.allowance) == (speed.key, 1.0)


def test_small_data_is_not_judged() -> None:
    assert {(target.met, target.verdict) for target in judged(ratings=100_836).values()} == {(None, "not judged")}
