"""Pictures for the UI are readable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure as Picture
from matplotlib.text import Text

from movierec_assets.defs import presentation
from movierec_assets.defs.metric_history import drawn
from movierec_assets.defs.presentation import encoded, interval_panels, metric_panels
from movierec_assets.recsys.backtest import MOMENTS as BACKTEST_MOMENTS
from movierec_assets.recsys.backtest import RANKERS as BACKTEST_RANKERS
from movierec_assets.recsys.backtest import Figure, Month
from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.search import Trial

NAMES = ["precision_at_10", "recall_at_10", "map_at_10", "ndcg_at_10", "hit_rate_at_10", "coverage_at_10"]
RANKERS = {
    ranker: {name: 0.3 / (number + 1) * (metric + 1) / 3 for metric, name in enumerate(NAMES)}
    for number, ranker in enumerate(["als", "original recipe", "popularity", "item-kNN", "EASE", "champion"])
}


def test_labels_of_six_rankers_and_six_metrics_do_not_overlap() -> None:
    figure = metric_panels(RANKERS, NAMES, "Held-out latest likes of 610 users")
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    shown = [text.get_text() for text in texts]
    assert {*RANKERS, "hit rate@10", "coverage@10", "0.600"} <= set(shown)
    boxes = [text.get_window_extent() for text in texts]
    assert not [
        (a, b) for (a, first), (b, second) in combinations(zip(shown, boxes, strict=True), 2) if first.overlaps(second)
    ]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_one_ranker_and_four_metrics_are_drawn_too() -> None:
    assert encoded(metric_panels({"als": RANKERS["als"]}, NAMES[:4], "One")).startswith(b"\x89PNG")


def test_intervals_of_slices_are_drawn_though_a_ranker_has_none_there() -> None:
    found = Interval(0.3, 0.2, 0.4)
    panels = {"likes:\nfew": {"als": found, "EASE": found}, "likes:\nmany": {"als": found}}
    figure = interval_panels(panels, "By slice")
    figure.canvas.draw()
    first, second = figure.axes[:2]
    assert [label.get_text() for label in first.get_yticklabels()] == ["als", "EASE"]
    drawn_of = [axes.collections for axes in (first, second)]
    shown = [[len(lines.get_paths()), len(np.asarray(dots.get_offsets()))] for lines, dots in drawn_of]
    assert shown == [[2, 2], [1, 1]], "a line and a dot for each interval"


SOME = Interval(0.3345, 0.2, 0.4)
STARS = np.arange(0.5, 5.5, 0.5)
TRIALS = [
    Trial(number, "complete", {"factors": 8 + number, "alpha": 0.001 * (number + 1), "confidence": "binary"}, 0.3, 1.0)
    for number in range(5)
]
SLICES = [
    "likes:\nfew, up to 20",
    "popularity of the held-out movies:\nthe most liked tenth",
    "time since the like before:\nover a day",
    "no line below",
]
DAYS = [(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(day), {"als": 0.3, "champion": 0.2}) for day in range(30)]
DRAWINGS: dict[str, Callable[[], Any]] = {
    "few ratings": lambda: presentation.rating_histogram(STARS, np.arange(10)),
    "under a million ratings": lambda: presentation.rating_histogram(STARS, np.arange(10) * 95_432),
    "millions of ratings": lambda: presentation.rating_histogram(STARS, np.arange(10) * 600_000),
    "a film with a million ratings": lambda: presentation.long_tail(2_000_000 // np.arange(1, 30_000)),
    "a film with ten ratings": lambda: presentation.long_tail(np.arange(1, 11)),
    "a large loss": lambda: presentation.loss_curve({number: 123_456.7 + 1 / number for number in range(1, 15)}),
    "a small loss": lambda: presentation.loss_curve({1: 0.000123, 2: 0.000122}),
    "courses": lambda: presentation.learning_curves({"this one": [0.05, 0.0505], "a cold start": [0.04, 0.0509]}),
    "positions": lambda: presentation.share_by_position({"als": [(at, SOME) for at in range(1, 21)]}, "Clicked share"),
    "history": lambda: drawn(DAYS, "NDCG@10 of each training", "NDCG@10"),
    "search": lambda: presentation.search_history(TRIALS),
    "recipes": lambda: presentation.parallel_coordinates(TRIALS),
    "one panel": lambda: encoded(interval_panels({"NDCG@10": {"als": SOME}}, "Mean and 95 % interval")),
    "slices": lambda: encoded(interval_panels({name: dict.fromkeys(RANKERS, SOME) for name in SLICES}, "By slice")),
    "metrics": lambda: encoded(metric_panels(RANKERS, NAMES, "Held-out latest likes of 138,493 users")),
    "months": lambda: encoded(
        presentation.month_panels(
            [
                (Month(2010 + year, 1), Figure(moment, ranker, 100, 0.0123, 0.1, SOME))
                for year in range(10)
                for moment in BACKTEST_MOMENTS
                for ranker in BACKTEST_RANKERS
            ]
        )
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_text_of_a_picture_is_cut_off_or_in_another_panel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures: list[Picture] = []
    monkeypatch.setattr(Picture, "draw", lambda self, _: pictures.append(self))
    DRAWINGS[name]()
    monkeypatch.undo()
    (picture,) = pictures
    picture.canvas.draw()
    title = [text.get_window_extent() for text in picture.texts]
    panels = [box for axes in picture.axes if axes.axison and (box := axes.get_tightbbox()) is not None]
    assert panels
    boxes = [*title, *panels]
    for box in boxes:
        assert picture.bbox.x0 <= box.x0 < box.x1 <= picture.bbox.x1
        assert picture.bbox.y0 <= box.y0 < box.y1 <= picture.bbox.y1
    assert not [(one, other) for one, other in combinations(boxes, 2) if one.overlaps(other)]
