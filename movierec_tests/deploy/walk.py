"""A walk through the containers: `python -m movierec_tests.deploy.walk` where a Docker engine runs.

Belongs here: up, the first champion, a training, recommendations over HTTP, down, up, recommendations, and a backup
that is restored into new volumes. Does not: what needs no engine (`test_compose`). It uses Python's own library only,
and prints what it does and sees. With --browser, a browser walks through the pages of the app as well: that needs
chromium and the tools of development.

It refuses to start where containers or volumes of the project are. Without --keep it removes its own at the end.
COMPOSE_FILE names other files, as for `docker compose`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
PATIENCE = 600.0
"""Seconds for a run, or for the servers to be healthy."""
KEEPER_SECONDS = 10.0
"""After a decision, until the API has seen it."""
USER, STARS = 1, 5.0
APP = f"http://127.0.0.1:{os.environ.get('MOVIEREC_APP_PORT', '8501')}"


def say(text: str) -> None:
    """Print a line with the time."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stdout.flush()


def compose(*arguments: str, content: bytes = b"") -> str:
    """Run `docker compose` with `content` as its standard input; returns its standard output."""
    say(f"$ docker compose {' '.join(arguments)}")
    started = time.monotonic()
    done = subprocess.run(
        ["docker", "compose", *arguments], cwd=PROJECT, check=False, capture_output=True, input=content
    )
    if done.returncode:
        sys.exit(f"{done.stdout.decode()}{done.stderr.decode()}docker compose ended with {done.returncode}")
    say(f"  took {time.monotonic() - started:.0f} s")
    return done.stdout.decode()


class Api:
    """The API as a client sees it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.key: str | None = None

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """JSON of an answer; a body is posted."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(f"{self._address}{path}", data, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                sys.exit(f"{path}: {error.code} {error.read().decode()}")
            raise

    def until(self, what: str, look: Callable[[], bool]) -> None:
        """Wait for something that an answer shows."""
        started = time.monotonic()
        while not self._shows(look):
            if time.monotonic() - started > PATIENCE:
                sys.exit(f"{what}: not within {PATIENCE:.0f} s")
            time.sleep(1)
        say(f"  {what}: after {time.monotonic() - started:.0f} s")

    @staticmethod
    def _shows(look: Callable[[], bool]) -> bool:
        try:
            return look()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def version(self) -> int | None:
        """Version of the model that is served, if it is the champion."""
        model = self.ask("/health/ready")["model"]
        found: int | None = model["version"]
        return found if found == model["champion"] else None

    def recommend(self, user_id: int) -> dict[str, Any]:
        """Recommendations of a user right after their latest like, which are printed: later ones may be others."""
        found: dict[str, Any] = self.ask("/recommend", {"user_id": user_id, "n": 5, "at": "latest"})
        movies = "; ".join(movie["title"] for movie in found["movies"])
        say(f"POST /recommend for user {user_id}: {found['source']}, version {found['model_version']}: {movies}")
        return found


def walk(address: str, *, keep: bool, browser: bool) -> None:
    """Walk through the containers; SystemExit when something is not as it should be."""
    if compose("ps", "--all", "--quiet").strip():
        sys.exit(
            "There are containers of this project already; `docker compose down --volumes` removes them and all data."
        )
    api = Api(address)
    compose("up", "--detach", "--wait")
    say(compose("ps", "--all", "--format", "table {{.Service}}\t{{.Status}}"))
    api.until("the first champion is served", lambda: api.version() is not None)
    expect("<!doctype html" in page_of(APP), f"the app answers on {APP}")
    first = api.recommend(USER)
    expect(first["source"] == "model", "recommendations come from a model")

    api.key = compose("exec", "-T", "api", "movierec", "keys", "create", "walk", "--role", "operator").strip()
    run = api.ask("/train", {"retrain": True})
    say(f"POST /train: run {run['run_id']}")
    ended = ("SUCCESS", "FAILURE", "CANCELED")
    api.until("the training has ended", lambda: api.ask(f"/runs/{run['run_id']}")["state"] in ended)
    state = api.ask(f"/runs/{run['run_id']}")["state"]
    expect(state == "SUCCESS", f"the training succeeded, it is {state}")
    api.key = None
    time.sleep(KEEPER_SECONDS)
    api.until("the champion is served", lambda: api.version() is not None)

    if browser:
        look_at_pages()
    movie = first["movies"][0]["movie_id"]
    api.ask("/ratings", {"user_id": USER, "movie_id": movie, "stars": STARS})
    say(f"POST /ratings: user {USER} gives {STARS} stars to movie {movie}")
    before = api.recommend(USER)
    expect(movie not in ids(before), "a rated movie is not recommended")
    version = api.version()

    compose("down")
    compose("up", "--detach", "--wait")
    api.until("the champion is served again", lambda: api.version() == version)
    after = api.recommend(USER)
    expect(ids(after) == ids(before), "recommendations are as before")
    compose("stop")
    compose("start")
    api.until("the champion is served again", lambda: api.version() == version)
    expect(ids(api.recommend(USER)) == ids(before), "recommendations are as before")
    restore_into_new_volumes()
    api.until("the champion is served again", lambda: api.version() == version)
    expect(ids(api.recommend(USER)) == ids(before), "recommendations are as before")
    if not keep:
        compose("down", "--volumes")
    say("All is well.")


def restore_into_new_volumes() -> None:
    """Back everything up, remove it, and restore it, as on another machine."""
    inside = "/state/walk.zip"
    compose("exec", "-T", "api", "movierec", "backup", inside)
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "walk.zip"
        compose("cp", f"api:{inside}", str(copy))
        compose("down", "--volumes")
        compose("run", "--rm", "-T", "api", "sh", "-c", f"cat > {inside}", content=copy.read_bytes())
    say(compose("run", "--rm", "-T", "api", "movierec", "restore", "--force", inside))
    compose("up", "--detach", "--wait")


def look_at_pages() -> None:
    """The app as people use it: films are rated, neighbours followed, and each page is seen in every way."""
    from movierec_tests.serving.app import browsers, visits

    with browsers.browsing() as browser:
        visit = visits.Visit(browser, APP)
        visits.rate_three_films(visit)
        say("  three stars change the list, which is the same after a reload")
        visits.go_to_neighbours(visit)
        say("  one goes from a film to its neighbours")
        for entry in visits.PAGES:
            visits.see_in_every_way(visit, entry)
            say(f"  the page {entry.title} is whole in light and dark, wide and on a phone")


def page_of(address: str) -> str:
    """The page at an address, in small letters; that it works is what the check of the container asks."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=30) as answer:
        page: str = answer.read().decode().lower()
    return page


def expect(holds: bool, claim: str) -> None:
    """End the walk when a claim does not hold."""
    if not holds:
        sys.exit(f"Not so: {claim}")
    say(f"  {claim}")


def ids(answer: Mapping[str, Any]) -> list[int]:
    """Ids of recommended movies."""
    return [movie["movie_id"] for movie in answer["movies"]]


def main() -> None:
    """Read the arguments, and walk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="Leave containers and volumes at the end.")
    parser.add_argument("--browser", action="store_true", help="Walk through the pages of the app in chromium, too.")
    port = os.environ.get("MOVIEREC_API_PORT", "8000")
    parser.add_argument("--address", default=f"http://127.0.0.1:{port}", help="Of the API [%(default)s].")
    arguments = parser.parse_args()
    walk(arguments.address, keep=arguments.keep, browser=arguments.browser)


if __name__ == "__main__":
    main()
