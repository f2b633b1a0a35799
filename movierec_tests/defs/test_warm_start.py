"""A daily training on newer ratings continues the champion's fits; on the same ratings it changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from movierec_assets.recsys import warm_start
from movierec_assets.settings import get_settings
from movierec_tests.defs.harness import failures_of, metadata_of, own_platform, run

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


def test_training_continues_the_champion_as_ratings_come_in(
    server_url: str, tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tmp_path / "growing"
    shutil.copytree(demo, dataset)
    rated = {tuple(line.split(",")[:2]) for line in (dataset / "ratings.csv").read_text().splitlines()}
    new = [film for film in range(1, 500) if not any((str(user), str(film)) in rated for user in (1, 2, 3))]
    # With 120 users, one swapped tie costs more NDCG than a warm start, or a refresh, may lose.
    monkeypatch.setattr(warm_start, "MAX_NDCG_LOSS", 0.5)
    with own_platform(server_url, tmp_path, dataset):
        monkeypatch.setenv("MOVIEREC_REFRESH_MARGIN", "0.1")
        first = metadata_of(run())["als_model"]
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
        again = metadata_of(run())
        assert (again["als_model"]["unchanged"], again["champion_model"]["outcome"]) == (True, "unchanged")
        _append(dataset, new[4:6], 1_770_200_000)
        monkeypatch.setenv("MOVIEREC_WARM_START", "false")
        assert metadata_of(run())["als_model"]["start"].startswith("cold")
