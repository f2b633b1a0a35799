"""Claims about the choice of a dataset and its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.locate import Located, locate_dataset
from movierec_assets.datasets.releases import RELEASES, Release
from movierec_tests.datasets.sources.written import zipped


def dataset(directory: Path, rows: int = 1) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "1,1,4.0,100\n" * rows)
    (directory / "movies.csv").write_text("movieId,title,genres\n1,Heat (1995),Crime\n")
    return directory


class Places:
    """A data directory, a demo set and a download, with a record of the calls."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.demo = root / "demo"
        self.cache = root / "cache"
        self.asked: list[str] = []

    def make_demo(self) -> Path:
        self.asked.append("demo")
        return dataset(self.demo)

    def download(self, release: Release) -> Path:
        self.asked.append(release.name)
        return dataset(self.data / release.name)

    def no_network(self, release: Release) -> Path:
        self.asked.append(release.name)
        raise DatasetError(f"{release.name}: cannot reach files.grouplens.org (no route).")

    def locate(self, choice: str | None) -> Located:
        return locate_dataset(choice, self.data, self.cache, self.make_demo, self.download)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_a_directory_works_by_path(places: Places, tmp_path: Path) -> None:
    mine = dataset(tmp_path / "mine")
    located = places.locate(str(mine))
    assert (located.files.directory, located.name) == (mine, "mine")
    assert located.reason == f"mine: chosen by path, {mine}."
    assert places.asked == []


def test_a_directory_works_by_relative_path(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = dataset(tmp_path / "mine")
    monkeypatch.chdir(mine)
    assert places.locate(".").files.directory == mine
    assert places.locate("../mine").name == "mine"


def test_an_incomplete_directory_is_refused_by_the_missing_file(places: Places, tmp_path: Path) -> None:
    (dataset(tmp_path / "mine") / "movies.csv").unlink()
    with pytest.raises(DatasetError, match=r"mine: movies.csv missing"):
        places.locate(str(tmp_path / "mine"))


def test_a_release_in_the_data_directory_is_not_fetched_again(places: Places) -> None:
    dataset(places.data / "ml-20m")
    located = places.locate("ml-20m")
    assert (located.files.directory, located.name) == (places.data / "ml-20m", "ml-20m")
    assert "already in" in located.reason
    assert places.asked == []


@pytest.mark.parametrize("name", list(RELEASES))
def test_a_release_that_is_not_there_is_fetched(places: Places, name: str) -> None:
    located = places.locate(name)
    assert (located.name, located.reason) == (name, f"{name}: chosen by name, downloaded.")
    assert places.asked == [name]


def test_a_chosen_release_that_cannot_be_fetched_is_an_error_not_the_demo_set(places: Places) -> None:
    with pytest.raises(DatasetError, match="cannot reach"):
        locate_dataset("ml-20m", places.data, places.cache, places.make_demo, places.no_network)
    with pytest.raises(DatasetError, match=r"downloads nothing.*data download ml-20m`.*ml-20m.zip.*--dataset demo"):
        locate_dataset("ml-20m", places.data, places.cache, places.make_demo, None)
    assert places.asked == ["ml-20m"]


def test_the_demo_set_works_by_name_even_when_there_are_others(places: Places) -> None:
    dataset(places.data / "ml-20m")
    located = places.locate("demo")
    assert (located.name, located.files.directory) == ("demo", places.demo)


def test_a_directory_of_the_data_directory_works_by_name(places: Places) -> None:
    dataset(places.data / "my-films")
    assert places.locate("my-films").files.directory == places.data / "my-films"


def test_an_archive_in_the_data_directory_works_by_name_where_it_is_not_unpacked(places: Places) -> None:
    inner = dataset(places.data / "ml-10m")
    zipped(places.data / "ml-10m.zip", inner, "ml-10M100K")
    assert places.locate("ml-10m").files.source == inner
    inner.rename(places.data.parent / "elsewhere")
    located = places.locate("ml-10m")
    assert located.files.source == places.data / "ml-10m.zip" / "ml-10M100K"
    assert places.locate(str(located.files.source)).files == located.files
    assert places.locate(None).files == located.files
    assert places.asked == []


def test_an_unknown_name_lists_the_options_and_the_closest_one(places: Places) -> None:
    dataset(places.data / "my-films")
    with pytest.raises(DatasetError) as caught:
        places.locate("ml20m")
    assert "ml20m: no such dataset. Did you mean ml-20m?" in str(caught.value)
    assert "demo, ml-100k, ml-10m, ml-1m, ml-20m, ml-25m, ml-32m, ml-latest-small, my-films" in str(caught.value)


def test_a_path_that_does_not_exist_is_called_a_path(places: Places, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such directory"):
        places.locate(str(tmp_path / "nowhere"))


def test_a_file_of_ratings_stands_for_its_directory(places: Places, tmp_path: Path) -> None:
    mine = dataset(tmp_path / "mine")
    located = places.locate(str(mine / "ratings.csv"))
    assert (located.name, located.files.source) == ("mine", mine)


@pytest.mark.parametrize("choice", [None, "", "  "])
def test_without_choice_the_dataset_in_the_data_directory_is_used(places: Places, choice: str | None) -> None:
    dataset(places.data / "ml-25m")
    located = places.locate(choice)
    assert located.name == "ml-25m"
    assert located.reason == f"ml-25m: no dataset was chosen, and it is in {places.data}."
    assert places.asked == []


def test_of_several_the_one_with_the_largest_ratings_is_used_and_the_others_are_named(places: Places) -> None:
    dataset(places.data / "a-small", rows=2)
    dataset(places.data / "b-large", rows=9)
    dataset(places.data / "c-small", rows=3)
    located = places.locate(None)
    assert located.name == "b-large"
    assert "it is the largest (others: a-small, c-small)" in located.reason


def test_half_unpacked_hidden_and_demo_directories_do_not_count(places: Places) -> None:
    dataset(places.data / ".ml-20m.unpack-x", rows=99)
    dataset(places.data / "demo", rows=99)
    (dataset(places.data / "broken", rows=99) / "movies.csv").unlink()
    (places.data / "ml-32m.zip.part").write_bytes(b"x")
    dataset(places.data / "good")
    assert places.locate(None).name == "good"


def test_without_choice_and_data_the_small_release_is_downloaded(places: Places) -> None:
    located = places.locate(None)
    assert located.name == "ml-latest-small"
    assert "no dataset was chosen" in located.reason
    assert "it was downloaded" in located.reason
    assert places.asked == ["ml-latest-small"]


def test_without_choice_data_and_network_it_is_the_demo_set_and_the_reason_says_why(places: Places) -> None:
    located = locate_dataset(None, places.data, places.cache, places.make_demo, places.no_network)
    assert (located.name, located.files.directory) == ("demo", places.demo)
    assert "ml-latest-small was not fetched" in located.reason
    assert "cannot reach files.grouplens.org (no route)" in located.reason
    assert places.asked == ["ml-latest-small", "demo"]


def test_without_choice_a_command_that_downloads_nothing_takes_the_demo_set_and_says_what_does(places: Places) -> None:
    located = locate_dataset(None, places.data, places.cache, places.make_demo, None)
    assert located.name == "demo"
    assert "this command downloads nothing, `movierec data download ml-latest-small` does" in located.reason
