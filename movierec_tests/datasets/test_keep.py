"""Claims about the loaded dataset: it stays until a person chooses another one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.keep import AbsentDataset, absent_dataset, locate_or_keep
from movierec_assets.datasets.loaded_from import LoadedFrom
from movierec_assets.datasets.locate import Located
from movierec_assets.datasets.releases import Release
from movierec_assets.settings import Settings
from movierec_tests.datasets.sources.written import zipped
from movierec_tests.datasets.test_locate import dataset


class Machine:
    """A project directory, and the downloads that were tried."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root, root / "data"
        self.data.mkdir()
        self.downloads: list[str] = []

    def settings(self, choice: str | None = None) -> Settings:
        return Settings(state_dir=self.root / "state", data_dir=self.data, dataset=choice)

    def download(self, release: Release) -> Path:
        self.downloads.append(release.name)
        return dataset(self.data / release.name)

    def find(
        self, loaded: LoadedFrom | None, choice: str | None = None, *, by_hand: bool = False
    ) -> Located | AbsentDataset:
        return locate_or_keep(self.settings(choice), loaded, self.download, by_hand=by_hand)

    def located(self, loaded: LoadedFrom | None, choice: str | None = None, *, by_hand: bool = False) -> Located:
        found = self.find(loaded, choice, by_hand=by_hand)
        assert isinstance(found, Located), found
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_loaded_dataset_stays_beside_a_larger_one(machine: Machine) -> None:
    small, _ = dataset(machine.data / "small"), dataset(machine.data / "large", rows=9)
    found = machine.located(LoadedFrom("small", small))
    assert found.files.directory == small
    assert found.reason == "small: no dataset was chosen, and it is the one that is loaded."
    assert machine.located(LoadedFrom("small", small), by_hand=True).name == "large", "a person started the run"
    assert machine.located(LoadedFrom("small", small), "large").name == "large", "a person chose it"


def test_a_dataset_of_the_same_name_in_data_is_the_loaded_one_after_a_move(machine: Machine) -> None:
    here = dataset(machine.data / "mine")
    assert machine.located(LoadedFrom("mine", Path("/on/another/machine/mine"))).files.directory == here


def test_a_loaded_archive_is_found_where_it_was_and_in_data(machine: Machine, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "films.zip", dataset(tmp_path / "unpacked"), "ml-1m")
    loaded = machine.located(None, str(archive)).files
    assert machine.located(LoadedFrom(loaded.name, loaded.source)).files.source == loaded.source
    archive.rename(machine.data / "films.zip")
    assert machine.located(LoadedFrom(loaded.name, loaded.source)).name == loaded.name


@pytest.mark.parametrize("others", [(), ("another",)])
@pytest.mark.parametrize("gone", ["deleted", "on another machine", "only its ratings"])
def test_a_loaded_dataset_without_files_is_replaced_by_nothing(
    machine: Machine, others: tuple[str, ...], gone: str
) -> None:
    place = dataset(machine.data / "mine")
    if gone == "only its ratings":
        (place / "ratings.csv").unlink()
    else:
        shutil.rmtree(place)
    if gone == "on another machine":
        place = Path("/on/another/machine/mine")
    for name in others:
        dataset(machine.data / name)
    loaded = LoadedFrom("mine", place)
    found = machine.find(loaded)
    assert isinstance(found, AbsentDataset)
    assert found == absent_dataset(machine.settings(), loaded)
    assert f"mine is loaded, and its files are not on this machine: neither {place} nor mine in" in found.reason
    assert "MOVIEREC_DATASET" in found.reason
    assert ("holds another, which is not loaded without a choice" in found.reason) == bool(others)
    assert machine.downloads == []
    if others:
        assert machine.located(loaded, by_hand=True).name == "another"
        assert machine.located(loaded, "another").name == "another"
        assert absent_dataset(machine.settings("another"), loaded) is None
    else:
        assert isinstance(machine.find(loaded, by_hand=True), AbsentDataset), "nothing is downloaded in its place"


def test_another_dataset_in_a_directory_below_is_not_the_loaded_one(machine: Machine) -> None:
    dataset(machine.data)
    loaded = LoadedFrom("data", machine.data)
    assert machine.located(loaded).files.directory == machine.data
    for file in machine.data.glob("*.csv"):
        file.unlink()
    dataset(machine.data / "another")
    assert isinstance(machine.find(loaded), AbsentDataset)


def test_a_dataset_in_data_replaces_the_demo_and_no_download_does(machine: Machine) -> None:
    demo = LoadedFrom("demo", machine.root / "state" / "datasets" / "demo")
    assert machine.located(demo).name == "demo"
    assert machine.downloads == []
    assert machine.located(demo, by_hand=True).name == "ml-latest-small", "as a person's first run does"
    assert machine.located(demo).name == "ml-latest-small"
    assert absent_dataset(machine.settings(), demo) is None


def test_a_chosen_dataset_that_is_missing_is_an_error(machine: Machine) -> None:
    with pytest.raises(DatasetError, match="no such dataset"):
        machine.find(LoadedFrom("mine", machine.data / "mine"), "mine")


def test_before_anything_is_loaded_the_choice_is_free(machine: Machine) -> None:
    assert machine.located(None).name == "ml-latest-small"
    assert machine.downloads == ["ml-latest-small"]
    assert absent_dataset(machine.settings(), None) is None
