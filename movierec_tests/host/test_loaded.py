"""Commands that work on loaded ratings refuse when none are loaded, or those of another dataset."""

from __future__ import annotations

import pytest

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.host import CommandError
from movierec_assets.host.loaded import require_anything_loaded, require_loaded
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset

LINES = [f"{user},{movie},4.0,{1_000_000_000 + movie}" for user in (1, 2) for movie in range(1, 7)]


@pytest.mark.parametrize("job", ["train", "search", "publish"])
def test_before_anything_is_loaded_a_job_says_what_loads(database: Database, job: str) -> None:
    with pytest.raises(
        CommandError, match=f"Nothing is loaded yet, and the job {job} works on loaded ratings"
    ) as error:
        require_loaded(database, get_settings(), job, None)
    assert "movierec run --job refresh" in str(error.value)


def test_before_anything_is_loaded_recommend_says_what_loads(database: Database) -> None:
    with pytest.raises(CommandError, match="Nothing is loaded yet, and a model comes from ratings"):
        require_anything_loaded(database, "a model comes from ratings")


def test_a_dataset_that_is_not_loaded_is_refused_with_both_names(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = make_dataset(LINES, name="ours"), make_dataset([*LINES, "3,1,4.0,1000000000"], name="theirs")
    load_movies(database, MovieLensFiles.at(ours))
    load_ratings(database, MovieLensFiles.at(ours))
    require_loaded(database, get_settings(), "train", None)
    monkeypatch.setenv("MOVIEREC_DATASET", str(ours))
    require_loaded(database, get_settings(), "train", str(ours))
    monkeypatch.setenv("MOVIEREC_DATASET", str(theirs))
    with pytest.raises(CommandError, match=r"They are ours \(dataset 1\), and not theirs") as error:
        require_loaded(database, get_settings(), "train", str(theirs))
    assert f"movierec run --job refresh --dataset {theirs}" in str(error.value)
