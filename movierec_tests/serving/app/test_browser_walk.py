"""The app in a real browser: rating films, going on from a film, and every page in light, dark and on a phone.

A page of the navigation takes part by itself. Shown are the small dataset and its champion; Dagster does not answer.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app.app_pages import Entry
from movierec_assets.tables.api_keys import create_key
from movierec_assets.tables.database import Database
from movierec_tests.serving.app.browsers import browsing, chromium, served_app
from movierec_tests.serving.app.told import tell
from movierec_tests.serving.app.visits import (
    PAGES,
    Visit,
    ask_why_of_the_last_card,
    come_back_to_the_list,
    find_no_jump_from_charts,
    go_to_neighbours,
    look_in_every_way,
    rate_three_films,
    see_in_every_way,
    use_the_menu_of_a_phone,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="needs chromium: apt-get install chromium, or the variable CHROMIUM"),
]


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
def visit(app: str) -> Iterator[Visit]:
    """One browser for all: what Streamlit's page is made of is loaded once."""
    with browsing() as browser:
        yield Visit(browser, app)


def test_three_stars_change_the_list_and_survive_a_reload(visit: Visit) -> None:
    rate_three_films(visit)


def test_one_goes_from_a_film_to_its_neighbours(visit: Visit) -> None:
    go_to_neighbours(visit)


def test_one_comes_back_to_the_list_that_one_left(visit: Visit) -> None:
    come_back_to_the_list(visit)


def test_an_explanation_begins_at_the_top_of_its_page(visit: Visit) -> None:
    ask_why_of_the_last_card(visit)


@pytest.mark.parametrize("path", ["model", "quality", "dataset"])
def test_a_page_has_its_height_before_its_charts_are_drawn(visit: Visit, path: str) -> None:
    find_no_jump_from_charts(visit, path)


def test_the_menu_of_a_phone_is_accessible_and_leads_to_the_pages(visit: Visit) -> None:
    use_the_menu_of_a_phone(visit)


def test_an_operators_key_opens_every_part_and_leaves_no_trace_in_the_browser(visit: Visit, worker: Worker) -> None:
    key = create_key(Database(worker.settings.databases.ratings), "operator", "night shift")
    visit.open("operate")
    visit.page.locator("input[type=password]").fill(key)
    visit.page.get_by_role("button", name="Use this key").click()
    visit.page.wait_for_selector("text=Forget the key")
    for part in ("Jobs", "Versions", "Alerts", "Data and backups"):
        visit.page.get_by_role("tab", name=part).click()
        visit.settle()
        look_in_every_way(visit, f"operate, {part}")
    kept = visit.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    for place in (visit.page.url, kept, str(visit.page.context.cookies()), visit.page.content()):
        assert key.split("_", 2)[2] not in place
    visit.page.reload()
    visit.settle()
    assert visit.page.locator("input[type=password]").count() == 1, "a reload asks again"


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.name)
def test_every_page_is_whole_in_light_in_dark_and_on_a_phone(visit: Visit, entry: Entry) -> None:
    see_in_every_way(visit, entry)
