"""Runs over HTTP: launched once on a real Dagster, followed to their end, and refused while Dagster is away."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from movierec_assets.datasets.demo import make_demo
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.serving.api import dagster_client, launches
from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.dagster_client import DagsterClient
from movierec_assets.serving.api.routes.operations import RecipeChanges
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app.dagster import Dagster
from movierec_assets.serving.online.queries import STATEMENT_SECONDS, ThreadedQueries
from movierec_assets.serving.online.snapshot import NOTHING
from movierec_assets.settings import get_settings
from movierec_assets.tables.api_keys import create_key
from movierec_assets.tables.database import Database
from movierec_tests.defs.graph import GRAPH
from movierec_tests.defs.harness import Platform, own_platform
from movierec_tests.serving.api.conftest import running, served, worker_with
from movierec_tests.serving.app.conftest import OpenPage, open_page, words
from movierec_tests.waiting import PATIENCE, wait_until

__all__ = ["open_page"]

NO_RUN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def operator(client: httpx.Client, database: Database) -> httpx.Client:
    """A client with an operator's key, of an application whose Dagster does not answer."""
    client.headers["Authorization"] = f"Bearer {create_key(database, 'operator', 'night shift')}"
    return client


def test_without_dagster_only_runs_are_unavailable(operator: httpx.Client) -> None:
    for method, path in (
        *(("POST", "/refresh-mv"), ("POST", "/train"), ("POST", "/search-recipe"), ("GET", f"/runs/{NO_RUN}")),
    ):
        answer = operator.request(method, path)
        assert answer.status_code == 503, path
        assert "Dagster does not answer at http://127.0.0.1:9" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 0
    assert operator.get("/movies").status_code == 200


def test_a_dagster_that_never_answers_holds_up_nothing_else(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "_LOCK_SECONDS", 1)
    monkeypatch.setattr(dagster_client, "SECONDS", PATIENCE)
    key = create_key(database, "operator", "night shift")
    hanging = socket.create_server(("127.0.0.1", 0))  # accepts, and never answers
    worker.dagster = DagsterClient(f"http://127.0.0.1:{hanging.getsockname()[1]}")
    worker.queries, worker.launches = ThreadedQueries(database), launches.threads_for_launches(database)
    with hanging, served(create_app(worker.settings, running(worker))) as client, ThreadPoolExecutor(6) as pool:
        client.headers["Authorization"] = f"Bearer {key}"
        waiting = [pool.submit(client.post, "/train") for _ in range(6)]
        wait_until(lambda: "pg_advisory_xact_lock" in str(_waiting(database)), "a launch that waits for another")
        assert client.post("/ratings", json={"user_id": 5, "movie_id": 2, "stars": 4.0}).status_code == 201
        assert client.get("/movies/1").status_code == 200
        next(as_completed(waiting))
        assert not all(each.done() for each in waiting), "answered while Dagster hangs"
        hanging.close()
        answers = [each.result() for each in waiting]
    assert {each.status_code for each in answers} == {503}
    details = " ".join(each.json()["detail"] for each in answers)
    assert "Dagster does not answer at http://127.0.0.1" in details
    assert "Another request launches train, and Dagster has not answered it within 1 s" in details
    assert "database" not in details


def test_a_launch_may_wait_longer_for_another_than_requests_for_a_statement() -> None:
    assert launches._STATEMENT_SECONDS > launches._LOCK_SECONDS > STATEMENT_SECONDS


