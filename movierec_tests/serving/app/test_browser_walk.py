"""The app in a real browser: rating films, going on from a film, and every page in light, dark and on a phone.

A page of the navigation takes part by itself. Shown are the small dataset and its champion; Dagster does not answer.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app.app_pages import Entry, entries
from movierec_assets.tables.api_keys import create_key
from movierec_assets.tables.database import Database
from movierec_tests.serving.app.browsers import browsing, chromium, served_app
from movierec_tests.serving.app.told import tell

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="needs chromium: apt-get install chromium, or the variable CHROMIUM"),
]
DESK, PHONE = (1280, 900), (390, 844)
PAGES = [entry for found in entries().values() for entry in found]
OWN = {"exclude": [['[data-testid="stSidebarNav"]']]}
"""All of a page but the menu that Streamlit makes of the navigation on a phone, whose lists hold headings."""
QUIET = '!document.querySelector(\'[data-testid="stStatusWidget"], [data-stale="true"], [data-testid="stSkeleton"]\')'
"""Whether Streamlit has drawn everything."""


@pytest.fixture(scope="module")
def app(worker: Worker, served_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app; its pages have every document to show."""
    tell(worker)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with served_app(served_api, port, tmp_path_factory.mktemp("app") / "app.log") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


class Visit:
    """A page of the browser, with what went wrong on it."""

    def __init__(self, browser: Any, app: str, scheme: str = "light", size: tuple[int, int] = DESK) -> None:
        self.app, self.wrong = app, list[str]()
        self.page = browser.new_page(color_scheme=scheme, viewport={"width": size[0], "height": size[1]})
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        # Opened at the path of a page, Streamlit looks for its server under that path first.
        probed = re.search(r"/_stcore/(health|host-config)$", str(message.location.get("url", "")))
        if message.type == "error" and not probed:
            self.wrong.append(f"console: {message.text} {message.location}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.app, self.app.replace("http", "ws"), "data:", "blob:")):
            self.wrong.append(f"request to another host: {request.url}")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.app}/{path}")
        self.settle()

    def settle(self) -> None:
        """Wait until the page is drawn."""
        self.page.wait_for_selector(".mr-heading h1")
        self.page.wait_for_function(QUIET)
        self.page.wait_for_timeout(300)
        self.page.wait_for_function(QUIET)

    def check(self) -> None:
        """Nothing went wrong, and no error is shown."""
        assert not self.wrong
        assert self.page.locator('[data-testid="stException"], [data-testid="stAlertContentError"]').count() == 0

    def titles(self) -> list[str]:
        """Films of the list, in its order."""
        found: list[str] = self.page.locator('[data-testid="stTabs"] .mr-film h3').all_text_contents()
        return found


def serious(page: Any) -> list[str]:
    """Violations of accessibility that axe calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=OWN).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_three_stars_change_the_list_and_survive_a_reload(browser: Any, app: str) -> None:
    visit = Visit(browser, app)
    visit.open("")
    first = visit.titles()
    assert len(first) == 12
    visit.page.get_by_role("button", name="Be a new user").click()
    visit.page.wait_for_selector("text=You are new here")
    visit.settle()
    lists = [visit.titles()]
    for _ in range(3):
        rated = visit.titles()[1]
        stars = visit.page.locator('[data-testid="stTabs"] [data-testid="stFeedback"]').nth(1)
        stars.locator("button, label").nth(4).click()
        visit.page.wait_for_function(
            "title => ![...document.querySelectorAll('[data-testid=\"stTabs\"] .mr-film h3')]"
            ".some(each => each.textContent == title)",
            arg=rated,
        )
        visit.settle()
        assert visit.page.locator("text=You gave").count() == 1
        lists.append(visit.titles())
    assert len({tuple(each) for each in lists}) == 4
    assert "user=1000000" in visit.page.url
    visit.page.reload()
    visit.settle()
    assert visit.titles() == lists[-1]
    visit.check()


def test_one_goes_from_a_film_to_its_neighbours(browser: Any, app: str) -> None:
    visit = Visit(browser, app)
    visit.open("")
    visit.page.get_by_role("button", name="Similar", exact=True).first.click()
    visit.page.wait_for_selector("text=Go on from here")
    visit.settle()
    address = visit.page.url
    assert "/similar?movie=" in address
    assert visit.page.locator("canvas, svg.marks").count() > 0
    visit.page.get_by_role("button", name="Go on from here").nth(1).click()
    visit.page.wait_for_function("before => location.href != before", arg=address)
    visit.settle()
    visit.check()


def test_an_operators_key_leaves_no_trace_in_the_browser(browser: Any, app: str, worker: Worker) -> None:
    key = create_key(Database(worker.settings.databases.ratings), "operator", "night shift")
    visit = Visit(browser, app)
    visit.open("operate")
    visit.page.locator("input[type=password]").fill(key)
    visit.page.get_by_role("button", name="Use this key").click()
    visit.page.wait_for_selector("text=Forget the key")
    visit.settle()
    visit.check()
    assert serious(visit.page) == []
    kept = visit.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    for place in (visit.page.url, kept, str(visit.page.context.cookies()), visit.page.content()):
        assert key.rsplit("_", 1)[1] not in place
    visit.page.reload()
    visit.settle()
    assert visit.page.locator("input[type=password]").count() == 1, "a reload asks again"


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.name)
def test_every_page_is_whole_in_light_in_dark_and_on_a_phone(browser: Any, app: str, entry: Entry) -> None:
    path = "" if entry is PAGES[0] else entry.name.replace("_", "-")
    for scheme, size in (("light", DESK), ("dark", DESK), ("light", PHONE)):
        visit = Visit(browser, app, scheme, size)
        visit.open(path)
        visit.check()
        assert serious(visit.page) == [], (scheme, size)
        wider = visit.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wider <= 0, (scheme, size)
        visit.page.close()
