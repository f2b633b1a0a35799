"""A daily training on newer ratings continues the champion's fits; on the same ratings it changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from movierec_assets.models.artifact_locations import local_path
from movierec_assets.models.predecessor import STATE_FILE
from movierec_assets.models.version import MODEL_NAME
from movierec_assets.models.version_files import MODEL_FILE
from movierec_assets.recsys import warm_start
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.insights import read_insight
from movierec_tests.defs.harness import Platform, failures_of, metadata_of, run
from movierec_tests.first_day import FirstDay

pytestmark = pytest.mark.slow


def _append(dataset: Path, films: list[int], at: int) -> None:
    lines = [f"{user},{film},4.5,{at + user}" for user in (1, 2, 3) for film in films]
    with (dataset / "ratings.csv").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def _old_favourite(dataset: Path) -> tuple[int, int]:
    """User and film of the earliest like of the user with the most likes."""
    ratings = pd.read_csv(dataset / "ratings.csv")
    liked = ratings[(ratings["rating"] >= 4) & (ratings["userId"] > 3)]
    user = liked["userId"].value_counts().index[0]
    first = liked[liked["userId"] == user].sort_values("timestamp").iloc[0]
    return int(user), int(first["movieId"])


def _without_signal(flat: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in flat.items() if not name.startswith("next_movie_")})


def _strip(file: Path, target: Path) -> None:
    """Write arrays without those that the release before the next-movie signal did not have."""
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored if not name.startswith(("next_", "recent_", "latest_at"))}
    if "recipe" in arrays:
        arrays["recipe"] = np.array(_without_signal(json.loads(str(arrays["recipe"]))))
    np.savez(target, **arrays)


def _make_a_version_of_the_last_release(platform: Platform, scratch: Path) -> int:
    """Take everything that belongs to the next-movie signal out of the champion; returns its number."""
    champion, client = platform.champion(), platform.registry.client
    client.set_model_version_tag(MODEL_NAME, str(champion.number), "recipe", _without_signal(champion.recipe.as_dict()))
    state = Path(client.download_artifacts(champion.run_id, STATE_FILE, str(scratch)))
    _strip(state, state)
    client.log_artifact(champion.run_id, str(state))
    location = client.get_logged_model(str(champion.model_id)).artifact_location
    directory = local_path(location, platform.settings.artifacts)
    assert directory is not None
    (model,) = directory.rglob(MODEL_FILE)
    _strip(model, model)
    return champion.number


def _answers(platform: Platform, number: int) -> bool:
    model = platform.registry.load(platform.registry.version(number))
    return bool((model.for_known(model.ids.user_ids, 20).items[:, 0] >= 0).all())


def _assert_the_last_release_is_continued(platform: Platform, old: int) -> None:
    """Train on changed data: the built-in recipe with its signal, beside the champion's recipe without one."""
    assert _answers(platform, old)
    result = run()
    assert result.success, failures_of(result)
    updated = metadata_of(result)
    assert updated["als_model"]["recipe_source"] == "built-in"
    assert updated["als_model"]["start"] == "cold: the recipe is not the champion's"
    refit = updated["champion_refit"]
    assert (refit["champion_version"], refit["same_recipe"], refit["changed_data"]) == (str(old), False, True)
    assert platform.registry.version(refit["model_version"]).provenance["start"].startswith("warm")
    made = [platform.registry.version(each) for each in (refit["model_version"], updated["als_model"]["model_version"])]
    assert [each.recipe.next_movie.on for each in made] == [False, True]
    assert ["next_movies_fingerprint" in each.provenance for each in made] == [False, True]
    assert all(_answers(platform, each.number) for each in made)
    assert updated["model_evaluation"]["lead"]["fits"] > 1
    assert platform.champion().number in [each.number for each in made]
    _assert_documents_of_refit_and_challenger(platform.database, *(each.number for each in made))


