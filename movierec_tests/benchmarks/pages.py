"""Time of each page of the app in a browser, and of a star, on a platform that runs.

Belongs here: measuring, and the table. Does not: what pages show, which `serving/app/visits` looks at.

    python -m movierec_tests.benchmarks.pages --app http://localhost:8501 --key-file FILE

A page is timed from the navigation to the last change of the first screen, charts included, and to the last change of
the whole page: opened by its address in a new tab, and by the navigation from another page. The target is for the first
screen. The browser has been on each page before. Its first page, for which it
loads Streamlit's scripts, is timed apart. A star is timed from the click to the last change of the list. The user who
gives stars is a new one, and stays in the database.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from movierec_assets.serving.app.app_pages import GROUPS, Entry
from movierec_tests.serving.app.browsers import browsing
from movierec_tests.serving.app.visits import DESK, PAGES, QUIET, path_of

T = TypeVar("T")
PAGE_SECONDS, STAR_SECONDS = 2.0, 0.5
"""Targets, at 20 million ratings."""
FIRST, STAR = "The first page of a browser", "A star"
STILL_SECONDS = 1.2
"""A page that has not changed for so long is whole."""
_WATCH = """
(() => {
  const seen = window.seen = {clicked: 0, shown: 0, changed: 0, listed: 0, titles: ''};
  const own = '[data-testid="stStatusWidget"], [data-testid="stHeader"], head';
  const onScreen = node => {
    const at = (node.nodeType === 1 ? node : node.parentElement)?.getBoundingClientRect();
    return at && at.height > 0 && at.top < innerHeight && at.bottom > 0;
  };
  new MutationObserver(found => {
    const ours = found.filter(each => each.target.nodeType !== 1 || !each.target.closest(own));
    if (!ours.length) return;
    seen.changed = performance.now();
    if (ours.some(({target, addedNodes}) => (addedNodes.length ? [...addedNodes] : [target]).some(onScreen)))
      seen.shown = seen.changed;
    const cards = [...document.querySelectorAll('[data-testid="stTabs"] .mr-film h3')];
    const titles = cards.map(each => each.textContent).join('|');
    if (titles !== seen.titles) { seen.titles = titles; seen.listed = seen.changed; }
  }).observe(document, {childList: true, subtree: true, characterData: true});
  document.addEventListener('pointerdown', () => { seen.clicked = performance.now(); }, true);
})()
"""
_STILL = (
    f"{QUIET} && document.querySelector('.mr-heading h1') && performance.now() - seen.changed > {STILL_SECONDS * 1e3}"
)


class Times(NamedTuple):
    """Seconds to the last change of the first screen, and of the whole page."""

    shown: float
    whole: float


class Watched:
    """A tab of the browser that notes when its page changes."""

    def __init__(self, browser: Any, app: str) -> None:
        self._app = app
        self.page = browser.new_page()
        self.page.add_init_script(_WATCH)

    def open(self, path: str) -> Times:
        """Times from the navigation."""
        self.page.goto(f"{self._app}/{path}")
        noted = self.still()
        return Times(noted["shown"] / 1e3, noted["changed"] / 1e3)

    def follow(self, entry: Entry) -> Times:
        """Times from the click in the navigation."""
        group = next(name for name, found in GROUPS.items() if entry in found)
        self.page.get_by_test_id("stHeader").get_by_text(group, exact=True).click()
        link = self.page.get_by_text(entry.title, exact=True)
        self.page.get_by_test_id("stTopNavDropdownLink").filter(has=link).click()
        self.page.wait_for_function(
            "title => document.querySelector('.mr-heading h1')?.textContent == title", arg=entry.title
        )
        return Times(*self._since_click("shown", "changed"))

    def star(self) -> float:
        """Seconds from a click on five stars to the last change of the list."""
        stars = self.page.locator('[data-testid="stTabs"] [data-testid="stFeedback"]').nth(1)
        stars.locator("button, label").nth(4).click()
        self.page.wait_for_function("seen.listed > seen.clicked")
        return self._since_click("listed")[0]

    def still(self) -> dict[str, float]:
        """Wait until the page is whole; what was noted."""
        self.page.wait_for_function(_STILL)
        noted: dict[str, float] = self.page.evaluate("seen")
        return noted

    def _since_click(self, *what: str) -> list[float]:
        noted = self.still()
        return [(noted[each] - noted["clicked"]) / 1e3 for each in what]


def give_key(tab: Watched, key: str) -> None:
    """Type an operator's key into the page Operate."""
    tab.page.locator("input[type=password]").fill(key)
    tab.page.get_by_role("button", name="Use this key").click()
    tab.page.wait_for_selector("text=Forget the key")
    tab.still()


