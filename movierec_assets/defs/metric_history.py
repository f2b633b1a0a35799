"""Figures of an asset over its materializations, as a picture on the latest one.

Belongs here: reading earlier figures and drawing them. Does not: the figures (the assets make them). Dagster plots each
number of an asset by itself; these are several numbers in one picture.

Dagster concept: https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dagster import AssetKey, DagsterInstance, MetadataValue

from movierec_assets.defs.presentation import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 90
"""Materializations in the picture, the present one included: a quarter of nightly trainings."""
_COLOURS = ("#4f46e5", "#d97706", "#94a3b8")


def figures_before(
    instance: DagsterInstance, asset: str, names: Mapping[str, str], alike: tuple[str, str]
) -> list[tuple[datetime, dict[str, float]]]:
    """Figures of earlier materializations, oldest first.

    Parameters
    ----------
    instance : DagsterInstance
    asset : str
    names : mapping of str to str
        Name in the metadata of each figure, by its label. Figures that are missing are left out.
    alike : pair of str
        Name and value of text in the metadata; materializations with another value do not count.
    """
    name, value = alike
    found = []
    for record in instance.fetch_materializations(AssetKey(asset), limit=SHOWN - 1).records:
        metadata = record.asset_materialization.metadata if record.asset_materialization else {}
        if name not in metadata or metadata[name].value != value:
            continue
        figures = {label: metadata[key].value for label, key in names.items() if key in metadata}
        numbers = {label: float(each) for label, each in figures.items() if isinstance(each, int | float)}
        found.append((datetime.fromtimestamp(record.timestamp, UTC), numbers))
    return found[::-1]


def drawn(history: list[tuple[datetime, dict[str, float]]], title: str, label: str) -> MetadataValue[str]:
    """A line for each figure over time, the first one dark; a figure that is missing at a time leaves no mark."""
    labels = list(dict.fromkeys(each for _, figures in history for each in figures))

    def draw(axes: "Axes") -> None:
        for each, colour in zip(labels, _COLOURS, strict=False):
            points: list[tuple[Any, float]] = [(at, figures[each]) for at, figures in history if each in figures]
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label=each)
        axes.set(title=title, ylabel=label)
        axes.set_ylim(bottom=0)
        axes.tick_params(axis="x", labelrotation=20, labelsize=7)
        axes.legend(frameon=False)

    return picture(draw)
