"""GET /insights/{name}."""

from __future__ import annotations

import itertools
from dataclasses import replace

import httpx
import pytest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.app_counts import AppCountsKept
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_assets.tables.database import Database
from movierec_assets.tables.dataset_document import refresh_dataset_document
from movierec_assets.tables.insights import write_insight
from movierec_tests.serving.api.small import LAST_MOVIE, USERS, VERSION


def test_the_document_of_the_dataset_comes_with_what_is_posted_now(
    worker: Worker, client: httpx.Client, database: Database
) -> None:
    refresh_dataset_document(database)
    answer = client.get("/insights/dataset").json()
    assert (answer["name"], answer["version"]) == ("dataset", None)
    assert answer["document"]["counts"] == {
        "rows_read": 15 * len(USERS), "ratings": 15 * len(USERS), "rejected": 0, "users": len(USERS),
        "rated_movies": answer["document"]["counts"]["rated_movies"], "movies": LAST_MOVIE,
    }  # fmt: skip
    assert answer["in_the_app"] == {"ratings": 0, "users": 0, "today": 0}
    for movie in (1, 2):
        assert client.post("/ratings", json={"user_id": 1, "movie_id": movie, "stars": 5.0}).status_code == 201
    worker.app_counts = AppCountsKept()
    posted = client.get("/insights/dataset").json()
    assert posted["in_the_app"]["ratings"] == 2
    assert posted["in_the_app"]["users"] == 1
    assert posted["document"] == answer["document"]


def test_counts_that_take_long_are_kept_until_the_document_is_made_anew(
    worker: Worker, client: httpx.Client, database: Database
) -> None:
    def posted() -> int:
        count: int = client.get("/insights/dataset").json()["in_the_app"]["ratings"]
        return count

    refresh_dataset_document(database)
    looks = itertools.count(step=10)
    worker.app_counts = AppCountsKept(lambda: float(next(looks)))
    assert posted() == 0
    assert client.post("/ratings", json={"user_id": 1, "movie_id": 1, "stars": 5.0}).status_code == 201
    assert posted() == 0
    write_insight(database, "dataset", client.get("/insights/dataset").json()["document"])
    assert posted() == 1


@pytest.mark.parametrize("name", ["dataset", "preprocessing", "training"])
def test_a_document_that_was_not_made_names_the_command_that_makes_it(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/insights/{name}")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(f"{name}: the document")
    assert "`movierec run --job " in answer.json()["detail"]


def test_a_document_of_a_version_is_that_of_the_served_champion_unless_one_is_named(
    worker: Worker, snapshot: Snapshot, client: httpx.Client, database: Database
) -> None:
    for version in (VERSION, VERSION + 1):
        write_insight(database, "evaluation", {"of": version}, version)
    assert client.get("/insights/evaluation").json()["document"] == {"of": VERSION}
    named = client.get("/insights/evaluation", params={"version": VERSION + 1}).json()
    assert (named["version"], named["document"], named["in_the_app"]) == (VERSION + 1, {"of": VERSION + 1}, None)
    worker.current.snapshot = replace(snapshot, champion=None, why_none="No version is the champion.")
    answer = client.get("/insights/evaluation")
    assert answer.status_code == 404
    assert "No version is the champion. Name a version" in answer.json()["detail"]
    assert client.get("/insights/evaluation", params={"version": VERSION}).json()["version"] == VERSION


def test_an_unknown_name_and_a_version_that_does_not_fit_name_their_fields(client: httpx.Client) -> None:
    for path, field in (
        ("/insights/datasets", "path.name"),
        ("/insights/dataset?version=3", "query.version"),
        ("/insights/evaluation?version=0", "query.version"),
        ("/insights/evaluation?version=3_0", "query.version"),
    ):
        answer = client.get(path)
        assert answer.status_code == 422, path
        assert answer.json()["errors"][0]["field"] == field
