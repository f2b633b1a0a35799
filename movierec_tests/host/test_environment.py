"""`.env`: written with odd paths, moved, and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dotenv import dotenv_values

from movierec_assets.host.env_file import read_env_file, write_env_file, written_for
from movierec_assets.host.environment import pin, running_databases, variables
from movierec_assets.settings import SettingsError, get_settings

PROJECT = Path(__file__).parents[2]
ODD = "Ann's $5 ${HOME} films 100% é"


def _home(directory: Path) -> Path:
    directory.mkdir()
    shutil.copy(PROJECT / "dagster.yaml", directory)
    return directory


@pytest.fixture
def home(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project directory with an odd name and a `.env`, whose variables are set in the environment."""
    directory = _home(tmp_path / ODD)
    monkeypatch.setenv("MOVIEREC_HOME", str(directory))
    monkeypatch.setenv("MOVIEREC_EMBEDDED_DATABASE_URL", database_url)
    settings = get_settings()
    write_env_file(settings.home, variables(settings))
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    return directory


def test_an_odd_path_is_read_back_as_written(home: Path) -> None:
    written = dotenv_values(home / ".env")
    assert written["DAGSTER_HOME"] == str(home / ".movierec" / "dagster_home")
    assert written["MOVIEREC_STATE_DIR"] == str(home / ".movierec")
    assert written_for(home / ".env") == home / ".env"


@pytest.mark.slow
def test_a_copied_env_file_opens_no_instance_and_the_first_command_removes_its_lines(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    with DagsterInstance.get() as instance:
        assert instance.get_runs(limit=1) == []
    copy = Path(shutil.copytree(home, tmp_path / "copy", symlinks=True))
    with (copy / ".env").open("a") as file:
        file.write("MOVIEREC_DATASET=demo\n")
    monkeypatch.chdir(copy)
    with pytest.raises(SettingsError, match=r"was written for .*movierec db start"):
        DagsterInstance.get()
    # A URL that `movierec` itself sets is used, whatever .env is in the working directory.
    with monkeypatch.context() as patched:
        patched.setenv("MOVIEREC_DAGSTER_URL", f"{get_settings().databases.dagster}?application_name=another")
        with DagsterInstance.get() as instance:
            assert instance.get_runs(limit=1) == []
    read_env_file(copy)
    assert dict(dotenv_values(copy / ".env")) == {"MOVIEREC_DATASET": "demo"}
    assert dotenv_values(home / ".env")["DAGSTER_HOME"]


def test_a_directory_without_dagsters_configuration_is_not_taken_for_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_HOME", str(tmp_path))
    with pytest.raises(SettingsError, match=r"no dagster\.yaml.*MOVIEREC_HOME"), running_databases(get_settings()):
        pass
    with pytest.raises(SettingsError, match=r"no dagster\.yaml.*MOVIEREC_HOME"):
        pin(get_settings())
    assert list(tmp_path.iterdir()) == []
