"""Pages, each in a module of its own with a function `page`; Streamlit runs the module.

Belongs here: the table of pages. Does not: what pages share (`look`, `session`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A page in the navigation.

    Attributes
    ----------
    name : str
        Of the module; with dashes, the page's path in the URL.
    title : str
    icon : str
        Of Streamlit's own set, which is served with the app.
    """

    name: str
    title: str
    icon: str

    @property
    def file(self) -> Path:
        """The module."""
        return file_of(self.name)


def file_of(name: str) -> Path:
    """The module of a page."""
    return Path(__file__).with_name(f"{name}.py")


GROUPS = {
    "Try it": (
        Entry("for_you", "For you", ":material/star:"),
        Entry("similar", "Similar films", ":material/hub:"),
    ),
    "How it works": (
        Entry("introduction", "Introduction", ":material/menu_book:"),
        Entry("model", "The model", ":material/function:"),
        Entry("dataset", "Dataset", ":material/database:"),
        Entry("preprocessing", "Preprocessing", ":material/filter_alt:"),
        Entry("quality", "Quality", ":material/monitoring:"),
    ),
    "Operate": (
        Entry("pipeline", "Pipeline", ":material/account_tree:"),
        Entry("api", "API", ":material/api:"),
        Entry("operate", "Operate", ":material/build:"),
        Entry("outlook", "Outlook and credits", ":material/info:"),
    ),
}
"""Pages by group, in the order of the navigation; the first one is the start page."""


def entries() -> dict[str, list[Entry]]:
    """Pages whose module exists, by group."""
    found = {group: [entry for entry in pages if entry.file.is_file()] for group, pages in GROUPS.items()}
    return {group: pages for group, pages in found.items() if pages}