def measured(browser: Any, app: str, times: int, key: str | None) -> dict[str, dict[str, float]]:
    """Medians in seconds, by page and way, and of a star."""
    profile = browser.new_context(viewport={"width": DESK[0], "height": DESK[1]})
    found = {FIRST: {"first": _opened(profile, app, PAGES[0]).shown}}
    for entry in PAGES:
        _opened(profile, app, entry)
        opened = [_opened(profile, app, entry) for _ in range(times)]
        followed = [_followed(profile, app, entry, key) for _ in range(times)]
        found[entry.title] = {
            f"{way}, {name}": statistics.median(values)
            for way, all_times in (("opened", opened), ("followed", followed))
            for name, values in zip(Times._fields, zip(*all_times, strict=True), strict=True)
        }
        sys.stderr.write(f"{entry.title}: {json.dumps(found[entry.title])}\n")
    found[STAR] = {"star": statistics.median(_stars(profile, app, times))}
    profile.close()
    return found


def _opened(browser: Any, app: str, entry: Entry) -> Times:
    return _in_tab(browser, app, lambda tab: tab.open(path_of(entry)))


def _followed(browser: Any, app: str, entry: Entry, key: str | None) -> Times:
    def follow(tab: Watched) -> Times:
        other = PAGES[-1] if entry is not PAGES[-1] else PAGES[0]
        if entry.name == "operate" and key is not None:
            tab.open(path_of(entry))
            give_key(tab, key)
            tab.follow(other)
        else:
            tab.open(path_of(other))
        return tab.follow(entry)

    return _in_tab(browser, app, follow)


def _stars(browser: Any, app: str, times: int) -> list[float]:
    def rate(tab: Watched) -> list[float]:
        tab.open("")
        tab.page.get_by_role("button", name="Be a new user").click()
        tab.page.wait_for_selector("text=You are new here")
        tab.still()
        return [tab.star() for _ in range(times + 1)][1:]  # the first star makes the list the person's own

    return _in_tab(browser, app, rate)


def _in_tab(browser: Any, app: str, work: Callable[[Watched], T]) -> T:
    tab = Watched(browser, app)
    try:
        return work(tab)
    finally:
        tab.page.close()


def table(found: dict[str, dict[str, float]]) -> str:
    """Medians as Markdown."""
    lines = [
        "| page | by its address: first screen, s | whole, s | from another page: first screen, s | whole, s |",
        "|---|---|---|---|---|",
    ]
    for name, medians in found.items():
        if len(medians) > 1:
            lines.append(" | ".join([f"| {name}", *(f"{value:.2f}" for value in medians.values())]) + " |")
    rest = f"{FIRST}: {found[FIRST]['first']:.2f} s. {STAR}: {found[STAR]['star']:.2f} s."
    return "\n".join([*lines, "", rest])


@click.command(help=__doc__)
@click.option("--app", default="http://localhost:8501", show_default=True, help="Address of the app.")
@click.option("--key-file", type=click.Path(path_type=Path, exists=True), help="A file with an operator's key.")
@click.option("--times", default=3, show_default=True, help="Times that each page is measured; medians are told.")
def main(app: str, key_file: Path | None, times: int) -> None:
    """Measure, and print the table; ends with 1 when something is slower than its target."""
    key = None if key_file is None else key_file.read_text(encoding="utf-8").strip()
    with browsing() as browser:
        found = measured(browser, app.rstrip("/"), times, key)
    click.echo(table(found))
    limits = {"opened, shown": PAGE_SECONDS, "followed, shown": PAGE_SECONDS, "star": STAR_SECONDS}
    slow = [
        f"{name}, {way}"
        for name, medians in found.items()
        for way, value in medians.items()
        if value > limits.get(way, value)
    ]
    if slow:
        click.echo(f"Slower than the target: {'; '.join(slow)}.")
        sys.exit(1)


if __name__ == "__main__":
    main()
