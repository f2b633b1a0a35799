"""Registered versions for tests without training: small, but they load and answer.

Belongs here: a platform of a module's own, emptied for each test, versions in its registry, and decisions about them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import psycopg2
import pytest
import requests

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.models import artifact_locations
from movierec_assets.models.decisions import Promotions, Record
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import (
    CHAMPION,
    DATASET,
    DATASET_ID,
    MODEL_NAME,
    POSITIVE_THRESHOLD,
    POSITIVES_FINGERPRINT,
)
from movierec_assets.models.version_files import MODEL_FILE
from movierec_assets.recsys import als
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.promotion import Decision
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.tables.database import SCHEMA, Database, Load, record_load
from movierec_assets.tables.known_datasets import DatasetRef
from movierec_assets.tables.reused_connection import database_at, reusing_connections
from movierec_tests.defs.harness import Platform, count_users, empty, load_films, own_platform

MOVIES = list(range(101, 131))
USERS = list(range(11, 23))
FIRST = Decision(True, "first", "No champion yet.")
BETTER = Decision(True, "improvement", "Better.", {"difference_low": 0.01})
KEPT = Decision(False, "kept", "Not better.", {"difference_low": -0.01})
CLOSED = "http://127.0.0.1:9"
"""An address where nothing answers."""


@pytest.fixture(scope="module")
def module_platform(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of a module's own."""
    directory = tmp_path_factory.mktemp("platform")
    with own_platform(server_url, directory, directory) as platform:
        yield platform


