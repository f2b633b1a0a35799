"""Help, usage errors and exit status of the `movierec` command, in this process."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from movierec_assets.cli.root import cli


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))


@pytest.mark.parametrize("path", list(_commands(cli)), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(cli, [*path, flag])
        assert result.exit_code == 0
        assert result.output.startswith("Usage:")
        assert "Traceback" not in result.output
        assert len(result.output.splitlines()) > 4


@pytest.mark.parametrize(
    ("path", "default"),
    [
        (["run"], "[default: everything]"),
        (["run"], "else ml-latest-small is downloaded"),
        (["recommend"], "[default: 10;"),
        (["recommend"], "[default: now]"),
        (["up"], "MOVIEREC_DAGSTER_PORT (3000)"),
        (["up"], "MOVIEREC_MLFLOW_PORT (5000)"),
        (["up"], "MOVIEREC_API_PORT (8000)"),
        (["up"], "MOVIEREC_APP_PORT (8501)"),
        (["api"], "localhost:8000/health/ready"),
        (["data", "info"], "MOVIEREC_DATASET"),
    ],
)
def test_help_mentions_defaults(path: list[str], default: str) -> None:
    assert default in " ".join(CliRunner().invoke(cli, [*path, "--help"]).output.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--job", "nothing"],
        ["run", "--job", "publish", "--retrain"],
        ["recommend", "--user", "0"],
        ["recommend", "--user", "x"],
        ["recommend", "-k", "0"],
        ["recommend", "--user", "1", "--like", "Heat"],
        ["recommend", "--user", "1", "--at", "yesterday"],
        ["recommend", "--user", "1", "--at", "2018-02-30"],
        ["recommend", "--like", "Heat", "--at", "latest"],
        ["recommend", "--at", "2018-09-24"],
        ["data", "info", "demo", "--dataset", "ml-20m"],
        ["nonsense"],
    ],
)
def test_wrong_arguments_are_a_usage_error(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.output


def test_ctrl_c_has_an_exit_status_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.commands, "run", click.Command("run", callback=interrupted))
    result = CliRunner().invoke(cli, ["run"])
    assert (result.exit_code, result.output) == (130, "Interrupted.\n")
