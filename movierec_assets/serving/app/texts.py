"""Texts of the project in Streamlit's Markdown.

Belongs here: texts with `code` in them, as docstrings and API descriptions are. Does not: texts of users (`look`).
"""

from __future__ import annotations

from movierec_assets.serving.app import look


def with_code(text: str) -> str:
    """A text as Markdown that shows `code` between backquotes as code, and every other character as it is."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one backquote too many
        return look.plain(text)
    return "".join(_bare(part) if place % 2 == 0 else f"`{part}`" for place, part in enumerate(parts)).strip()


def _bare(part: str) -> str:
    """Text between codes; `look.plain` drops spaces at its ends."""
    before, after = (" " if character.isspace() else "" for character in (part[:1], part[-1:]))
    return f"{before}{look.plain(part)}{after}"
