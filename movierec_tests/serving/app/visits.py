"""Visits of the app in a browser: what people do there, and what is so on every page.

Belongs here: steps and claims, for tests on a small API and for the walk through the containers. Does not: starting a
browser or the app (`browsers`).
"""

from __future__ import annotations

import re
from typing import Any

from movierec_assets.serving.app.app_pages import Entry, entries

DESK, PHONE = (1280, 900), (390, 844)
PAGES = [entry for found in entries().values() for entry in found]
MENU = '[data-testid="stSidebarNavItems"]'
"""The list of links that Streamlit makes of the navigation on a phone."""
SCROLLED = "document.querySelector('[data-testid=\"stMain\"]').scrollTop"
NAMES_OF_STARS = """
[...document.querySelectorAll('[data-testid="stTabs"] [role="radiogroup"]')]
  .map(each => each.getAttribute("aria-label"))
"""
"""What a screen reader says of the stars of the cards."""
HEIGHTS_OF_CARDS = "[...document.querySelectorAll('[class*=st-key-card-]')].map(each => each.offsetHeight)"
FOCUSED = """document.activeElement.closest('[role="radiogroup"]')?.dataset.film"""
"""Film of the stars that have the focus."""
HEADING = "document.querySelector('.mr-heading h1').getBoundingClientRect().top"
BAR = 60
"""Height of the bar on top, in pixels: a heading that began higher would be hidden."""
NOT_OURS = ("list", "listitem")
"""Rules that the menu breaks: between its list and the items, Streamlit puts a `div` with the heading of each group."""
HEADINGS = "heading-order"
"""A rule that axe calls moderate: whoever listens goes from heading to heading, and misses none of a level."""
QUIET = """
!document.querySelector('[data-testid="stStatusWidget"], [data-stale="true"], [data-testid="stSkeleton"]') &&
[...document.querySelectorAll('[data-testid="stVegaLiteChart"]')].every(each => each.querySelector('canvas, svg'))
""".strip()
"""Whether Streamlit has drawn everything, charts included."""
POLLING = 50.0
"""Milliseconds between two looks; Playwright looks at each frame, which keeps the browser busy with frames."""


def path_of(entry: Entry) -> str:
    """The path of a page in the app's address."""
    return "" if entry is PAGES[0] else entry.name.replace("_", "-")


class Visit:
    """A page of the browser, with what went wrong on it."""

    def __init__(self, browser: Any, app: str) -> None:
        self.app, self.wrong = app, list[str]()
        self.page = browser.new_page(color_scheme="light", viewport={"width": DESK[0], "height": DESK[1]})
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
        """Load a page of the app, and wait until it is drawn."""
        self.page.goto(f"{self.app}/{path}")
        self.settle()

    def settle(self) -> None:
        """Wait until the page is drawn."""
        self.page.wait_for_selector(".mr-heading h1")
        self.page.wait_for_function(QUIET, polling=POLLING)
        self.page.wait_for_timeout(300)
        self.page.wait_for_function(QUIET, polling=POLLING)

    def arrive(self, title: str) -> None:
        """Wait until the page with a title is drawn."""
        self.page.wait_for_function(
            "title => document.querySelector('.mr-heading h1')?.textContent == title", arg=title
        )
        self.settle()

    def choose(self, group: str, title: str) -> None:
        """Go to a page by the menu on top."""
        self.page.get_by_test_id("stTopNavSection").filter(has_text=group).click()
        self.page.get_by_test_id("stTopNavDropdownLink").filter(has_text=re.compile(f"{title}$")).click()
        self.arrive(title)

    def check(self) -> None:
        """Nothing went wrong, and no error is shown."""
        assert not self.wrong, self.wrong
        assert self.page.locator('[data-testid="stException"], [data-testid="stAlertContentError"]').count() == 0

    def titles(self) -> list[str]:
        """Films of the list, in its order."""
        found: list[str] = self.page.locator('[data-testid="stTabs"] .mr-film h3').all_text_contents()
        return found

    def become_new(self) -> None:
        """Become a new user, whose list is popular films."""
        self.page.get_by_role("button", name="Be a new user").click()
        self.page.wait_for_selector("text=You are new here")
        self.settle()

    def give_five_stars(self) -> None:
        """Rate the second film of the list, and wait until the list is without it."""
        rated = self.titles()[1]
        stars = self.page.locator('[data-testid="stTabs"] [data-testid="stFeedback"]').nth(1)
        stars.locator("button, label").nth(4).click()
        self.page.wait_for_function(
            "title => ![...document.querySelectorAll('[data-testid=\"stTabs\"] .mr-film h3')]"
            ".some(each => each.textContent == title)",
            arg=rated,
        )
        self.settle()