def _assert_documents_of_refit_and_challenger(database: Database, refit: int, challenger: int) -> None:
    """Each is the version that its document is about, and named as the other one in that one's."""
    trained, scored = (read_insight(database, name, refit) for name in ("training", "evaluation"))
    assert trained is not None
    assert trained.document["continued"] is True
    assert scored is not None
    beside = read_insight(database, "evaluation", challenger)
    assert beside is not None
    of_refit, of_challenger = (_ndcg_by_ranker(each.document) for each in (scored, beside))
    assert next(iter(of_refit)) == next(iter(of_challenger)) == "this version"
    assert of_refit["this version"] == of_challenger["champion then"]
    assert of_refit["challenger then"] == of_challenger["this version"]
    assert of_refit["popularity"] == of_challenger["popularity"]


def _ndcg_by_ranker(document: dict[str, Any]) -> dict[str, float]:
    return {row["ranker"]: row["mean"] for row in document["moments"] if row["moment"] == "in the sitting"}


def test_training_continues_the_champion_as_ratings_come_in(
    first_day: FirstDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tmp_path / "growing"
    shutil.copytree(first_day.files, dataset)
    rated = {tuple(line.split(",")[:2]) for line in (dataset / "ratings.csv").read_text().splitlines()}
    new = [film for film in range(1, 500) if not any((str(user), str(film)) in rated for user in (1, 2, 3))]
    # With 120 users, one swapped tie costs more NDCG than a warm start, or a refresh, may lose.
    monkeypatch.setattr(warm_start, "MAX_NDCG_LOSS", 0.5)
    with first_day.copied(tmp_path, dataset) as platform:
        monkeypatch.setenv("MOVIEREC_REFRESH_MARGIN", "0.1")
        first = metadata_of(first_day.result)["als_model"]
        assert first["start"].startswith("cold: there is no champion")
        _append(dataset, new[:2], 1_770_000_000)
        user, film = _old_favourite(dataset)
        with (dataset / "ratings.csv").open("a") as file:
            file.write(f"{user},{film},5.0,1770000900\n")
        result = run()
        assert result.success, failures_of(result)
        second = metadata_of(result)
        assert second["als_model"]["start"].startswith("warm")
        assert second["champion_model"]["outcome"] == "refresh"
        # Neither challenger nor champion is scored on a user who rated an old favourite again.
        assert (second["als_model"]["users_left_out"], second["model_evaluation"]["users_left_out"]) == (1, 1)
        scores = pd.read_parquet(Path(get_settings().storage) / "model_evaluation.parquet")
        assert user not in set(scores["user_id"])
        assert set(scores["ranker"]) >= {"als", "champion"}
        assert scores["user_id"].nunique() == second["model_evaluation"]["evaluated_users"]
        assert second["als_model"]["iterations"] < first["iterations"]
        assert "warm_and_cold" not in second["als_model"]  # its fit on the training part is a cold start itself
        _append(dataset, new[2:4], 1_770_100_000)
        third = metadata_of(run())["als_model"]
        assert third["start"].startswith("warm")
        assert "the last cold start" in third["warm_and_cold"]
        assert third["courses"].startswith("![plot]")
        told = [read_insight(platform.database, "training", each["model_version"]) for each in (first, third)]
        fresh, continued = (each.document for each in told if each is not None)
        assert (fresh["continued"], continued["continued"]) == (False, True)
        assert len(fresh["loss"]) == len(fresh["validation"]) == fresh["iterations"] > continued["iterations"]
        assert fresh["validation_of_last_fresh_fit"] == []
        assert continued["validation_of_last_fresh_fit"]
        again = metadata_of(run())
        assert (again["als_model"]["unchanged"], again["champion_model"]["outcome"]) == (True, "unchanged")

        old = _make_a_version_of_the_last_release(platform, tmp_path)
        _append(dataset, new[6:8], 1_770_150_000)
        _assert_the_last_release_is_continued(platform, old)

        _append(dataset, new[4:6], 1_770_200_000)
        monkeypatch.setenv("MOVIEREC_WARM_START", "false")
        assert metadata_of(run())["als_model"]["start"].startswith("cold")