def _waiting(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"recipe": {"factors": 0}}, "body.recipe.factors"),
        ({"recipe": {"factors": "64"}}, "body.recipe.factors"),
        ({"recipe": {"alpha": -1}}, "body.recipe.alpha"),
        ({"recipe": {"alpha": True}}, "body.recipe.alpha"),
        ({"recipe": {"next_movie_weight": "1"}}, "body.recipe.next_movie_weight"),
        ({"recipe": {"confidence": "none"}}, "body.recipe.confidence"),
        ({"recipe": {"next_movie_decay": 1.5}}, "body.recipe.next_movie_decay"),
        ({"recipe": {"epochs": 3}}, "body.recipe.epochs"),
        ({"retrain": "yes"}, "body.retrain"),
        ({"n_factors": 64}, "body.n_factors"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_by_field(
    operator: httpx.Client, body: dict[str, Any], field: str
) -> None:
    answer = operator.post("/train", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("body", [{"trials": 1}, {"trials": 2.0}, {"seconds": 0}, {"seconds": 43_201}, {"seed": 1}])
def test_a_search_without_bounds_is_refused_by_field(operator: httpx.Client, body: dict[str, Any]) -> None:
    answer = operator.post("/search-recipe", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [f"body.{next(iter(body))}"]


def test_every_number_of_the_recipe_can_be_given(operator: httpx.Client) -> None:
    recipe = Recipe().as_dict()
    assert RecipeChanges.model_fields.keys() == recipe.keys()
    assert operator.post("/train", json={"recipe": recipe}).status_code == 503, "no Dagster, but nothing refused"


@pytest.mark.parametrize("path", ["/refresh-mv", "/users"])
def test_a_body_where_none_is_taken_is_refused_by_field(operator: httpx.Client, path: str) -> None:
    answer = operator.post(path, json={"name": "Ann"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["body.name"]


@pytest.mark.parametrize("run_id", ["1", NO_RUN.upper().replace("0", "A"), f"{NO_RUN}0", "..%2f"])
def test_an_id_that_no_run_can_have_is_refused(operator: httpx.Client, run_id: str) -> None:
    assert operator.get(f"/runs/{run_id}").status_code in (404, 422)


@pytest.mark.slow
def test_a_job_is_launched_once_and_its_run_is_followed_to_its_end(
    server_url: str, tmp_path: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_demo(tmp_path / "demo", users=120)
    with own_platform(server_url, tmp_path, dataset) as platform, asked(platform) as client:
        with ThreadPoolExecutor(4) as pool:
            answers = [each.json() for each in pool.map(lambda _: client.post("/refresh-mv"), range(4))]
        assert len({answer["run_id"] for answer in answers}) == 1
        assert sorted(answer["launched"] for answer in answers) == [False, False, False, True]
        assert answers[0]["state"] == "QUEUED"
        run = client.get(f"/runs/{answers[0]['run_id']}").json()
        assert (run["job"], run["state"], run["steps"], run["failures"]) == ("refresh", "QUEUED", [], [])
        assert (run["done"], run["running"]) == (0, [])
        assert run["planned"] >= 4, "three assets and a check"

        training = client.post("/train", json={"recipe": {"factors": 16, "alpha": 2.5}, "retrain": True})
        assert training.status_code == 202
        assert training.headers["location"] == f"/runs/{training.json()['run_id']}"
        assert training.json()["recipe"] == {"factors": 16, "alpha": 2.5}
        other = client.post("/train", json={"recipe": {"factors": 32}}).json()
        assert (other["run_id"], other["launched"]) == (training.json()["run_id"], False)
        assert other["recipe"] == {"factors": 16, "alpha": 2.5}, "of the run that is reported"
        assert client.get(f"/runs/{NO_RUN}").status_code == 404

        wait_until(lambda: _daemon_lives(client) is False, "an answer about the daemon")
        with _daemon(platform):
            done = ended(client, answers[0]["run_id"])
            assert (done["state"], done["failures"]) == ("SUCCESS", [])
            assert {"raw_movies", "raw_ratings", "eligible_users"} <= {step["name"] for step in done["steps"]}
            assert all(step["state"] == "SUCCESS" and step["ended"] >= step["started"] for step in done["steps"])
            assert done["planned"] == done["done"] == len(done["steps"])
            trained = ended(client, training.json()["run_id"])
            assert trained["state"] == "SUCCESS", trained["failures"]
            recipe = platform.registry.versions()[0].recipe
            assert (recipe.factors, recipe.alpha) == (16, 2.5)
            (dataset / "ratings.csv").write_text("nothing\n")
            again = client.post("/refresh-mv").json()
            assert again["run_id"] != answers[0]["run_id"]
            failed = ended(client, again["run_id"])
            automation = client.get("/status").json()["automation"]
            wait_until(lambda: _daemon_lives(client) is True, "heartbeats of every part of the daemon")
        _daemon_is_missed(client, monkeypatch)
        assert failed["state"] == "FAILURE"
        assert automation["daemon_up"]
        assert {(run["job"], run["status"]) for run in automation["runs"]} == {
            *(("refresh", "failure"), ("train", "success")),
        }
        assert "ratings.csv" in next(run["problem"] for run in automation["runs"] if run["job"] == "refresh")
        following = {each["name"]: each["next_tick"] for each in automation["schedules"]}
        assert set(following) >= {"daily_refresh", "daily_train", "weekly_search"}
        assert list(following.values()) == sorted(following.values())
        assert {"champion_sensor", "alerts"} <= {each["name"] for each in automation["sensors"]}
        searching = client.post("/search-recipe", json={"trials": 3, "seconds": 20.5})
        assert (searching.status_code, searching.json()["job"]) == (202, "search"), "Dagster accepts the configuration"
        monkeypatch.setenv("MOVIEREC_DAGSTER_WEBSERVER", failed["address"].partition("/runs/")[0])
        _pages_show_it(open_page, str(client.base_url).rstrip("/"), client.headers["Authorization"].split()[1], failed)
        assert any(reason.startswith("raw_ratings: ") and "ratings.csv" in reason for reason in failed["failures"])


def _pages_show_it(open_page: OpenPage, api: str, key: str, failed: dict[str, Any]) -> None:
    """The app's pages about a platform whose latest refresh failed and whose search is queued."""
    outline = Dagster(get_settings().dagster_address).outline()
    assert {each.name: set(each.parents) & GRAPH.keys() for each in outline.assets} == GRAPH
    assert {each.state for each in outline.assets} == {"being read"}
    pipeline = open_page("pipeline", at=api)
    assert not pipeline.exception
    said = words(pipeline)
    listed = dict(re.findall(r"- \[(\w+)\]\S+ \S ([a-z ]+), made", said))
    assert listed.keys() == GRAPH.keys()
    states = {"raw_ratings": "failed", "champion_model": "up to date", "backtest": "never made"}
    assert {name: listed[name] for name in states} == states
    assert pipeline.selectbox(key="pipeline_asset").value in ("raw_ratings", "eligible_users"), "what failed, first"
    assert f"[refresh {failed['run_id'][:8]}]({failed['address']}), failure" in said
    assert "**train**: " in said, "a schedule"
    pipeline = pipeline.selectbox(key="pipeline_asset").set_value("model_evaluation").run()
    assert "\u2713 **scores_are_sound**, blocking check: passed" in words(pipeline)

    operate = open_page("operate", at=api)
    operate.text_input[0].set_value(key)
    operate = operate.button[0].click().run()
    operate = operate.button(key="start refresh").click().run().button(key="yes refresh").click().run()
    assert not operate.exception
    assert operate.success[0].value.startswith("The job refresh was started.")
    progress = "\n".join(each.proto.text for each in operate.get("progress"))
    assert "**search** queued, 0 of 1 steps done" in progress, "that of somebody else, too"
    assert re.search(r"\*\*refresh\*\* queued, 0 of \d steps done", progress)


def _daemon_lives(client: httpx.Client) -> bool | None:
    found: bool | None = client.get("/health/ready").json()["dependencies"]["daemon"]["answers"]
    return found


def _daemon_is_missed(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(dagster_client, "HEARTBEAT_SECONDS", 0.0)
        wait_until(lambda: "daemon does not answer" in client.get("/health/ready").json()["problems"], "a problem")


@contextmanager
def asked(platform: Platform) -> Iterator[httpx.Client]:
    """A client with an operator's key, of an application beside a real webserver of Dagster."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with _process(platform, "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)):
        worker = worker_with(platform.settings, NOTHING)
        worker.dagster = DagsterClient(address)
        wait_until(lambda: _answers(f"{address}/server_info"), "the webserver")
        with served(create_app(platform.settings, running(worker))) as client:
            client.headers["Authorization"] = f"Bearer {create_key(platform.database, 'operator', 'night shift')}"
            yield client


@contextmanager
def _daemon(platform: Platform) -> Iterator[None]:
    """What starts queued runs."""
    with _process(platform, "dagster._daemon", "run"):
        yield


@contextmanager
def _process(platform: Platform, module: str, *arguments: str) -> Iterator[None]:
    workspace = str(platform.settings.home / "workspace.yaml")
    with (platform.settings.state / f"{module}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "-w", workspace],
            cwd=platform.settings.state,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2, trust_env=False, verify=False).is_success
    except httpx.HTTPError:
        return False


def ended(client: httpx.Client, run_id: str) -> dict[str, Any]:
    """A run when it has ended."""
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        time.sleep(0.3)
        found.update(client.get(f"/runs/{run_id}").json())
        return found["state"] in ("SUCCESS", "FAILURE", "CANCELED")

    wait_until(has_ended, f"the end of run {run_id}")
    return found
