"""`movierec data`, as people type it."""

from __future__ import annotations

from pathlib import Path

from movierec_assets.datasets.demo import load_catalogue
from movierec_tests.cli.command import Movierec
from movierec_tests.conftest import Dataset
from movierec_tests.datasets.sources.written import FORMATS, zipped


def test_the_list_of_datasets_says_which_are_here(movierec: Movierec, make_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    make_dataset(["1,1,4.0,964982703"], name="data/ml-latest-small")
    make_dataset(["1,1,4.0,964982703"], name="data/mine")
    shown = movierec("data", "list").stdout
    small = shown[shown.index("ml-latest-small") : shown.index("ml-20m")]
    assert "100,836" in small
    # A long path goes over several lines of its cell.
    assert str(tmp_path / "data" / "ml-latest-small") in "".join(
        line.split("│")[-2].strip() for line in ("│" + small).splitlines() if line.count("│") > 2
    )
    assert {"ml-20m", "ml-25m", "ml-32m"} <= set(shown.replace("│", " ").split())
    assert f"Also in {tmp_path / 'data'}: mine" in shown
    assert f"from {len(load_catalogue())} real films" in shown
    for files in ("ratings.csv, movies.csv", "u.data, u.item", "ratings.dat, movies.dat", "rating.csv, movie.csv"):
        assert files in shown
    assert "ratings.parquet" in shown
    assert ".zip" in shown


def test_info_says_which_dataset_why_and_what_is_wrong_with_it(movierec: Movierec, make_dataset: Dataset) -> None:
    directory = make_dataset(["1,1,4.0,964982703", "1,2,9,964982703", "2,1,4.0,964982703"])
    result = movierec("data", "info", "--dataset", str(directory))
    assert result.returncode == 0, result.stderr
    assert f"tiny: chosen by path, {directory}." in result.stdout
    assert "40 movies" in result.stdout
    assert "2 ratings of 2 users" in result.stdout
    assert "1 rows of ratings.csv do not load: 1 rating off the half-star grid" in result.stdout
    assert movierec("data", "info", str(directory)).stdout == result.stdout


def test_info_fails_for_a_dataset_that_run_refuses(movierec: Movierec, make_dataset: Dataset) -> None:
    result = movierec("data", "info", str(make_dataset(["1,1,4.0,964982703", *["1,2,9,964982703"] * 40])))
    assert result.returncode == 1
    assert "`movierec run` refuses this dataset." in result.stdout
    assert "40 of 41 rows (97.6%) do not load" in result.stdout


def test_info_reads_an_archive_of_another_format_and_says_that_utc_was_assumed(
    movierec: Movierec, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    kaggle = next(each for each in FORMATS if each.name == "Kaggle")
    archive = zipped(tmp_path / "archive.zip", kaggle.write(tmp_path / "inner", [(1, 1, 4.0, 964982703)]), "")
    result = movierec("data", "info", str(archive))
    assert result.returncode == 0, result.stderr
    assert f"{archive}, MovieLens from Kaggle" in result.stdout
    assert "1 ratings of 1 users\nThe times of 1 ratings name no zone; they are taken as UTC." in result.stdout


def test_info_downloads_nothing_and_says_how_to(movierec: Movierec) -> None:
    shown = movierec("data", "info")
    assert shown.returncode == 0, shown.stderr
    assert "ml-latest-small was not fetched: this command downloads nothing" in shown.stdout
    assert "`movierec data download ml-latest-small`" in shown.stdout
    refused = movierec("data", "info", "ml-20m")
    assert refused.returncode == 1
    assert "Get it with `movierec data download ml-20m`" in refused.stderr


def test_a_dataset_that_does_not_exist_is_explained(movierec: Movierec) -> None:
    result = movierec("data", "info", "--dataset", "ml-latest-smal")
    assert result.returncode == 1
    assert "Did you mean ml-latest-small?" in result.stderr
    unknown = movierec("data", "download", "ml-1b")
    assert unknown.returncode == 1
    assert "choose one of" in unknown.stderr
