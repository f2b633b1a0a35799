"""The picture of a benchmark: seconds of each stage, memory, and seconds by size.

Belongs here: drawing. Does not: the results, which come from `benchmark`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from movierec_tests.benchmarks import stages
from movierec_tests.benchmarks.benchmark import ORIGINAL, Benchmark

if TYPE_CHECKING:
    from pathlib import Path

_OURS, _THEIRS, _INK = "#4f46e5", "#94a3b8", "#24292f"
_MIN_SECONDS = 0.01
"""Shorter times are drawn as this on logarithmic axes."""


def draw(benchmark: Benchmark, path: Path) -> None:
    """Write the picture as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2) if benchmark.growth else (8.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{benchmark.dataset}: {benchmark.graph.ratings:,} ratings, {benchmark.machine['cores']} cores", color=_INK
    )
    axes = figure.subplots(
        1, 3 if benchmark.growth else 2, width_ratios=[1.5, 1, 1.3] if benchmark.growth else [1.5, 1]
    )
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(colors=_INK, labelsize=8)
    _seconds(axes[0], benchmark)
    _memory(axes[1], benchmark)
    if benchmark.growth:
        _growth(axes[2], benchmark)
    figure.savefig(path, format="png", dpi=110)


def _seconds(axes: Any, benchmark: Benchmark) -> None:
    ours = {stage.name: stage.seconds for stage in benchmark.graph.stages}
    theirs = stages.original_stages(benchmark.original)
    names = list(ours)
    rows = range(len(names))
    axes.barh([row - 0.2 for row in rows], list(ours.values()), 0.4, color=_OURS, label="this graph")
    axes.barh(
        [row + 0.2 for row in rows],
        [theirs.get(name, 0.0) for name in names],
        0.4,
        color=_THEIRS,
        label="original recipe",
    )
    axes.set_yticks(list(rows), names)
    axes.invert_yaxis()
    axes.set_title("Seconds of each stage", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="best")


def _memory(axes: Any, benchmark: Benchmark) -> None:
    peaks = dict(sorted(benchmark.graph.peaks.items(), key=lambda each: -each[1]))
    names, values = [*peaks, ORIGINAL], [*peaks.values(), benchmark.original_peak_mb]
    bars = axes.barh(names, [value / 1000 for value in values], color=[_OURS] * len(peaks) + [_THEIRS])
    axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_title("Peak memory, GB", fontsize=10, loc="left")


def _growth(axes: Any, benchmark: Benchmark) -> None:
    from matplotlib.ticker import NullFormatter

    done = [each for each in benchmark.growth if not each.failures and each.bare_fit]
    sizes = [each.ratings for each in done]
    lines = {
        "whole run": [each.seconds for each in done],
        "bare fit": [each.bare_fit.seconds for each in done if each.bare_fit],
    }
    for name in (stages.LOAD, stages.PREPARE, stages.SCORED_FIT, stages.EVALUATE, stages.RECOMMEND):
        lines[name] = [next((s.seconds for s in each.stages if s.name == name), 0.0) for each in done]
    for name, seconds in lines.items():
        heavy = name == "whole run"
        axes.loglog(
            sizes,
            [max(each, _MIN_SECONDS) for each in seconds],
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
