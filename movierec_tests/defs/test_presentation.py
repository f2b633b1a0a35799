"""Pictures for the UI are readable."""

from __future__ import annotations

from itertools import combinations

from matplotlib.text import Text

from movierec_assets.defs.presentation import encoded, interval_panels, metric_panels
from movierec_assets.recsys.comparison import Interval

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
    assert (len(first.lines), len(second.lines)) == (4, 2), "a line and a dot for each interval"
