"""The asset graph as a picture: a row for each asset, and a curve at its left for each dependency.

Belongs here: the drawing, which is as readable on a phone as on a wide screen. Does not: what Dagster knows
(`dagster`), and the text beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import altair as alt
import pandas as pd

from movierec_assets.serving.app.dagster import Asset, State
from movierec_assets.serving.app.times import ago

PICKED = "picked"
"""Name of the selection: a click on a row picks its asset."""
ROW = 26
"""Height of a row, in pixels."""
SIGNS: dict[State, tuple[str, str, str]] = {
    "up to date": ("circle", "#15803d", "✓"),
    "running": ("triangle-right", "#2563eb", "▶"),
    "failed": ("cross", "#dc2626", "✗"),
    "check failed": ("cross", "#dc2626", "✗"),
    "late": ("diamond", "#b45309", "!"),
    "inputs newer": ("diamond", "#b45309", "!"),
    "never made": ("square", "#6b7280", "○"),
    "being read": ("stroke", "#6b7280", "…"),
}
"""Shape, colour and sign of each state: no state is told by its colour alone."""
_SHAPES = {
    "circle": "Circle",
    "triangle-right": "triangle",
    "cross": "cross",
    "diamond": "diamond",
    "square": "square",
    "stroke": "dash",
}
"""Names of shapes for people."""
_DOT, _NAME, _AGE, _WIDTH = 92, 106, 288, 350
"""Left edges, in pixels."""
_POINTS = 17


def drawing(assets: Sequence[Asset], now: datetime, ink: str) -> alt.LayerChart:
    """The picture of assets in an order that each follows its parents in.

    Parameters
    ----------
    assets : sequence of Asset
    now : datetime
        Ages are told from it.
    ink : str
        Colour of text, which fits the background.
    """
    rows, headings = _rows(assets, now)
    places = {row["asset"]: row["y"] for row in rows}
    last = max(places.values()) + 1
    across = alt.Scale(domain=[0, _WIDTH], range=[0, _WIDTH], nice=False, zero=False)
    x = alt.X("x:Q", axis=None, scale=across)
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[last, -1], range=[(last + 1) * ROW, 0], nice=False))
    picked = alt.selection_point(name=PICKED, fields=["asset"], on="click", empty=False)
    state = alt.Color(
        "state:N", legend=None, scale=alt.Scale(domain=list(SIGNS), range=[colour for _, colour, _ in SIGNS.values()])
    )
    shape = alt.Shape(
        "state:N", legend=None, scale=alt.Scale(domain=list(SIGNS), range=[name for name, _, _ in SIGNS.values()])
    )
    table = alt.Chart(pd.DataFrame(rows))
    tooltip = [alt.Tooltip(f"{name}:N") for name in ("asset", "state", "made", "checks", "made from")]
    band = table.mark_bar(height=ROW - 2, cornerRadius=5).encode(
        x=alt.X("left:Q", axis=None, scale=across), x2="right:Q", y=y, tooltip=tooltip,
        color=alt.value(ink), opacity=alt.condition(picked, alt.value(0.16), alt.value(0.001)),
    )  # fmt: skip
    points = alt.Chart(pd.DataFrame(_curves(assets, places)))
    curves = points.mark_line(strokeWidth=1.3, opacity=0.5, interpolate="basis").encode(
        x=x, y=y, detail="edge:N", order="step:Q", color=alt.value(ink)
    )
    dots = table.mark_point(filled=True, size=110, opacity=1).encode(
        x=x, y=y, color=state, shape=shape, tooltip=tooltip
    )
    written = {"y": y, "color": alt.value(ink)}
    names = table.mark_text(align="left", baseline="middle", fontSize=13).encode(
        x=alt.value(_NAME), text="asset:N", tooltip=tooltip, **written
    )
    ages = table.mark_text(align="left", baseline="middle", fontSize=12).encode(
        x=alt.value(_AGE), text="age:N", **written
    )
    groups = alt.Chart(pd.DataFrame(headings)).mark_text(
        align="left", baseline="middle", fontSize=12, fontWeight="bold"
    ).encode(x=alt.value(_NAME), text="group:N", **written)  # fmt: skip
    drawn = alt.layer(curves, band.add_params(picked), dots, names, ages, groups)
    drawn = drawn.properties(height=(last + 1) * ROW, width=_WIDTH)
    whole: alt.LayerChart = drawn.configure_view(stroke=None)
    return whole


def legend() -> str:
    """What the shapes mean, in a line."""
    named: dict[str, list[str]] = {}
    for state, (shape, _, _) in SIGNS.items():
        named.setdefault(_SHAPES[shape], []).append(state)
    return "; ".join(f"{shape}: {' or '.join(states)}" for shape, states in named.items()) + "."


def _rows(assets: Sequence[Asset], now: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of assets, and headings where another group begins."""
    rows: list[dict[str, Any]] = []
    headings: list[dict[str, Any]] = []
    y, group = 0, None
    for asset in assets:
        if asset.group != group:
            group = asset.group
            headings.append({"group": group.upper(), "y": y})
            y += 1
        passed = sum(check.result == "passed" for check in asset.checks)
        age = "never" if asset.made_at is None else ago(asset.made_at, now)
        rows.append(
            {
                "asset": asset.name,
                "state": asset.state,
                "age": {"up to date": _short(age), "being read": "…"}.get(asset.state, asset.state),
                "made": age,
                "checks": f"{passed} of {len(asset.checks)} passed" if asset.checks else "none",
                "made from": ", ".join(asset.parents) or "files",
                "x": _DOT,
                "left": 0,
                "right": _WIDTH,
                "y": y,
            }
        )
        y += 1
    return rows, headings


def _short(age: str) -> str:
    """An age in its largest unit, which fits on a phone: "2 h ago" for "2 h 5 min ago"."""
    words = age.split()
    return " ".join([*words[:2], words[-1]])


def _curves(assets: Sequence[Asset], places: dict[str, int]) -> list[dict[str, Any]]:
    """Points of a curve for each dependency that no longer path implies: it leaves to the left and comes back."""
    points = []
    for parent, child in direct(assets):
        top, bottom = places[parent], places[child]
        reach = min(12 + 6.5 * (bottom - top), _DOT - 6)
        for step in range(_POINTS):
            t = step / (_POINTS - 1)
            points.append(
                {
                    "edge": f"{parent}, {child}",
                    "step": step,
                    "x": _DOT - 8 - reach * 4 * t * (1 - t) * 0.98,
                    "y": top + (bottom - top) * (3 * t**2 - 2 * t**3),
                }
            )
    return points


def direct(assets: Sequence[Asset]) -> list[tuple[str, str]]:
    """Pairs of parent and child, without those that a longer path between both implies."""
    parents = {asset.name: set(asset.parents) for asset in assets}
    above: dict[str, set[str]] = {}
    for asset in assets:  # each follows its parents
        known = [above.get(parent, set()) for parent in parents[asset.name]]
        above[asset.name] = parents[asset.name].union(*known) & parents.keys()
    return [
        (parent, asset.name)
        for asset in assets
        for parent in asset.parents
        if parent in parents and not any(parent in above[other] for other in parents[asset.name] & parents.keys())
    ]
