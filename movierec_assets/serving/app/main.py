"""The app's entry, which Streamlit runs: `movierec app`.

Belongs here: the navigation. Does not: pages (`app_pages`), and options of the server (`host.app`).
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from movierec_assets.serving.app import look
from movierec_assets.serving.app.app_pages import entries

STYLE = Path(__file__).with_name("look.css")
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#4052c4"/>'
    '<path d="M12 9l11 7-11 7z" fill="#fff"/></svg>'
)
ABOUT = "Movie recommendations from MovieLens ratings. Every number on these pages comes from the running platform."


def main() -> None:
    """Show the page that the URL names."""
    # Before the navigation: a browser would ask another host for a picture of the page's icon.
    st.set_page_config(page_icon=ICON, layout="wide", menu_items={"About": ABOUT})
    groups = entries()
    first = next(iter(groups.values()))[0]
    pages = {
        group: [
            st.Page(
                entry.file,
                title=entry.title,
                icon=entry.icon,
                url_path=entry.name.replace("_", "-"),
                default=entry is first,
            )
            for entry in found
        ]
        for group, found in groups.items()
    }
    chosen = st.navigation(pages, position="top")
    st.set_page_config(page_title=f"{chosen.title} - movierec")
    look.style.set(STYLE.read_text(encoding="utf-8"))
    chosen.run()


if __name__ == "__main__":
    main()
