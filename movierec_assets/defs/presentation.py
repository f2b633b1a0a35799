"""Metadata for Dagster's UI: tables, pictures and column schemas, and the names that the graph shares.

Belongs here: turning numbers into Markdown tables, PNG pictures and column schemas. Does not: the choice of numbers
(the assets make it). Matplotlib is imported when a picture is drawn, because the import takes most of a second.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from dagster import MetadataValue, TableColumn, TableSchema

from movierec_assets.recsys.backtest import (
    MOMENTS,
    RANKERS,
    RECIPE,
    WITHOUT_SIGNAL,
    Figure,
    Month,
    years_up_to,
)
from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.report import markdown_table
from movierec_assets.recsys.search import Trial
from movierec_assets.resources.memory import peak_rss_mb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

DATA_TEAM = "team:data-platform"
MODEL_TEAM = "team:recommendations"
INGESTION, PREPROCESSING, TRAINING, SERVING = "ingestion", "preprocessing", "training", "serving"
BACKTEST, FEEDBACK = "backtest", "feedback"

_INCHES = 1 / 72  # of a point
_GAP, _RIGHT = 0.3, 0.25  # inches between panels and on their right, for halves of labels below the ends of an axis
_INK, _ACCENT, _PALE, _SOFT, _WARM = "#24292f", "#4f46e5", "#c7d2fe", "#94a3b8", "#d97706"


def schema(**columns: tuple[str, str]) -> dict[str, Any]:
    """Column schema metadata from name=(type, description)."""
    described = [TableColumn(name, kind, text) for name, (kind, text) in columns.items()]
    return {"dagster/column_schema": TableSchema(described)}


def rows(count: int) -> dict[str, Any]:
    """The row count, under the name that Dagster shows."""
    return {"dagster/row_count": MetadataValue.int(int(count))}


def table(header: Sequence[str], body: Sequence[Sequence[Any]]) -> MetadataValue[str]:
    """A Markdown table; floats are shown with four decimals."""
    return MetadataValue.md(markdown_table(header, ([*map(_cell, row)] for row in body)))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def peak_memory() -> dict[str, Any]:
    """Peak memory of the process during the step, in MB; all steps of a run share one process."""
    return {"peak_rss_mb": MetadataValue.float(round(peak_rss_mb(), 1))}


def rating_histogram(stars: FloatArray, ratings: IntArray | None = None) -> MetadataValue[str]:
    """Ratings by stars; with `ratings`, each entry of `stars` counts that many times."""
    grid = np.arange(0.5, 5.5, 0.5)
    counts = np.bincount(np.round(stars * 2).astype(int), ratings, minlength=11)[1:11]

    def draw(axes: "Axes") -> None:
        axes.bar([f"{star:g}" for star in grid], counts, color=[_ACCENT if star >= 4 else _PALE for star in grid])
        axes.set(title="Ratings by stars (likes are dark)", xlabel="stars", ylabel="ratings")

    return picture(draw)


def long_tail(counts: IntArray) -> MetadataValue[str]:
    """Ratings per movie, most rated first."""
    ordered = np.sort(counts)[::-1]

    def draw(axes: "Axes") -> None:
        axes.loglog(np.arange(1, len(ordered) + 1), np.maximum(ordered, 1), color=_ACCENT, linewidth=2)
        axes.minorticks_off()  # they took half of the time of the picture
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:,.0f}")
        axes.set(title="The long tail: ratings per movie", xlabel="movie, most rated first", ylabel="ratings")

    return picture(draw)


def loss_curve(losses: Mapping[int, float]) -> MetadataValue[str]:
    """Training loss by iteration."""

    def draw(axes: "Axes") -> None:
        axes.plot(list(losses), list(losses.values()), color=_ACCENT, marker="o")
        axes.set(title="Training loss", xlabel="iteration", ylabel="loss")

    return picture(draw)


def learning_curves(named: Mapping[str, Sequence[float]]) -> MetadataValue[str]:
    """Validation NDCG@10 after each iteration of several fits, the first one dark."""

    def draw(axes: "Axes") -> None:
        for number, (name, values) in enumerate(named.items()):
            iterations = np.arange(1, len(values) + 1)
            axes.plot(iterations, values, color=_SOFT if number else _ACCENT, marker="o", markersize=3, label=name)
        axes.set(title="Validation NDCG@10", xlabel="iteration", ylabel="NDCG@10")
        axes.legend(frameon=False)

    return picture(draw)


def share_by_position(named: Mapping[str, Sequence[tuple[int, Interval]]], title: str) -> MetadataValue[str]:
    """A share at each position of lists with its interval, a line for each name, the first one dark."""

    def draw(axes: "Axes") -> None:
        for (name, points), colour in zip(named.items(), (_ACCENT, _WARM, _SOFT), strict=False):
            positions = [position for position, _ in points]
            axes.plot(positions, [each.mean for _, each in points], color=colour, marker="o", markersize=3, label=name)
            axes.vlines(positions, [each.low for _, each in points], [each.high for _, each in points], color=colour)
        axes.set(title=title, xlabel="position in the list", ylabel="share")
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", integer=True)
        if named:
            axes.legend(frameon=False)

    return picture(draw)


def metric_panels(rankers: Mapping[str, Mapping[str, float]], names: Sequence[str], title: str) -> "Picture":
    """A panel for each metric, on a scale of its own, with a bar for each ranker."""
    figure, panels = _panels(len(names), 0.24 * len(rankers) + 0.6, title)
    for axes, name in zip(panels, names, strict=True):
        values = [ranker[name] for ranker in rankers.values()]
        axes.spines["bottom"].set_visible(False)
        bars = axes.barh(list(rankers), values, color=[_ACCENT] + [_PALE] * (len(values) - 1))
        axes.bar_label(bars, fmt="%.3f", fontsize=8, padding=3)
        axes.set_title(name.replace("_at_", "@").replace("_", " "), fontsize=9, loc="left")
        axes.set_xticks([])
        axes.margins(x=0.2)
        axes.tick_params(axis="y", length=0, labelsize=8)
    panels[0].invert_yaxis()  # shared by all panels: the first ranker is on top
    _make_room(figure, bottom=0.08)
    return figure


def interval_panels(panels: Mapping[str, Mapping[str, Interval]], title: str) -> "Picture":
    """A panel for each part of an evaluation: the mean and its interval of each ranker, the first one dark."""
    rankers = list(dict.fromkeys(ranker for panel in panels.values() for ranker in panel))
    figure, grid = _panels(len(panels), 0.24 * len(rankers) + 0.8, title)
    for axes, (name, intervals) in zip(grid, panels.items(), strict=True):
        found = [(row, intervals[ranker]) for row, ranker in enumerate(rankers) if ranker in intervals]
        at, colours = [row for row, _ in found], [_SOFT if row else _ACCENT for row, _ in found]
        axes.hlines(at, [each.low for _, each in found], [each.high for _, each in found], colours, linewidth=2)
        axes.scatter([each.mean for _, each in found], at, color=colours, s=16, zorder=3)
        axes.set_title(name.replace("_at_", "@").replace("_", " "), fontsize=8, loc="left")
        axes.grid(axis="x", color="#e2e8f0", linewidth=0.6)
        axes.set_xlim(left=0)
        axes.tick_params(labelsize=8)
        axes.tick_params(axis="y", length=0)
    grid[0].set_yticks(range(len(rankers)), rankers)  # shared by all panels
    grid[0].set_ylim(len(rankers) - 0.7, -0.3)  # the first ranker is on top
    _make_room(figure)
    return figure


def month_panels(figures: Sequence[tuple[Month, Figure]]) -> "Picture":
    """A panel for each moment: each month of the recipe with its interval, and every ranker over twelve months."""
    figure = _figure(9.0, 5.6)
    figure.suptitle("NDCG@10 of each month, by what was known before it")
    for axes, moment in zip(figure.subplots(len(MOMENTS), 1, sharex=True), MOMENTS, strict=True):
        _tidy(axes)
        of_ranker = {
            ranker: [(month, each) for month, each in figures if (each.moment, each.ranker) == (moment, ranker)]
            for ranker in RANKERS
        }
        tops = [_draw_years(axes, ranker, months) for ranker, months in of_ranker.items() if months]
        tops.append(_draw_months(axes, of_ranker[RECIPE]))
        axes.set_title(
            f"{moment}: lines are means of the twelve months to date, dots are months", fontsize=9, loc="left"
        )
        axes.set(ylabel="NDCG@10", ylim=(0, 1.15 * max(tops) or None))  # long intervals are cut
        axes.grid(axis="y", color="#e2e8f0", linewidth=0.6)
        axes.locator_params(axis="x", integer=True)  # years
        if figures:
            axes.set_xlim(min(month for month, _ in figures).year, max(month for month, _ in figures).year + 1)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    _make_room(figure, bottom=0.3)
    return figure


def _draw_years(axes: "Axes", ranker: str, months: Sequence[tuple[Month, Figure]]) -> float:
    """The mean of a ranker over the twelve months to date, for the recipe with its interval; returns the highest."""
    colour, order = {RECIPE: (_ACCENT, 3), WITHOUT_SIGNAL: (_WARM, 4)}.get(ranker, (_SOFT, 2))
    years = years_up_to(months)
    span = [min(years).later(number) for number in range(12 * (max(years).year - min(years).year + 1))]
    found = [year.interval if (year := years.get(month)) else None for month in span]  # a gap where there is none
    values = np.array([(each.mean, each.low, each.high) if each else (np.nan,) * 3 for each in found])
    at = [_at(month) for month in span]
    style = "--" if ranker == WITHOUT_SIGNAL else "-"
    axes.plot(at, values[:, 0], style, color=colour, linewidth=1.8, label=ranker, zorder=order)
    if ranker == RECIPE:
        axes.fill_between(at, values[:, 1], values[:, 2], color=colour, alpha=0.18, linewidth=0)
    return max((each.mean for each in found if each), default=0.0)


def _draw_months(axes: "Axes", months: Sequence[tuple[Month, Figure]]) -> float:
    """Each month with enough users as a dot, with its interval as a line; returns the highest."""
    found = [(_at(month), each.interval) for month, each in months if each.interval is not None]
    at = [at for at, _ in found]
    axes.vlines(
        at, [each.low for _, each in found], [each.high for _, each in found], color=_PALE, linewidth=1, zorder=1
    )
    axes.scatter(at, [each.mean for _, each in found], color=_ACCENT, s=8, zorder=2, alpha=0.6)
    return max((each.mean for _, each in found), default=0.0)


def _at(month: Month) -> float:
    """A month on the axis of years: its middle."""
    return month.year + (month.number - 0.5) / 12


def search_history(trials: Sequence[Trial]) -> bytes:
    """PNG of the value of each trial, and of the best value so far."""
    complete = [(trial.number, trial.value) for trial in trials if trial.value is not None]
    numbers, values = np.array(complete).T

    def draw(axes: "Axes") -> None:
        axes.scatter(numbers, values, color=_PALE, edgecolor=_ACCENT, s=18, label="trial")
        axes.plot(numbers, np.maximum.accumulate(values), color=_ACCENT, label="best so far")
        pruned = [trial.number for trial in trials if trial.state == "pruned"]
        axes.plot(pruned, np.full(len(pruned), values.min()), "|", color=_SOFT, label="pruned")
        axes.set(title="Search history", xlabel="trial", ylabel="validation NDCG@10")
        axes.legend(frameon=False)

    return png(draw)


def parallel_coordinates(trials: Sequence[Trial]) -> bytes:
    """PNG of the recipe of each complete trial as a line over its parameters, the best ones dark."""
    complete = sorted((trial for trial in trials if trial.value is not None), key=lambda trial: trial.value or 0.0)
    names = list(complete[0].recipe)
    heights = np.empty((len(complete), len(names)))
    spans: list[tuple[str, str]] = []
    for column, name in enumerate(names):
        raw = [trial.recipe[name] for trial in complete]
        if isinstance(raw[0], str):
            choices = sorted(set(raw))
            numbers = np.array([choices.index(value) for value in raw], dtype=float)
            spans.append((choices[0], choices[-1]))
        else:
            numbers = np.array(raw, dtype=float)
            if numbers.min() > 0:  # ranges that include 0 are not drawn on a log scale
                numbers = np.log(numbers)
            spans.append((f"{min(raw):.3g}", f"{max(raw):.3g}"))
        width = np.ptp(numbers) or 1.0
        heights[:, column] = (numbers - numbers.min()) / width
    rank = np.linspace(0.05, 1.0, len(complete))

    def draw(axes: "Axes") -> None:
        for line, strength in zip(heights, rank, strict=True):
            axes.plot(line, color=_ACCENT, alpha=float(strength**3), linewidth=1.2)
        axes.set_xticks(
            range(len(names)), [f"{name}\n{low} to {high}" for name, (low, high) in zip(names, spans, strict=True)]
        )
        axes.tick_params(axis="x", labelsize=6.5)
        axes.set_yticks([])
        axes.set_title("Recipes tried: lowest to highest of each parameter, the best dark")

    return png(draw)


def picture(draw: Any) -> MetadataValue[str]:
    """A drawing as an embedded PNG; `draw` is given matplotlib axes to draw on."""
    return embedded(png(draw))


def embedded(image: bytes) -> MetadataValue[str]:
    """A PNG inside Markdown, as the UI shows it."""
    return MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(image).decode()})")


def png(draw: Any) -> bytes:
    """Draw on matplotlib axes, given to `draw`, into a PNG."""
    figure = _figure(6.4, 3.2)
    axes = figure.subplots()
    _tidy(axes)
    draw(axes)
    _make_room(figure, bottom=0.55)
    return encoded(figure)


def _panels(count: int, height: float, title: str) -> "tuple[Picture, list[Axes]]":
    """A figure with panels in rows of three at most, each of a height in inches."""
    across = min(3, count)
    down = -(-count // across)
    figure = _figure(3.0 * across + 1.0, down * height + 0.4)
    figure.suptitle(title)
    grid = figure.subplots(down, across, sharey=True, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.set_axis_off()
    for axes in grid[:count]:
        _tidy(axes)
    return figure, grid[:count]


def _figure(width: float, height: float) -> "Picture":
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    return figure


def _make_room(figure: "Picture", bottom: float = 0.25) -> None:
    """Place panels so that titles and labels fit; `bottom` is the height of what is below a panel, in inches.

    Only the labels on the left are measured. Matplotlib's layout engines measure each text of each panel twice, which
    took nearly half of the time of a picture.
    """
    grid = cast("Any", figure.axes[0]).get_gridspec()
    width, height = figure.get_size_inches()
    title = figure.get_suptitle()
    top = 0.3 if title else 0.0
    above = max(map(_height_of_title, figure.axes))
    panel = (height - top) / grid.nrows - above - bottom
    # The height comes first, because it decides which labels there are.
    figure.subplots_adjust(top=1 - (top + above) / height, bottom=bottom / height, hspace=(above + bottom) / panel)
    left = max(_width_of_labels(axes, figure) for axes in figure.axes[:: grid.ncols])
    across = (width - left - _RIGHT - (grid.ncols - 1) * _GAP) / grid.ncols
    figure.subplots_adjust(left=left / width, right=1 - _RIGHT / width, wspace=_GAP / across)
    if title:
        figure.suptitle(title, y=1 - 0.05 / height)


def _height_of_title(axes: "Axes") -> float:
    """Of what is above a panel, in inches."""
    titles = [axes.title, cast("Any", axes)._left_title]
    heights = [1.25 * float(title.get_fontsize()) * len(title.get_text().splitlines()) for title in titles]
    return _INCHES * (8 + max(heights))


def _width_of_labels(axes: "Axes", figure: "Picture") -> float:
    """Of what is on the left of a panel, in inches."""
    axis, renderer = axes.yaxis, cast("Any", figure.canvas).get_renderer()
    width = _INCHES * 3
    if axis.label.get_text():
        width += _INCHES * (1.25 * float(axis.label.get_fontsize()) + 4)
    if labels := [label for label in axis.get_majorticklabels() if label.get_text()]:
        sizes = [renderer.get_text_width_height_descent(x.get_text(), x.get_fontproperties(), False) for x in labels]
        width += max(size[0] for size in sizes) / figure.dpi + _INCHES * 8
    return width


def _tidy(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK)


def encoded(figure: "Picture") -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    # The same bytes as those of `savefig`, which draws twice to find the layout.
    cast("Any", figure.canvas).print_png(buffer)
    return buffer.getvalue()