def serious(page: Any, *rules: str) -> list[str]:
    """Violations that axe calls serious or critical, and of the order of headings; of these rules only, if any."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    if not page.evaluate("'axe' in window"):  # a document is given axe once, which is half a megabyte
        page.evaluate(Axe().axe_script)
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [
        f"{each['id']}: {each['help']}: {node['html'][:300]}"
        for each in found
        if each["impact"] in ("serious", "critical") or each["id"] == HEADINGS
        for node in each["nodes"]
        if each["id"] not in NOT_OURS or not _in_menu(page, node["target"][0])
    ]


def _in_menu(page: Any, selector: str) -> bool:
    found: bool = page.evaluate("([one, menu]) => !!document.querySelector(one)?.closest(menu)", [selector, MENU])
    return found


def rate_three_films(visit: Visit) -> None:
    """A new user rates three films: the list changes with each, and is the same after a reload."""
    visit.open("")
    assert len(visit.titles()) == 12
    visit.become_new()
    lists = [visit.titles()]
    for _ in range(3):
        visit.give_five_stars()
        named = visit.page.evaluate(NAMES_OF_STARS)
        assert len(named) == 12
        assert named == [f"Your stars for {title}" for title in visit.titles()]
        assert visit.page.locator('[data-testid="stTabs"] [data-testid="stAlert"]:has-text("You gave")').count() == 1
        lists.append(visit.titles())
    assert len({tuple(each) for each in lists}) == 4
    assert "user=1000000" in visit.page.url
    stars = visit.page.locator('[data-testid="stTabs"] [role="radiogroup"]').nth(1).get_by_role("radio")
    before = visit.titles()[1]
    stars.first.focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_function(
        "title => document.querySelectorAll('[data-testid=\"stTabs\"] .mr-film h3')[1]?.textContent != title",
        arg=before,
    )
    visit.settle()
    assert visit.page.evaluate(FOCUSED) == visit.titles()[1], "the focus goes on to the next film"
    lists.append(visit.titles())
    visit.page.add_style_tag(content='.mr-film, [data-testid="stFeedback"] { display: none !important; }')
    assert min(visit.page.evaluate(HEIGHTS_OF_CARDS)) >= 195, "the place of a card has its height from the start"
    visit.page.reload()
    visit.settle()
    assert visit.titles() == lists[-1]
    assert visit.page.locator("text=counts in no figure").count() == 0, "it is still one's own list"
    visit.check()


def go_to_neighbours(visit: Visit) -> None:
    """From a film of the list to films like it, and on from one of them."""
    visit.open("")
    # A screen reader says which film each of these buttons is about.
    visit.page.get_by_role("button", name=re.compile(r"^Similar \S")).first.click()
    visit.page.wait_for_selector("text=Go on from here")
    visit.settle()
    address = visit.page.url
    assert "/similar?movie=" in address
    assert visit.page.locator("canvas, svg.marks").count() > 0
    visit.page.get_by_role("button", name="Go on from here").nth(1).click()
    visit.page.wait_for_function("before => location.href != before", arg=address)
    visit.settle()
    visit.check()


def come_back_to_the_list(visit: Visit) -> None:
    """A list with a person, a filter and a moment is there again after each way to another page and back."""
    visit.open("?user=7&genre=Drama&moment=Next+time")
    listed, address = visit.titles(), visit.page.url

    def find_the_list() -> None:
        visit.arrive("For you")
        visit.page.wait_for_function(
            "titles => JSON.stringify([...document.querySelectorAll('[data-testid=\"stTabs\"] .mr-film h3')]"
            ".map(each => each.textContent)) == JSON.stringify(titles)",
            arg=listed,
        )
        visit.settle()
        for part in ("user=7", "genre=Drama", "moment=Next+time"):
            assert part in visit.page.url, visit.page.url
        assert "film=" not in visit.page.url

    for button, title in (("Why?", "The model"), ("Similar", "Similar films")):
        visit.page.get_by_role("button", name=re.compile(rf"^{re.escape(button)} \S")).first.click()
        visit.arrive(title)
        visit.page.go_back()
        find_the_list()
        assert visit.page.url == address, "no address in between"
        visit.page.go_forward()
        visit.arrive(title)
        visit.page.get_by_role("button", name="Back to the list of user 7").click()
        find_the_list()
    visit.choose("How it works", "Dataset")
    visit.page.go_back()
    find_the_list()
    visit.choose("How it works", "Dataset")
    visit.choose("Try it", "For you")
    find_the_list()
    visit.check()


def ask_why_of_the_last_card(visit: Visit) -> None:
    """The explanation begins at the top of its page, and what is chosen there does not scroll it."""
    visit.open("?user=7")
    button = visit.page.get_by_role("button", name=re.compile(r"^Why\? \S")).last
    button.scroll_into_view_if_needed()
    assert visit.page.evaluate(SCROLLED) > 0
    button.click()
    visit.arrive("The model")
    visit.page.wait_for_function(f"{SCROLLED} == 0")
    visit.page.evaluate("document.querySelector('[data-testid=\"stMain\"]').scrollTo(0, 200)")
    visit.page.evaluate(
        "[...document.querySelectorAll('button')].find(each => each.textContent.includes('Next time')).click()"
    )
    visit.page.wait_for_selector('button[aria-checked="true"]:has-text("Next time")')
    visit.settle()
    assert visit.page.evaluate(SCROLLED) == 200
    visit.open("?user=7")
    visit.page.get_by_label("Search a film").fill("film")
    visit.page.get_by_label("Search a film").press("Enter")
    asked = visit.page.locator('[class*="st-key-ask-"] button')
    asked.first.wait_for()
    visit.settle()
    asked.first.click()
    visit.arrive("The model")
    assert "person=7" in visit.page.url, "also a film that is searched is explained"
    visit.check()


def use_the_menu_of_a_phone(visit: Visit) -> None:
    """The menu, opened on a narrow screen, is accessible, and leads to another page."""
    visit.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    try:
        visit.open("outlook")
        visit.page.get_by_test_id("stExpandSidebarButton").click()
        visit.page.wait_for_function(f"document.querySelector('{MENU}').getBoundingClientRect().left >= 0")
        visit.page.wait_for_timeout(400)  # it slides in
        for scheme in ("dark", "light"):
            visit.page.emulate_media(color_scheme=scheme)
            visit.settle()
            assert serious(visit.page) == [], scheme
        visit.page.locator(MENU).get_by_text("Dataset", exact=True).click()
        visit.arrive("Dataset")
        visit.check()
    finally:
        visit.page.emulate_media(color_scheme="light")
        visit.page.set_viewport_size({"width": DESK[0], "height": DESK[1]})


def find_no_jump_from_charts(visit: Visit, path: str) -> None:
    """The page has its height before its charts are drawn: it is as high without the drawings."""
    visit.open(path)
    height = "document.querySelector('[data-testid=\"stMain\"]').scrollHeight"
    drawn = visit.page.evaluate(height)
    assert visit.page.locator('[data-testid="stVegaLiteChart"]').count() > 1
    visit.page.add_style_tag(content='[data-testid="stVegaLiteChart"] { display: none !important; }')
    assert visit.page.evaluate(height) == drawn


def see_in_every_way(visit: Visit, entry: Entry) -> None:
    """A page, opened, in every way of `look_in_every_way`."""
    visit.open(path_of(entry))
    assert visit.page.title() == f"{entry.title} - movierec"
    look_in_every_way(visit, entry.name)


def look_in_every_way(visit: Visit, name: str) -> None:
    """The open page in light and dark, wide and on a phone: whole, accessible, and no wider than the screen."""
    for size in (DESK, PHONE):
        visit.page.set_viewport_size({"width": size[0], "height": size[1]})
        for scheme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=scheme)
            visit.settle()
            visit.check()
            # Of the rules of accessibility, only that of contrast asks for colours.
            found = serious(visit.page) if scheme == "light" else serious(visit.page, "color-contrast")
            assert found == [], (name, scheme, size)
            wider = visit.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wider <= 0, (name, scheme, size)
            assert visit.page.evaluate(f"{HEADING} + {SCROLLED}") >= BAR, (name, scheme, size)
    visit.page.emulate_media(color_scheme="light")
    visit.page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
