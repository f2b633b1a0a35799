"""Versions over HTTP: what is shown of them, and changes of the champion in a real registry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from movierec_assets.models.version_details import KnownVersions
from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.online.registry_view import RegistryView
from movierec_assets.serving.online.snapshot import NOTHING
from movierec_assets.tables.api_keys import create_key
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    champion_of,
    load_again,
    load_as,
    module_platform,
    platform,
    promotions_of,
    register,
)
from movierec_tests.serving.api.conftest import running, served, worker_with

__all__ = ["module_platform", "platform"]


@pytest.fixture
def asked(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client with an operator's key, on a platform of two versions, the first of which is champion."""
    first, _ = register(platform, seed=1, ndcg=0.1), register(platform, seed=2, ndcg=0.125)
    promotions_of(platform).promote(first, "the first one", "me")
    database = platform.database
    worker = worker_with(platform.settings, NOTHING)
    with served(create_app(platform.settings, running(worker))) as client:
        client.headers["Authorization"] = f"Bearer {create_key(database, 'operator', 'night shift')}"
        yield client


def write_view(platform: Platform) -> None:
    RegistryView.of(KnownVersions(promotions_of(platform)), time.time()).write(platform.settings)


def test_before_the_keeper_has_read_the_registry_models_are_unavailable(asked: httpx.Client) -> None:
    for path in ("/model", "/models"):
        answer = asked.get(path)
        assert answer.status_code == 503
        assert "keeper" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 0


def test_the_champion_is_shown_with_its_metrics_recipe_and_decisions(asked: httpx.Client, platform: Platform) -> None:
    write_view(platform)
    shown = asked.get("/model").json()
    champion = shown["champion"]
    assert (champion["version"], champion["aliases"], shown["no_champion"]) == (1, ["champion"], None)
    assert champion["metrics"]["ndcg_at_10"] == pytest.approx(0.1)
    assert champion["recipe"]["factors"] == 4
    assert [(each["reason"], each["promoted"]) for each in champion["decisions"]] == [("the first one", True)]
    assert shown["served"]["version"] is None
    assert shown["served"]["why_none"]


def test_versions_are_listed_newest_first_and_those_with_an_alias_always(
    asked: httpx.Client, platform: Platform
) -> None:
    write_view(platform)
    assert [each["version"] for each in asked.get("/models").json()["versions"]] == [2, 1]
    assert [each["version"] for each in asked.get("/models", params={"n": 1}).json()["versions"]] == [2, 1]
    register(platform, seed=3)
    write_view(platform)
    assert [each["version"] for each in asked.get("/models", params={"n": 1}).json()["versions"]] == [3, 1]


def test_without_a_champion_the_reason_is_shown(asked: httpx.Client, platform: Platform) -> None:
    platform.registry.client.delete_registered_model_alias("movierec-als", "champion")
    write_view(platform)
    shown = asked.get("/model").json()
    assert shown["champion"] is None
    assert "removed from version 1 in MLflow" in shown["no_champion"]


@pytest.mark.slow
def test_a_promotion_and_a_rollback_move_the_champion_and_record_who_asked(
    asked: httpx.Client, platform: Platform
) -> None:
    answer = asked.post("/model/promote", json={"version": 2, "reason": "better for us"})
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert (changed["champion"], changed["previous"]) == (2, 1)
    assert "within 30 s" in changed["follows"]
    assert champion_of(platform) == 2
    record = promotions_of(platform).history()[0]
    assert (record.reason, record.outcome, record.state) == ("better for us", "manual", "done")
    assert record.decided_by.startswith("API key night shift (")
    again = asked.post("/model/promote", json={"version": 2, "reason": "again"})
    assert (again.status_code, again.json()["title"]) == (409, "Not possible now")
    assert "is the champion already" in again.json()["detail"]
    back = asked.post("/model/rollback", json={"reason": "it was worse"}).json()
    assert (back["champion"], back["previous"], back["decision"]["outcome"]) == (1, 2, "rollback")
    assert champion_of(platform) == 1


@pytest.mark.slow
def test_an_unknown_version_is_not_found_and_changes_nothing(asked: httpx.Client, platform: Platform) -> None:
    answer = asked.post("/model/promote", json={"version": 99, "reason": "why not"})
    assert answer.status_code == 404
    assert "has no version 99: the newest are 2, 1" in answer.json()["detail"]
    nothing = asked.post("/model/rollback", json={"reason": "go back"})
    assert nothing.status_code == 409
    assert "Nothing to roll back to" in nothing.json()["detail"]
    assert champion_of(platform) == 1


@pytest.mark.slow
def test_a_version_of_other_data_is_promoted_by_force_only(asked: httpx.Client, platform: Platform) -> None:
    mine, other = load_as(platform, "mine"), load_as(platform, "other")
    number = register(platform, seed=3, dataset=other)
    load_again(platform, mine)
    wanted: dict[str, Any] = {"version": number, "reason": "look at it"}
    refused = asked.post("/model/promote", json=wanted)
    assert refused.status_code == 409
    assert "other" in refused.json()["detail"]
    forced = asked.post("/model/promote", json=wanted | {"force": True}).json()
    assert forced["champion"] == number == champion_of(platform)
    assert "other data" in forced["follows"]


@pytest.mark.slow
def test_a_change_waits_for_another_one_only_for_a_while(
    asked: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    with promotions_of(platform).transaction("somebody else"):
        answer = asked.post("/model/promote", json={"version": 2, "reason": "now"})
    assert answer.status_code == 409
    assert "Another promotion or rollback is under way" in answer.json()["detail"]
    assert champion_of(platform) == 1


def test_without_mlflow_a_change_is_unavailable(
    asked: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    answer = asked.post("/model/promote", json={"version": 2, "reason": "now"})
    assert answer.status_code == 503
    assert "MLflow does not answer" in answer.json()["detail"]
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("promote", {"version": 2}, "body.reason"),
        ("promote", {"version": 2, "reason": ""}, "body.reason"),
        ("promote", {"version": 2, "reason": "a\0b"}, "body.reason"),
        ("promote", {"version": "2", "reason": "x"}, "body.version"),
        ("promote", {"version": 0, "reason": "x"}, "body.version"),
        ("promote", {"version": 2**31, "reason": "x"}, "body.version"),
        ("promote", {"version": 2, "reason": "x", "force": 1}, "body.force"),
        ("rollback", {"version": 2, "reason": "x"}, "body.version"),
    ],
)
def test_a_change_that_is_not_described_well_is_refused_by_field(
    asked: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    answer = asked.post(f"/model/{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_a_reader_cannot_change_the_champion(asked: httpx.Client, platform: Platform) -> None:
    reader = {"Authorization": f"Bearer {create_key(platform.database, 'reader', 'app')}"}
    for headers, status in ((reader, 403), ({"Authorization": ""}, 401)):
        answer = asked.post("/model/rollback", json={"reason": "x"}, headers=headers)
        assert answer.status_code == status


def test_the_view_is_replaced_as_a_whole(platform: Platform, tmp_path: Path) -> None:
    settings = platform.settings.model_copy(update={"state_dir": tmp_path})
    assert RegistryView.read(settings) is None
    view = RegistryView(1.5, 3, None, [{"version": 3}])
    view.write(settings)
    assert RegistryView.read(settings) == view
    assert [file.name for file in (tmp_path / "serving").iterdir()] == ["registry.json"]