@pytest.fixture
def platform(module_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The module's platform with ratings, an empty registry and no history."""
    module_platform.enter(monkeypatch)
    reset(module_platform)
    return module_platform


def promotions_of(platform: Platform) -> Promotions:
    return Promotions(platform.registry, platform.database)


def carry_out(platform: Platform, number: int, decision: Decision, run_id: str | None = None) -> Record:
    with promotions_of(platform).transaction("test", run_id) as transaction:
        return transaction.carry_out(number, decision)


def promote_in_order(platform: Platform, *decisions: Decision) -> list[int]:
    """Register a version for each decision, then carry the decisions out; returns the versions."""
    numbers = [register(platform, seed=seed) for seed in range(1, len(decisions) + 1)]
    for number, decision in zip(numbers, decisions, strict=True):
        carry_out(platform, number, decision)
    return numbers


def champion_of(platform: Platform) -> int | None:
    found = platform.registry.by_alias(CHAMPION)
    return found.number if found else None


class BreakingRegistry(ModelRegistry):
    """A registry whose write `breaks` fails."""

    breaks = ""

    def _fail_at(self, name: str) -> None:
        if self.breaks == name:
            raise ConnectionError(f"MLflow went away at {name}")

    def record(self, number: int, decision: Decision) -> None:
        self._fail_at("alias")
        super().record(number, decision)

    def note(self, number: int, outcome: str, reason: str) -> None:
        self._fail_at("tags")
        super().note(number, outcome, reason)


def reset(platform: Platform) -> None:
    """Empty the registry, its history and the tables, and load a few ratings."""
    client = platform.registry.client
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    with reusing_connections():
        _load_few(database_at(platform.settings.databases.ratings))


def _load_few(database: Database) -> None:
    empty(database)
    with database.transaction() as cursor:
        cursor.execute(f"TRUNCATE {SCHEMA}.promotion_decisions, {SCHEMA}.promotion_holds RESTART IDENTITY")
    load_films(database, MOVIES)
    with database.replace("ratings") as table:
        rows = [
            (user, MOVIES[(user * 7 + at * 3) % len(MOVIES)], 4.5, f"2001-01-0{at + 1}")
            for user in USERS
            for at in range(7)
        ]
        table.write_rows(("user_id", "movie_id", "rating", "rated_at"), rows)
        count_users(table)
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")


def load_as(platform: Platform, name: str) -> DatasetRef:
    """Record that the loaded ratings are a new dataset."""
    with platform.database.transaction() as cursor:
        cursor.execute(
            f"INSERT INTO {SCHEMA}.datasets (name, movie_ids, titles, pairs) VALUES (%s, '{{}}', '{{}}', '{{}}') "
            "RETURNING dataset_id",
            [name],
        )
        (number,) = cursor.fetchone() or (0,)
    dataset = DatasetRef(number, name)
    load_again(platform, dataset)
    return dataset


def load_again(platform: Platform, dataset: DatasetRef) -> None:
    """Record that the loaded ratings are a dataset that was loaded before."""
    with platform.database.transaction() as cursor:
        record_load(cursor, "ratings", Load("test", f"/data/{dataset.name}", {}), dataset.id)


def register(
    platform: Platform,
    *,
    seed: int = 1,
    ndcg: float = 0.1,
    loads: bool = True,
    dataset: DatasetRef | None = None,
    threshold: float | None = None,
    data: str | None = None,
    stored: Literal["elsewhere", "artifacts"] = "elsewhere",
) -> int:
    """Register a version; one that does not load has no files. Versions of the same `data` learned the same likes.

    Its files are among the artifacts, as those of a training are, or in another directory.
    """
    registry = platform.registry
    client = registry.client
    if not client.search_registered_models(f"name='{MODEL_NAME}'"):
        client.create_registered_model(MODEL_NAME)
    run = client.create_run(registry.ensure_experiment())
    client.log_metric(run.info.run_id, "ndcg_at_10", ndcg)
    client.set_terminated(run.info.run_id)
    parent = platform.settings.artifacts / "models" if stored == "artifacts" else platform.settings.state / "versions"
    source = parent / run.info.run_id
    recipe = Recipe(factors=4, iterations=1, seed=seed)
    if loads:
        file = source / "artifacts" / MODEL_FILE
        file.parent.mkdir(parents=True)
        np.savez(file, **_recommender(recipe).to_arrays())  # type: ignore[arg-type]
    uri = f"{artifact_locations.ROOT}models/{run.info.run_id}" if stored == "artifacts" else source.as_uri()
    tags = {
        "recipe": json.dumps(recipe.as_dict()),
        "code_version": "0.1.0",
        POSITIVES_FINGERPRINT: data or f"{seed}" * 8,
    }
    if dataset is not None:
        tags |= {DATASET_ID: str(dataset.id), DATASET: dataset.name}
    if threshold is not None:
        tags[POSITIVE_THRESHOLD] = str(threshold)
    return int(client.create_model_version(MODEL_NAME, uri, run.info.run_id, tags=tags).version)


@contextmanager
def probes_of(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Timeout in seconds of each request to an MLflow that does not answer.

    The test fails when MLflow's own client is used, because it tries for minutes.
    """
    timeouts: list[float] = []
    get, connect = requests.get, psycopg2.connect

    def watched_get(url: str, **options: Any) -> Any:
        timeouts.append(options["timeout"])
        return get(url, **options)

    def watched_connect(url: str, **options: Any) -> Any:
        if f":{port}/" in url:
            timeouts.append(options["connect_timeout"])
        return connect(url, **options)

    def forbidden(_: ModelRegistry) -> None:
        pytest.fail("MLflow's own client was asked, which would try for minutes")

    with monkeypatch.context() as patched:
        patched.setattr(requests, "get", watched_get)
        patched.setattr(psycopg2, "connect", watched_connect)
        patched.setattr(ModelRegistry, "client", property(forbidden))
        yield timeouts


def move_alias(platform: Platform, number: int) -> None:
    """Move the champion's alias as somebody does in the MLflow UI."""
    platform.registry.client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(number))


def lose_champion(platform: Platform, how: str, number: int) -> None:
    """Remove the champion's alias, the version, or the whole model, as somebody does in the MLflow UI."""
    client = platform.registry.client
    if how == "alias":
        client.delete_registered_model_alias(MODEL_NAME, CHAMPION)
    elif how == "version":
        client.delete_model_version(MODEL_NAME, str(number))
    elif how == "version, but not its alias":
        with Database(DatabaseUrls.libpq(platform.registry.uri)).transaction() as cursor:
            cursor.execute("CREATE TEMP TABLE kept AS TABLE registered_model_aliases")
            cursor.connection.commit()
            client.delete_model_version(MODEL_NAME, str(number))
            cursor.execute("INSERT INTO registered_model_aliases TABLE kept EXCEPT TABLE registered_model_aliases")
    else:
        client.delete_registered_model(MODEL_NAME)


def _recommender(recipe: Recipe) -> Recommender:
    rng = np.random.default_rng(recipe.seed)
    users, movies = np.nonzero(rng.random((len(USERS), len(MOVIES))) < 0.3)
    stars, times = np.full(len(users), 4.5), np.arange(len(users))
    positives = Interactions.from_triplets(users, movies, stars, times, (len(USERS), len(MOVIES)))
    ids = IdMaps(np.array(USERS, dtype=np.int32), np.array(MOVIES, dtype=np.int32))
    fitted = Recommender.of(als.fit(positives, recipe), positives, ids, recipe)
    return fitted.with_titles([f"Film {movie}" for movie in MOVIES])
