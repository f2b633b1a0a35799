"""The asset graph as an SVG, drawn from the definitions.

Belongs here: the drawing in docs/architecture.md. `python -m movierec_tests.asset_graph` writes it anew. Does not:
screenshots of a platform that runs (`pictures`).
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from dagster import AssetKey

import movierec_assets
from movierec_assets.definitions import build
from movierec_assets.defs.presentation import BACKTEST, FEEDBACK, INGESTION, PREPROCESSING, SERVING, TRAINING

PICTURE = Path(movierec_assets.__file__).parent / "docs" / "asset-graph.svg"

_COLOURS = {
    INGESTION: ("#e0e7ff", "#4f46e5"),
    PREPROCESSING: ("#dcfce7", "#15803d"),
    TRAINING: ("#fef3c7", "#b45309"),
    SERVING: ("#fce7f3", "#be185d"),
    FEEDBACK: ("#f3e8ff", "#7e22ce"),
    BACKTEST: ("#e0f2fe", "#0369a1"),
}
_WIDTH, _HEIGHT, _COLUMN, _ROW, _TOP = 200, 44, 240, 72, 84
_LINE = '<path d="{}" stroke="#64748b" fill="none" stroke-width="1.5" marker-end="url(#arrow)"/>'


def draw() -> str:
    """SVG of all assets in columns of their groups, with an arrow for each dependency between steps."""
    graph = build().resolve_asset_graph()
    keys = list(graph.toposorted_asset_keys)
    corners: dict[AssetKey, tuple[int, int]] = {}
    for column, group in enumerate(_COLOURS):
        members = [key for key in keys if graph.get(key).group_name == group]
        for row, key in enumerate(members):
            corners[key] = (20 + column * _COLUMN, _TOP + row * _ROW)
    height = max(y for _, y in corners.values()) + _HEIGHT + 24
    width = 20 + len(_COLOURS) * _COLUMN
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" '
        'role="img" aria-label="Asset graph">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for column, (group, (fill, ink)) in enumerate(_COLOURS.items()):
        x = 10 + column * _COLUMN
        shapes.append(
            f'<rect x="{x}" y="24" width="{_WIDTH + 20}" height="{height - 34}" rx="10" fill="{fill}" opacity="0.55"/>'
            f'<text x="{x + 110}" y="56" text-anchor="middle" font-size="15" font-weight="600" fill="{ink}">'
            f"{escape(group)}</text>"
        )
    shapes += _arrows(graph, corners)
    for key, (x, y) in corners.items():
        node = graph.get(key)
        ink = _COLOURS[str(node.group_name)][1]
        kinds = ", ".join(sorted(node.kinds or ()))
        blocking = any(graph.get(check).blocking for check in node.check_keys)
        notes = kinds + (" · blocking checks" if blocking else "")
        shapes.append(
            f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" fill="#ffffff" stroke="{ink}"/>'
            f'<text x="{x + 12}" y="{y + 19}" font-size="13" font-weight="600" fill="#1e293b">'
            f"{escape(key.to_user_string())}</text>"
            f'<text x="{x + 12}" y="{y + 35}" font-size="10.5" fill="#64748b">{escape(notes)}</text>'
        )
    return "\n".join([*shapes, "</svg>"]) + "\n"


def _arrows(graph: object, corners: dict[AssetKey, tuple[int, int]]) -> list[str]:
    """Arrows down a column and between columns, above the boxes of those between; none that a longer path implies."""
    parents = {key: set(graph.get(key).parent_keys) for key in corners}  # type: ignore[attr-defined]

    def ancestors(key: AssetKey) -> set[AssetKey]:
        return parents[key] | {older for parent in parents[key] for older in ancestors(parent)}

    lines = []
    for key, (x, y) in corners.items():
        direct = {parent for parent in parents[key] if not any(parent in ancestors(o) for o in parents[key] - {parent})}
        for parent in sorted(direct, key=lambda each: corners[each]):
            from_x, from_y = corners[parent]
            if from_x == x and y - from_y == _ROW:
                lines.append(_LINE.format(f"M{x + _WIDTH // 2} {from_y + _HEIGHT}V{y - 2}"))
            elif from_x == x:
                start, end = from_y + _HEIGHT // 2, y + _HEIGHT // 2
                lines.append(_LINE.format(f"M{x} {start}C{x - 22} {start} {x - 22} {end} {x - 2} {end}"))
            elif x - from_x > _COLUMN:
                from_middle, above = from_x + _WIDTH // 2, _TOP - 13
                lines.append(_LINE.format(f"M{from_middle} {from_y}V{above}H{x + _WIDTH // 2}V{y - 2}"))
            else:
                start, end = from_y + _HEIGHT // 2, y + _HEIGHT // 2
                middle = (from_x + _WIDTH + x) // 2
                lines.append(_LINE.format(f"M{from_x + _WIDTH} {start}C{middle} {start} {middle} {end} {x - 2} {end}"))
    return lines


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
