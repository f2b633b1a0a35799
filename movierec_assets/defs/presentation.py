"""What the assets show: names shared by the graph, tables and pictures for the UI's metadata.

Belongs here: turning numbers into Markdown tables, PNG pictures and column schemas. What is shown is chosen by the
assets. Matplotlib is imported when a picture is drawn, because that takes most of a second.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from dagster import MetadataValue, TableColumn, TableSchema

from movierec_assets.recsys.interactions import FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA_TEAM = "team:data-platform"
MODEL_TEAM = "team:recommendations"
INGESTION, PREPROCESSING, TRAINING, SERVING = "ingestion", "preprocessing", "training", "serving"

_INK, _ACCENT, _PALE = "#24292f", "#4f46e5", "#c7d2fe"


def schema(**columns: tuple[str, str]) -> dict[str, Any]:
    """Column schema metadata from name=(type, description)."""
    described = [TableColumn(name, kind, text) for name, (kind, text) in columns.items()]
    return {"dagster/column_schema": TableSchema(described)}


def rows(count: int) -> dict[str, Any]:
    """Row count metadata, where Dagster looks for it."""
    return {"dagster/row_count": MetadataValue.int(int(count))}


def table(header: Sequence[str], body: Sequence[Sequence[Any]]) -> MetadataValue[str]:
    """A Markdown table; pipes in cells are escaped."""
    lines = [header, ["---"] * len(header), *body]
    return MetadataValue.md("\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def rating_histogram(stars: FloatArray) -> MetadataValue[str]:
    """How many ratings have each number of stars."""
    grid = np.arange(0.5, 5.5, 0.5)
    counts = np.bincount(np.round(stars * 2).astype(int), minlength=11)[1:11]

    def draw(axes: "Axes") -> None:
        axes.bar([f"{star:g}" for star in grid], counts, color=[_ACCENT if star >= 4 else _PALE for star in grid])
        axes.set(title="Ratings by stars (likes are dark)", xlabel="stars", ylabel="ratings")

    return picture(draw)


def long_tail(counts: IntArray) -> MetadataValue[str]:
    """How ratings are spread over movies, most rated first."""
    ordered = np.sort(counts)[::-1]

    def draw(axes: "Axes") -> None:
        axes.loglog(np.arange(1, len(ordered) + 1), np.maximum(ordered, 1), color=_ACCENT, linewidth=2)
        axes.set(title="The long tail: ratings per movie", xlabel="movie, most rated first", ylabel="ratings")

    return picture(draw)


def learning_curve(losses: Sequence[float]) -> MetadataValue[str]:
    """Training loss after each iteration."""

    def draw(axes: "Axes") -> None:
        axes.plot(np.arange(1, len(losses) + 1), losses, color=_ACCENT, marker="o")
        axes.set(title="Training loss", xlabel="iteration", ylabel="loss")

    return picture(draw)


def metric_bars(rankers: Mapping[str, Mapping[str, float]], names: Sequence[str], title: str) -> MetadataValue[str]:
    """Metrics of several rankers side by side."""

    def draw(axes: "Axes") -> None:
        width = 0.8 / len(rankers)
        shades = [_ACCENT, _PALE, "#94a3b8"]
        for place, (ranker, values) in enumerate(rankers.items()):
            at = np.arange(len(names)) + place * width
            bars = axes.bar(at, [values[name] for name in names], width, label=ranker, color=shades[place % 3])
            axes.bar_label(bars, fmt="%.3f", fontsize=7, padding=2)
        axes.set_xticks(np.arange(len(names)) + 0.4 - width / 2, [name.replace("_at_", "@") for name in names])
        axes.set_title(title)
        axes.legend(frameon=False)

    return picture(draw)


def picture(draw: Any) -> MetadataValue[str]:
    """A drawing as an embedded PNG.

    Parameters
    ----------
    draw : callable
        Given matplotlib axes to draw on.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK)
    draw(axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})")
