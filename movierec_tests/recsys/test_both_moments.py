"""Claims about the two moments side by side: intervals draw users, and the report names both."""

from __future__ import annotations

import numpy as np
import pytest

from movierec_assets.recsys.both_moments import MomentScores
from movierec_assets.recsys.comparison import mean_interval, paired_difference
from movierec_assets.recsys.evaluation import Evaluation
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.rankers import MODEL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.report import as_markdown, both_moments
from movierec_tests.recsys.test_slices import evaluation, tables_of

USERS = np.repeat(np.arange(12), 3)
SCORES = dict(zip((MODEL, WITHOUT_SIGNAL, POPULARITY), np.random.default_rng(2).random((3, 36)), strict=True))


@pytest.fixture
def returned() -> MomentScores:
    return MomentScores.on_return(SCORES, USERS, 3)


@pytest.fixture
def sitting() -> MomentScores:
    return MomentScores.in_the_sitting({MODEL: SCORES[MODEL][:12], "EASE": SCORES[POPULARITY][:12]}, np.arange(12))


def ends(scores: FloatArray) -> tuple[float, float, float]:
    interval = mean_interval(scores, groups=USERS)
    return interval.mean, interval.low, interval.high


def test_intervals_on_return_draw_whole_users(returned: MomentScores) -> None:
    assert returned.n_users == 12
    for name, scores in SCORES.items():
        found = returned.intervals[name]
        assert (found.mean, found.low, found.high) == pytest.approx(ends(scores), abs=1e-12)


def test_the_gain_by_the_signal_is_the_paired_difference(returned: MomentScores, sitting: MomentScores) -> None:
    assert returned.signal_gain == paired_difference(SCORES[MODEL], SCORES[WITHOUT_SIGNAL], groups=USERS)
    assert sitting.signal_gain is None


def test_users_without_a_score_of_a_ranker_are_left_out_of_its_mean_and_of_its_lead() -> None:
    some = np.where(USERS < 6, SCORES[MODEL], np.nan)
    found = MomentScores.on_return({"champion": some, MODEL: SCORES[MODEL] + 0.25}, USERS, 3)
    assert found.intervals["champion"].mean == pytest.approx(SCORES[MODEL][:18].mean())
    assert found.lead(MODEL, "champion").low == pytest.approx(0.25)


def test_the_first_table_has_a_row_for_each_ranker_and_a_column_for_each_moment(
    returned: MomentScores, sitting: MomentScores
) -> None:
    found = [evaluation(MODEL, 3), evaluation(POPULARITY, 4)]
    text = as_markdown(found, users=9, held_out=90, moments=(sitting, returned), notes=("Something is off.",))
    first = text.split("\n\n")[1]
    header, *rows = next(iter(tables_of(first).values()))
    assert header[1:] == ["in the sitting", "on return"]
    expected = {name: ["", str(returned.intervals[name])] for name in SCORES}
    expected[MODEL][0] = str(sitting.intervals[MODEL])
    expected["EASE"] = [str(sitting.intervals["EASE"]), ""]
    assert {row[0]: row[1:] for row in rows} == expected
    assert [row[0] for row in rows] == [MODEL, "EASE", WITHOUT_SIGNAL, POPULARITY]
    assert "latest likes of 12 users" in text
    assert "what 12 users liked in 3 windows of time (36 user-windows)" in text
    assert f"The next-movie signal changes NDCG@10 by {returned.signal_gain.signed} on return." in text  # type: ignore[union-attr]
    assert text.index("Something is off.") < text.index("## In the sitting, by leave-latest-out")
    assert text.endswith(as_markdown(found, users=9, held_out=90).removeprefix("# Evaluation\n\n"))


def test_a_report_without_moments_is_as_before() -> None:
    found: list[Evaluation] = [evaluation(MODEL, 3)]
    assert as_markdown(found, users=9, held_out=90).startswith("# Evaluation\n\nEach of 9 users' latest likes")


def test_a_sample_and_user_windows_are_named(returned: MomentScores) -> None:
    sampled = MomentScores.on_return(SCORES, USERS, 3, sampled_from=4000)
    assert "12 users, from a sample of 4,000 users," in "\n".join(both_moments([sampled]))
    assert "sample" not in "\n".join(both_moments([returned]))
    text = as_markdown([evaluation(MODEL, 3)], users=7, held_out=90, protocol="time-split", windows=2)
    assert "7 users came back in 2 windows of time, which makes 9 user-windows" in text
    assert "under a minute (9 user-windows)" in text
    assert "(9 users)" not in text
