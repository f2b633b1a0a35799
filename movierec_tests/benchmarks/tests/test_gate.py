"""The measurement of the gate: counts on given scores, the report, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.host.evaluation import read_positives
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import repeated_fits
from movierec_assets.recsys.promotion import IMPROVEMENT_MARGIN
from movierec_assets.recsys.recipe import Recipe
from movierec_tests.benchmarks.command import bench
from movierec_tests.benchmarks.gate import false_improvements, measurement, report
from movierec_tests.benchmarks.gate.false_improvements import MORE_DATA, OTHER_SEED, VARIANT, drawn_rates
from movierec_tests.benchmarks.gate.fits import HARDLY_DIFFERENT, TWO_SEEDS, Pool, spread_of
from movierec_tests.benchmarks.gate.measurement import from_pool
from movierec_tests.benchmarks.gate.power import LEADS, Power, power

FEW, MANY = repeated_fits.MAX_LIKES, repeated_fits.MAX_LIKES + 1


def made_up(users: int, fits: int, of_fits: float, of_users: float, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    chance = random.normal(0, of_fits, fits) + random.normal(0, of_users, (users, fits))
    return np.asarray(0.3 + 0.1 * random.random((users, 1)) + chance)


@pytest.fixture(scope="module")
def pool() -> Pool:
    recipe = made_up(300, 12, 0.001, 0.02)
    return Pool(recipe, recipe[:, :8] + np.random.default_rng(2).normal(0, 0.001, (300, 8)))


def test_all_leads_above_the_smallest_are_found() -> None:
    assert Power("", {0.01: 0.1, 0.02: 0.8, 0.03: 0.79, 0.04: 0.8, 0.05: 1.0}).smallest == 0.04
    assert Power("", {0.01: 0.9, 0.02: 1.0}).smallest == 0.01
    assert Power("", {0.01: 0.9, 0.02: 0.7}).smallest is None


def test_the_spread_between_fits_is_divided_into_its_two_parts() -> None:
    scores = made_up(2000, 400, of_fits=0.002, of_users=0.05)
    found = spread_of(scores)
    mean = scores.mean()
    assert found.fits == 400
    assert found.by_users * mean == pytest.approx((2 * 0.05**2 / 2000) ** 0.5, rel=0.02)
    assert found.beyond * mean == pytest.approx(2**0.5 * 0.002, rel=0.2)
    assert found.pair**2 == pytest.approx(found.by_users**2 + found.beyond**2)


def test_large_leads_are_found_and_small_ones_are_not(pool: Pool) -> None:
    for recipes in (HARDLY_DIFFERENT, TWO_SEEDS):
        found = power(pool, recipes, 4, IMPROVEMENT_MARGIN, 20).found
        assert tuple(found) == LEADS
        assert found[LEADS[0]] <= 0.2
        assert found[0.1] == 1.0
    assert [rate.improvements for rate in drawn_rates(pool, 4, IMPROVEMENT_MARGIN, 20)] == [0, 0]


def test_a_planted_lead_has_its_size_on_average(pool: Pool) -> None:
    random = np.random.default_rng(1)
    champion = pool.recipe[random.integers(0, 300, 100_000)]
    without = champion * (random.random(100_000) >= 0.1 / 1.1)[:, None]
    assert champion.mean() / without.mean() - 1 == pytest.approx(0.1, abs=0.005)


def test_comparisons_of_many_likes_have_few_fits_from_the_pool(pool: Pool) -> None:
    found = from_pool(pool, "large", likes=MANY, margin=IMPROVEMENT_MARGIN, repeats=5)
    assert (found.starts, found.refit, found.scored) == (repeated_fits.FITS_OF_LARGE_DATA, False, 300)
    assert [rate.situation for rate in found.rates] == [VARIANT, OTHER_SEED]
    text = report.as_markdown(found)
    assert f"{repeated_fits.FITS_OF_LARGE_DATA} fits of each recipe" in text
    assert "draws fits from a pool" in text


def test_the_report_and_its_json_have_every_figure(pool: Pool, tmp_path: Path) -> None:
    found = from_pool(pool, "some", likes=FEW, margin=IMPROVEMENT_MARGIN, repeats=5)
    report.write(found, tmp_path)
    text, values = ((tmp_path / name).read_text() for name in (report.MARKDOWN, report.JSON))
    assert f"at least {IMPROVEMENT_MARGIN:.1%} of" in text
    for rate in found.rates:
        assert f"| {rate.situation} | 5 | {rate.improvements} | {rate.by_users_alone} |" in text
    for measured, shown in zip(found.powers, json.loads(values)["powers"], strict=True):
        assert shown["smallest"] == measured.smallest
        assert f"| {measured.recipes} | " in text
    assert f"{found.spread.pair:.2%}" in text


def test_a_lead_that_is_never_found_is_more_than_the_largest() -> None:
    noise = np.random.default_rng(1).normal(0, 10.0, (50, 4)) + 1.0
    found = from_pool(Pool(noise, noise[:, ::-1]), "noise", likes=MANY, margin=IMPROVEMENT_MARGIN, repeats=3)
    assert f"more than {LEADS[-1]:.0%}" in report.as_markdown(found)


def test_help_says_what_is_measured_and_how_long_it_takes() -> None:
    output = " ".join(CliRunner().invoke(bench, ["gate", "--help"]).output.split())
    for text in ("--repeats", "--output", "[default: demo]", "80 of 100", "minutes"):
        assert text in output
    assert "gate" in CliRunner().invoke(bench, ["--help"]).output


@pytest.fixture(scope="module")
def positives(tmp_path_factory: pytest.TempPathFactory) -> RatingColumns:
    directory = make_demo(tmp_path_factory.mktemp("gate") / "demo", users=60)
    return read_positives(MovieLensFiles.at(directory), 4.0, lambda *_: None)


def test_every_repeat_leaves_out_other_users_and_gets_later_likes(positives: RatingColumns) -> None:
    (before, grown), (_, other) = (false_improvements._likes_of_a_repeat(positives, number) for number in (0, 1))
    assert set(grown.user_id) != set(other.user_id)
    new = len(grown) - len(before)
    assert 0 < new <= 0.01 * len(grown)
    assert (grown.rated_at > before.rated_at.max()).sum() == new
    assert false_improvements._likes_of_a_repeat(positives, 1)[1].rated_at.tolist() == other.rated_at.tolist()


@pytest.mark.slow
def test_every_situation_is_measured_with_real_fits(positives: RatingColumns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "_POOL", 2 * repeated_fits.FITS)
    stages: set[str] = set()
    found = measurement.measure(
        positives,
        "demo",
        margin=IMPROVEMENT_MARGIN,
        repeats=2,
        recipe=Recipe(factors=4, iterations=1),
        progress=lambda stage, *_: stages.add(stage),
    )
    assert [rate.situation for rate in found.rates] == [VARIANT, OTHER_SEED, MORE_DATA]
    assert {rate.repeats for rate in found.rates} == {2}
    assert found.refit
    assert {"Fits to draw from", "Repeats"} <= stages
