"""The pictures of the pages, taken from the platform as it runs on the demo set.

Belongs here: what is shown, and how large. `python -m movierec_tests.pictures [DIRECTORY]` runs the demo set in that
directory, or in a temporary one, and writes the pictures into docs/. It needs Chromium and the package `playwright`.
Does not: the drawing of the asset graph (`asset_graph`), which a test compares with the definitions.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.text import Text

from movierec_assets.datasets.demo import make_demo
from movierec_tests.asset_graph import PICTURE

DOCS = PICTURE.parent
DAGSTER, MLFLOW, API, APP = "3961", "5961", "8961", "8962"
GROUPS = ("ingestion", "preprocessing", "training", "serving", "backtest")
RECOMMEND = ("recommend", "--like", "Toy Story", "--like", "Heat", "-k", "8")
COLUMNS = 110

_SHORT_PATHS = """beginnings => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        for (const each of beginnings) walker.currentNode.data = walker.currentNode.data.replaceAll(each, "");
    }
}"""
"""Shortens paths of this machine on a page."""

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "movierec_assets.cli", *arguments]


def save(shot: bytes, name: str, width: int | None = None) -> None:
    """Write a screenshot with a palette, which makes it a quarter as large."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    if width:
        picture = picture.resize((width, picture.height * width // picture.width), Image.Resampling.LANCZOS)
    picture.quantize(128, dither=Image.Dither.NONE).save(DOCS / name, optimize=True)


def recommendations(environment: dict[str, str]) -> None:
    """The output of `movierec recommend`."""
    printed('movierec recommend --like "Toy Story" --like "Heat" -k 8', RECOMMEND, environment, "recommendations.svg")


def printed(shown: str, arguments: Sequence[str], environment: dict[str, str], name: str) -> None:
    """Draw a command and what it prints, as text in an SVG."""
    coloured = {**environment, "FORCE_COLOR": "1"}
    printed = subprocess.run(command(*arguments), env=coloured, check=True, capture_output=True, text=True).stdout
    printed = printed.replace(f"{Path(environment['MOVIEREC_STATE_DIR']).parent}/", "")
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text(f"$ {shown}"))
    console.print(Text.from_ansi(printed.rstrip()))
    drawn = console.export_svg(title="movierec")
    # rich names fonts on another host.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")
    (DOCS / name).write_text(drawn, encoding="utf-8")


def _settled(page: Any, seconds: float = 2) -> None:
    page.wait_for_timeout(1000 * seconds)


def _clip(page: Any, box: Box) -> bytes:
    return bytes(page.screenshot(clip=dict(zip(("x", "y", "width", "height"), box, strict=True))))


def _show(page: Any, key: str) -> None:
    """Open the dialog of an entry of an asset's metadata."""
    row = page.locator("tr", has=page.get_by_text(key, exact=True)).last
    row.wait_for()
    row.get_by_text("Show").first.click()
    _settled(page)


def _plot(page: Any) -> bytes:
    """The plot in the open dialog, with the title of the dialog."""
    box = page.get_by_alt_text("plot").last.bounding_box()
    left, top, width, height = (int(box[name]) for name in ("x", "y", "width", "height"))
    return _clip(page, (left - 20, top - 66, width + 40, height + 76))


def lineage(page: Any) -> None:
    """Dagster's graph of all assets, from top to bottom."""
    page.set_viewport_size({"width": 1500, "height": 1400})
    expanded = "%2C".join(f"global%40global%3A{group}" for group in GROUPS)
    address = f"http://127.0.0.1:{DAGSTER}/asset-groups?expanded={expanded}"
    page.goto(address)
    page.get_by_text("positive_ratings").last.wait_for()
    page.get_by_text("Hide navigation").click()
    _settled(page)
    page.mouse.click(1472, 1292)
    page.get_by_text("vertical orientation").click()
    _settled(page)
    page.goto(address)
    page.get_by_text("positive_ratings").last.wait_for()
    _settled(page, 5)
    page.mouse.move(500, 250)  # Dagster hides the top of a graph that fits below its toolbar
    page.mouse.down()
    page.mouse.move(500, 280, steps=5)
    page.mouse.up()
    _settled(page, 1)
    save(_clip(page, (400, 110, 1030, 1270)), "lineage-in-dagster.png", width=820)


def reports(page: Any) -> None:
    """The evaluation in Dagster: the table, and the plot of slices."""
    page.set_viewport_size({"width": 1300, "height": 800})
    page.goto(f"http://127.0.0.1:{DAGSTER}/assets/model_evaluation?view=overview")
    _show(page, "report")
    page.mouse.move(650, 400)
    page.mouse.wheel(0, -9000)
    _settled(page, 1)
    save(_clip(page, (130, 95, 1040, 610)), "report-in-dagster.png")
    page.keyboard.press("Escape")
    _settled(page, 1)
    page.set_viewport_size({"width": 1300, "height": 1400})
    _show(page, "slices")
    save(_plot(page), "slices-in-dagster.png")


def months(page: Any) -> None:
    """The plot of the backtest, in the metadata of the latest month."""
    page.set_viewport_size({"width": 1300, "height": 900})
    page.goto(f"http://127.0.0.1:{DAGSTER}/assets/backtest?view=overview")
    _show(page, "months")
    save(_plot(page), "backtest-in-dagster.png")


def version(page: Any) -> None:
    """The page of the first version in MLflow."""
    page.set_viewport_size({"width": 1500, "height": 1000})
    page.goto(f"http://127.0.0.1:{MLFLOW}/#/models/movierec-als/versions/1")
    page.get_by_text("Version 1").first.wait_for()
    _settled(page, 4)
    if (close := page.get_by_role("button", name="Try it now")).count():
        close.click()
    _settled(page, 1)
    save(_clip(page, (198, 8, 910, 860)), "version-in-mlflow.png")


def automation(page: Any) -> None:
    """Schedules and sensors in Dagster."""
    page.set_viewport_size({"width": 1300, "height": 1100})
    page.goto(f"http://127.0.0.1:{DAGSTER}/automation")
    page.get_by_text("weekly_search").first.wait_for()
    _settled(page, 10)
    save(_clip(page, (240, 0, 1060, 1100)), "automation-in-dagster.png", width=800)


def failed_run(page: Any, directory: Path) -> None:
    """The latest run in Dagster, which failed, with its error."""
    page.set_viewport_size({"width": 1300, "height": 760})
    page.goto(f"http://127.0.0.1:{DAGSTER}/runs/?q=status%3AFAILURE")
    page.locator('a[href*="/runs/"]').filter(has_text=re.compile("^[0-9a-f]{8}$")).first.click()
    page.get_by_placeholder("Filter").first.fill("type:STEP_FAILURE")
    page.get_by_text("STEP_FAILURE").first.wait_for()
    _settled(page, 3)
    page.evaluate(_SHORT_PATHS, [f"{directory}/"])
    save(_clip(page, (240, 0, 1060, 760)), "failed-run-in-dagster.png", width=900)


def fail_and_tell(environment: dict[str, str], directory: Path) -> None:
    """Let a run fail on a file that does not fit, and wait until its alert is open."""
    broken = make_demo(directory / "data" / "new-export", users=20)
    ratings = broken / "ratings.csv"
    ratings.write_text(re.sub(r",([0-9.]+),(\d+)$", r",\g<1>7,\2", ratings.read_text(), flags=re.MULTILINE))
    subprocess.run(command("run", "--job", "refresh", "--dataset", str(broken)), env=environment, check=False)
    listed = ""
    while "refresh failed" not in listed:
        time.sleep(5)
        listed = subprocess.run(
            command("alert", "list"), env=environment, check=True, capture_output=True, text=True
        ).stdout


def wait_for(port: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(1)
        else:
            return
    raise TimeoutError(f"Nothing answers at port {port}.")


def screenshots(shots: list[Callable[[Any], None]]) -> None:
    with importlib.import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for shot in shots:
            shot(browser.new_page())
        browser.close()


def main(directory: Path) -> None:
    environment = {**os.environ, "MOVIEREC_STATE_DIR": str(directory / "state"), "COLUMNS": str(COLUMNS)}
    environment |= {"MOVIEREC_DAGSTER_PORT": DAGSTER, "MOVIEREC_MLFLOW_PORT": MLFLOW, "MOVIEREC_API_PORT": API}
    environment |= {"MOVIEREC_APP_PORT": APP}
    subprocess.run(command("run", "--dataset", "demo"), env=environment, check=True)
    subprocess.run(command("run", "--job", "backtest"), env=environment, check=True)
    recommendations(environment)
    with subprocess.Popen(command("up"), env=environment) as servers:
        try:
            wait_for(DAGSTER)
            wait_for(MLFLOW)
            screenshots([lineage, reports, months, version, automation])
            fail_and_tell(environment, directory)
            screenshots([lambda page: failed_run(page, directory)])
            printed("movierec alert list", ("alert", "list"), environment, "alert.svg")
        finally:
            servers.send_signal(signal.SIGINT)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
