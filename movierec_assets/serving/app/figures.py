"""Charts about a version of the model.

Belongs here: Altair charts, made of plain rows. Does not: showing them (`look.chart`), and where rows come from.
Parts are told apart by shape, dash or place as well as by colour. Colours are seen on white and on black.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from movierec_assets.serving.app.look import Chart

OWN, OTHER, WARM, COOL = "#5b6fe0", "#8a8fa3", "#c2670c", "#12857a"
Rows = Sequence[dict[str, Any]]

_ROW_HEIGHT, _AXIS, _LEGEND = 28, 50, 30
"""Of charts with a row for each thing, in pixels; the height of a chart is that of everything in it."""
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])
_NAMES = alt.Axis(labelLimit=230, labelOverlap=False, labelFlush=False)
"""Of an axis with names: Vega leaves out every second one in little room, and Streamlit moves the first one."""


def _room(values: pd.Series[float]) -> alt.Scale:
    """A scale with room for a number behind the longest bar, on a phone too."""
    return alt.Scale(domain=[min(0.0, float(values.min())), 1.25 * float(values.max()) or 1.0], nice=False)


def likes(sample: dict[str, Any]) -> Chart:
    """The matrix of likes: a dot for each like, and nothing elsewhere.

    Parameters
    ----------
    sample : dict
        Numbers of `users` and `movies`, and `likes`: pairs of places.
    """
    points = pd.DataFrame(sample["likes"], columns=["person", "film"]) + 1
    drawn: Chart = (
        alt.Chart(points)
        .mark_square(size=14, color=OWN, opacity=1)
        .encode(
            alt.X("film:Q", title="films, the most liked first", scale=alt.Scale(domain=[0, sample["movies"] + 1])),
            alt.Y(
                "person:Q",
                title="people, the most active first",
                scale=alt.Scale(domain=[sample["users"] + 1, 0]),
            ),
            tooltip=[alt.Tooltip("person:Q"), alt.Tooltip("film:Q")],
        )
        .properties(height=330)
    )
    return drawn


def bars(rows: Rows, label: str, value: str, *, title: str, own: str | None = None, axis: str = ",.3~f") -> Chart:
    """A bar for each row with its number, in the given order; that of `own` is told apart."""
    data = pd.DataFrame(rows)
    base = alt.Chart(data).encode(
        alt.Y(f"{label}:N", sort=None, title=None, axis=_NAMES),
        alt.X(f"{value}:Q", title=title, axis=alt.Axis(format=axis), scale=_room(data[value])),
    )
    colour = alt.condition(alt.datum[label] == own, alt.value(OWN), alt.value(OTHER)) if own else alt.value(OWN)
    drawn = base.mark_bar(height={"band": 0.62}).encode(color=colour)
    numbers = base.mark_text(align="left", dx=4).encode(text=alt.Text(f"{value}:Q", format=axis))
    return alt.layer(drawn, numbers).properties(height=_ROW_HEIGHT * max(3, len(data)) + _AXIS)


def intervals(rows: Rows, label: str, *, title: str, own: str, format: str = ".3f") -> Chart:
    """Means with their 95 % intervals, `mean`, `low` and `high` of each row; that of `own` is a filled diamond."""
    data = pd.DataFrame(rows)
    base = alt.Chart(data).encode(alt.Y(f"{label}:N", sort=None, title=None, axis=_NAMES))
    mine = alt.datum[label] == own
    colour = alt.condition(mine, alt.value(OWN), alt.value(OTHER))
    ends = [alt.Tooltip(f"{name}:Q", format=format) for name in ("mean", "low", "high") if name in data]
    tips = [alt.Tooltip(f"{label}:N"), *ends]
    reach = base.mark_rule(strokeWidth=3).encode(
        alt.X("low:Q", title=title, scale=alt.Scale(zero=True)), alt.X2("high:Q"), color=colour, tooltip=tips
    )
    means = base.mark_point(filled=True, size=95, opacity=1).encode(
        alt.X("mean:Q"),
        color=colour,
        shape=alt.condition(mine, alt.value("diamond"), alt.value("circle")),
        tooltip=tips,
    )
    return alt.layer(reach, means).properties(height=_ROW_HEIGHT * max(3, len(data)) + _AXIS)


def slices(rows: Rows, rankers: Sequence[str]) -> Chart:
    """Means with their 95 % intervals, for each part a row of each ranker; at most four rankers."""
    data = pd.DataFrame(rows)
    data["part"] = [f"{row['part']} ({row['users']:,} people)" for row in rows]
    scale = alt.Scale(domain=list(rankers), range=[OWN, OTHER, WARM, COOL])
    shapes = alt.Scale(domain=list(rankers), range=["diamond", "circle", "square", "triangle-up"])
    listed = alt.Legend(orient="top", columns=1)
    base = alt.Chart(data).encode(
        alt.Y("part:N", sort=None, title=None, axis=_NAMES),
        alt.YOffset("ranker:N", sort=list(rankers)),
        alt.Color("ranker:N", title=None, scale=scale, legend=listed),
        tooltip=["part", "ranker", *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "low", "high"))],
    )
    reach = base.mark_rule(strokeWidth=3).encode(alt.X("low:Q", title="NDCG@10"), alt.X2("high:Q"))
    means = base.mark_point(filled=True, size=95, opacity=1).encode(
        alt.X("mean:Q"), alt.Shape("ranker:N", title=None, scale=shapes, legend=listed)
    )
    lines = 0.7 * len(data) + data["part"].nunique()
    return alt.layer(reach, means, height=int(_ROW_HEIGHT * lines) + _AXIS + _LEGEND * len(rankers))


def curve(rows: Rows, x: str, y: str, *, titles: tuple[str, str], zero: bool = False) -> Chart:
    """One line with its points over a number."""
    base = alt.Chart(pd.DataFrame(rows)).encode(
        alt.X(f"{x}:Q", title=titles[0], axis=alt.Axis(tickMinStep=1)),
        alt.Y(f"{y}:Q", title=titles[1], scale=alt.Scale(zero=zero)),
        tooltip=[alt.Tooltip(f"{x}:Q"), alt.Tooltip(f"{y}:Q", format=".4f")],
    )
    return alt.layer(base.mark_line(color=OWN), base.mark_point(color=OWN, filled=True, size=40)).properties(height=240)


def curves(rows: Rows, x: str, y: str, name: str, *, titles: tuple[str, str]) -> Chart:
    """Several lines over a number, told apart by colour, dash and shape; the first name is the strongest."""
    data = pd.DataFrame(rows)
    names = list(dict.fromkeys(data[name]))
    top = alt.Legend(orient="top")
    colour = alt.Color(f"{name}:N", title=None, legend=top, scale=alt.Scale(domain=names, range=[OWN, OTHER, WARM]))
    base = alt.Chart(data).encode(
        alt.X(f"{x}:Q", title=titles[0], axis=alt.Axis(tickMinStep=1)),
        alt.Y(f"{y}:Q", title=titles[1], scale=alt.Scale(zero=False)),
        colour,
        tooltip=[alt.Tooltip(f"{name}:N"), alt.Tooltip(f"{x}:Q"), alt.Tooltip(f"{y}:Q", format=".4f")],
    )
    dash = alt.StrokeDash(
        f"{name}:N", title=None, legend=top, scale=alt.Scale(domain=names, range=[[1, 0], [5, 3], [2, 2]])
    )
    shape = alt.Shape(
        f"{name}:N", title=None, legend=top, scale=alt.Scale(domain=names, range=["circle", "square", "diamond"])
    )
    return alt.layer(base.mark_line().encode(dash), base.mark_point(filled=True, size=45).encode(shape)).properties(
        height=240
    )


def factorization(users: int, movies: int, factors: int) -> Chart:
    """Three blocks: the matrix of likes is about the product of a table of people and a table of films."""
    # Not drawn to scale: a table with 64 of 27,000 columns would be a line.
    blocks = pd.DataFrame(
        [
            (0, 40, 0, 30, "likes", f"{users:,} by {movies:,}"),
            (50, 58, 0, 30, "people", f"{users:,} by {factors}"),
            (66, 106, 22, 30, "films", f"{factors} by {movies:,}"),
        ],
        columns=["left", "right", "low", "high", "name", "size"],
    )
    blocks["x"] = (blocks["left"] + blocks["right"]) / 2
    signs = pd.DataFrame([(45, 15, "≈"), (62, 26, "·")], columns=["x", "y", "sign"])
    x, y = alt.Scale(domain=[-2, 108]), alt.Scale(domain=[-6, 36])
    drawn = alt.Chart(blocks).mark_rect(stroke=OWN, strokeWidth=2, fill=OWN, fillOpacity=0.22)
    # Above the blocks: on a phone, the middle one is narrower than its name.
    names = alt.Chart(blocks).mark_text(fontSize=13, fontWeight="bold", dy=-6, baseline="bottom")
    sizes = alt.Chart(blocks).mark_text(fontSize=11, dy=6, baseline="top")
    between = alt.Chart(signs).mark_text(fontSize=26)
    return alt.layer(
        drawn.encode(
            alt.X("left:Q", axis=None, scale=x), alt.X2("right:Q"), alt.Y("low:Q", axis=None, scale=y), alt.Y2("high:Q")
        ),
        names.encode(x="x:Q", y="high:Q", text="name:N"),
        sizes.encode(x="x:Q", y="low:Q", text="size:N"),
        between.encode(x="x:Q", y="y:Q", text="sign:N"),
        height=220,
    )


def reasons(rows: Rows) -> Chart:
    """What each reason adds to a score, or takes away; a bar each, with its number."""
    data = pd.DataFrame(rows)
    kinds = list(dict.fromkeys(data["kind"]))
    known = {"because of": OWN, "after": WARM, "other likes": OTHER}
    base = alt.Chart(data).encode(
        alt.Y("reason:N", sort=None, title=None, axis=_NAMES),
        alt.X("contribution:Q", title="part of the score", scale=_room(data["contribution"])),
        tooltip=[alt.Tooltip("reason:N"), alt.Tooltip("contribution:Q", format="+.3f")],
    )
    # Without a legend, which a phone has no room for: each name begins with its kind.
    colour = alt.Color(
        "kind:N",
        legend=None,
        scale=alt.Scale(domain=kinds, range=[known.get(kind, COOL) for kind in kinds]),
    )
    numbers = base.mark_text(align="left", dx=4).encode(alt.X("end:Q"), text=alt.Text("contribution:Q", format="+.2f"))
    data["end"] = data["contribution"].clip(lower=0)
    return alt.layer(base.mark_bar(height={"band": 0.62}).encode(colour), numbers).properties(
        height=_ROW_HEIGHT * max(3, len(data)) + _AXIS
    )


def months(months: Rows, years: Rows) -> Chart:
    """NDCG@10 over the months of the past: lines are means of twelve months to date, dots are months of the recipe."""
    lines, dots = pd.DataFrame(years), pd.DataFrame(months)
    names = ["recipe", "without the signal", "popularity"]
    lined = alt.Legend(orient="top", symbolType="stroke", symbolSize=260)
    colour = alt.Color("ranker:N", title=None, legend=lined, scale=alt.Scale(domain=names, range=[OWN, WARM, OTHER]))
    dashes = alt.Scale(domain=names, range=[[1, 0], [6, 3], [2, 2]])
    dash = alt.StrokeDash("ranker:N", title=None, legend=lined, scale=dashes)
    x = alt.X("month:T", title=None)
    tips = [
        alt.Tooltip("ranker:N"),
        alt.Tooltip("month:T", format="%B %Y"),
        alt.Tooltip("mean:Q", format=".4f"),
        alt.Tooltip("users:Q", format=","),
    ]
    # Intervals of months with few users reach far up: the axis is that of the lines.
    top = 1.6 * float(lines["mean"].max() or 0) or None
    y = alt.Y("mean:Q", title="NDCG@10", scale=alt.Scale(domain=[0, top], clamp=True) if top else alt.Scale(zero=True))
    own = lines[lines["ranker"] == "recipe"]
    band = (
        alt.Chart(own).mark_area(color=OWN, opacity=0.18).encode(x, alt.Y("low:Q", title="NDCG@10"), alt.Y2("high:Q"))
    )
    drawn = alt.Chart(lines).mark_line().encode(x, y, colour, dash, tooltip=tips)
    points = (
        alt.Chart(dots[(dots["ranker"] == "recipe") & dots["low"].notna()])
        .mark_circle(size=22, opacity=0.6, color=OWN)
        .encode(x, y, tooltip=tips)
    )
    return alt.layer(band, points, drawn).properties(height=300)


def history(rows: Rows) -> Chart:
    """A metric over versions: intervals where they are known, and a diamond for versions that were promoted.

    Versions of one dataset are joined by a line, with dashes of its own: figures of different data do not compare.
    """
    names = list(dict.fromkeys(row["dataset"] for row in rows))
    dashes = [_DASHES[place % len(_DASHES)] for place in range(len(names))]
    joined = alt.StrokeDash(
        "dataset:N",
        title="dataset",
        scale=alt.Scale(domain=names, range=dashes),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolSize=260, symbolStrokeColor=OTHER),
    )
    base = alt.Chart(pd.DataFrame(rows)).encode(
        alt.X("version:O", title="version", axis=alt.Axis(labelAngle=0)),
        tooltip=[
            alt.Tooltip("version:O"),
            alt.Tooltip("dataset:N"),
            alt.Tooltip("mean:Q", title="NDCG@10", format=".4f"),
            alt.Tooltip("outcome:N"),
        ],
    )
    y = alt.Y("mean:Q", title="NDCG@10", scale=alt.Scale(zero=True))
    line = base.mark_line(color=OTHER).encode(y, joined, detail="dataset:N")
    reach = base.mark_rule(color=OTHER, strokeWidth=2).encode(alt.Y("low:Q", title="NDCG@10"), alt.Y2("high:Q"))
    points = base.mark_point(filled=True, size=95, opacity=1).encode(
        y,
        alt.Shape(
            "promoted:N",
            title=None,
            legend=alt.Legend(orient="top"),
            scale=alt.Scale(domain=["promoted", "not promoted"], range=["diamond", "circle"]),
        ),
        alt.Color(
            "promoted:N",
            title=None,
            legend=alt.Legend(orient="top"),
            scale=alt.Scale(domain=["promoted", "not promoted"], range=[OWN, OTHER]),
        ),
    )
    return alt.layer(line, reach, points).properties(height=270)


def by_place(rows: Rows) -> Chart:
    """A share with its interval at each place of lists."""
    base = alt.Chart(pd.DataFrame(rows)).encode(
        alt.X("place:Q", title="place in the list", axis=alt.Axis(tickMinStep=1)),
        tooltip=[alt.Tooltip("place:Q"), *(alt.Tooltip(f"{name}:Q", format=".2%") for name in ("mean", "low", "high"))],
    )
    y = alt.Y("mean:Q", title="share that was clicked", axis=alt.Axis(format=".1%"), scale=alt.Scale(zero=True))
    reach = base.mark_rule(color=OTHER, strokeWidth=2).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    points = base.mark_point(filled=True, color=OWN, size=60, opacity=1).encode(y)
    return alt.layer(reach, base.mark_line(color=OWN).encode(y), points).properties(height=240)
