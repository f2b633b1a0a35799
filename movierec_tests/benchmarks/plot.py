"""The picture of a benchmark: where the time goes, memory, and how cost grows.

Belongs here: drawing. What is drawn is in `run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from movierec_tests.benchmarks import stages
from movierec_tests.benchmarks.benchmark import ORIGINAL, Bench

if TYPE_CHECKING:
    from pathlib import Path

_OURS, _THEIRS, _INK = "#4f46e5", "#94a3b8", "#24292f"
_LEAST_SECONDS = 0.01
"""Shown at least as this on logarithmic axes."""


def draw(bench: Bench, path: Path) -> None:
    """Write the picture as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2) if bench.growth else (8.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{bench.dataset}: {bench.graph.ratings:,} ratings, {bench.machine['cores']} cores", color=_INK)
    axes = figure.subplots(1, 3 if bench.growth else 2, width_ratios=[1.5, 1, 1.3] if bench.growth else [1.5, 1])
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(colors=_INK, labelsize=8)
    _seconds(axes[0], bench)
    _memory(axes[1], bench)
    if bench.growth:
        _growth(axes[2], bench)
    figure.savefig(path, format="png", dpi=110)


def _seconds(axes: Any, bench: Bench) -> None:
    ours = {stage.name: stage.seconds for stage in bench.graph.stages}
    theirs = stages.original_stages(bench.original)
    names = list(ours)
    places = range(len(names))
    axes.barh([place - 0.2 for place in places], list(ours.values()), 0.4, color=_OURS, label="this graph")
    axes.barh(
        [place + 0.2 for place in places],
        [theirs.get(name, 0.0) for name in names],
        0.4,
        color=_THEIRS,
        label="original recipe",
    )
    axes.set_yticks(list(places), names)
    axes.invert_yaxis()
    axes.set_title("Seconds of each stage", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="best")


def _memory(axes: Any, bench: Bench) -> None:
    peaks = dict(sorted(bench.graph.peaks.items(), key=lambda each: -each[1]))
    names, values = [*peaks, ORIGINAL], [*peaks.values(), bench.original_peak_mb]
    bars = axes.barh(names, [value / 1000 for value in values], color=[_OURS] * len(peaks) + [_THEIRS])
    axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_title("Peak memory, GB", fontsize=10, loc="left")


def _growth(axes: Any, bench: Bench) -> None:
    from matplotlib.ticker import NullFormatter

    done = [each for each in bench.growth if not each.failures and each.bare]
    sizes = [each.ratings for each in done]
    lines = {
        "whole run": [each.seconds for each in done],
        "bare fit": [each.bare.seconds for each in done if each.bare],
    }
    for name in (stages.LOAD, stages.PREPARE, stages.SCORED_FIT, stages.EVALUATE, stages.RECOMMEND):
        lines[name] = [next((s.seconds for s in each.stages if s.name == name), 0.0) for each in done]
    for name, seconds in lines.items():
        heavy = name == "whole run"
        axes.loglog(
            sizes,
            [max(each, _LEAST_SECONDS) for each in seconds],
            marker="o",
            markersize=3,
            linewidth=2.2 if heavy else 1.2,
            label=name,
        )
    if sizes:
        last = lines["whole run"][-1]
        axes.loglog(
            sizes, [last * size / sizes[-1] for size in sizes], "--", color=_THEIRS, linewidth=1, label="proportional"
        )
        axes.set_xticks(sizes, [f"{size / 1e6:.1f} M" if size >= 1e6 else f"{size / 1e3:.0f} k" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("ratings", fontsize=8)
    axes.set_title("Seconds by size", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
