"""The state of the platform over HTTP: every part, and those that are away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from movierec_assets.alerts.causes import CHECK, RUN, Cause
from movierec_assets.alerts.storage import update
from movierec_assets.backup.kept import new_path
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.registry_view import RegistryView
from movierec_assets.settings import Settings
from movierec_assets.tables.api_keys import create_key
from movierec_assets.tables.database import Database
from movierec_tests.serving.api.small import MOVIES, USERS, ratings

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)


@pytest.fixture
def operator(client: httpx.Client, database: Database) -> httpx.Client:
    client.headers["Authorization"] = f"Bearer {create_key(database, 'operator', 'night shift')}"
    return client


def test_data_disk_and_backups_are_told_while_dagster_and_the_registry_are_away(
    operator: httpx.Client, settings: Settings
) -> None:
    settings.backups.mkdir(parents=True)
    for day in range(3):
        new_path(settings.backups, NOW + timedelta(days=day)).write_bytes(b"zip" * (day + 1))
    found = operator.get("/status").json()
    assert found["data"]["dataset"].startswith("small")
    counts = {name: found["data"][name] for name in ("movies", "ratings", "users", "rejected", "app_ratings")}
    assert counts == {
        "movies": len(MOVIES), "ratings": len(ratings()), "users": len(USERS), "rejected": 0, "app_ratings": 0,
    }  # fmt: skip
    assert (found["backup"]["kept"], found["backup"]["size"]) == (3, 9)
    assert datetime.fromisoformat(found["backup"]["made"]) == NOW + timedelta(days=2)
    assert 0 < found["disk"]["free"] <= found["disk"]["total"]
    assert found["disk"]["databases"] > 1_000_000
    assert found["open_alerts"] == 0
    assert (found["automation"], found["champion"]) == (None, None)
    assert found["unreadable"].keys() == {"automation", "champion"}
    assert "Dagster does not answer at http://127.0.0.1:9" in found["unreadable"]["automation"]


def test_the_champion_is_told_with_its_decision_and_what_it_was_not_trained_on(
    operator: httpx.Client, worker: Worker, database: Database
) -> None:
    rated = operator.post("/ratings", json={"user_id": 1, "movie_id": 60, "stars": 4.5})
    assert rated.status_code < 300
    decision = {"model_version": 7, "promoted": True, "state": "done", "decided_at": NOW.isoformat()}
    later = decision | {"model_version": 8, "outcome": "kept", "promoted": False}
    version = {
        "version": 7, "aliases": ["champion"], "created": NOW.isoformat(), "metrics": {"ndcg_at_10": 0.0625},
        "decisions": [later, decision | {"outcome": "first"}], "provenance": {"made_from": '{"app_ratings": null}'},
    }  # fmt: skip
    RegistryView(NOW.timestamp(), 7, None, [version]).write(worker.settings)
    champion = operator.get("/status").json()["champion"]
    assert (champion["version"], champion["outcome"], champion["ndcg_at_10"]) == (7, "first", 0.0625)
    assert datetime.fromisoformat(champion["since"]) == NOW
    assert champion["new_ratings"] == 1
    assert champion["served"] == {"user_recommendations": None, "similar_movies": None, "popular_movies": None}
    assert champion["problem"] == ""

    RegistryView(NOW.timestamp(), None, "The alias was removed.", []).write(worker.settings)
    lost = operator.get("/status").json()["champion"]
    assert (lost["version"], lost["problem"], lost["new_ratings"]) == (None, "The alias was removed.", None)


def test_alerts_are_told_with_remedy_and_the_channels_that_missed_them(
    operator: httpx.Client, database: Database
) -> None:
    assert operator.get("/alerts").json() == {"alerts": []}
    failed = Cause("run:train:als_model", RUN, "train failed", "als_model: no space left", "Free space.", "abc", "als")
    check = Cause("check:a", CHECK, "A check failed", "0 of 3", "Look.", None, None)
    update(database, [failed, check], ["webhook"], NOW)
    update(database, [failed], ["webhook"], NOW + timedelta(hours=1))
    (alert,) = operator.get("/alerts").json()["alerts"]
    assert (alert["title"], alert["reason"], alert["remedy"]) == (failed.title, failed.reason, failed.remedy)
    assert alert["not_delivered"] == {"webhook": ""}
    assert operator.get("/status").json()["open_alerts"] == 1
    both = operator.get("/alerts", params={"all": True}).json()["alerts"]
    assert [(each["cause"], each["over_at"] is None) for each in both] == [("check:a", False), (failed.key, True)]
    assert len(operator.get("/alerts", params={"all": True, "n": 1}).json()["alerts"]) == 1
