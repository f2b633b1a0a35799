"""`movierec data generate`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from movierec_assets.cli.root import cli, main

TINY = ("--users", "30", "--movies", "60", "--ratings", "900")


def test_a_generated_set_can_be_used_and_is_generated_once(tmp_path: Path) -> None:
    target = str(tmp_path / "made up")
    generate = ["data", "generate", target, *TINY, "--seed", "5"]
    generated = CliRunner().invoke(cli, generate)
    assert generated.exit_code == 0, generated.output
    assert f"900 ratings of 30 users and 60 movies, seed 5, are in {target}" in generated.output
    again = CliRunner().invoke(cli, generate)
    assert again.exit_code == 0
    assert again.output == f"{target} was generated with these arguments; left as it is.\n"
    info = CliRunner().invoke(cli, ["data", "info", target]).output
    assert "60 movies" in info
    assert "900 ratings of 30 users" in info
    assert "do not load" not in info


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--like", "ml-1b"], "--like ml-1b: no such release. Choose one of ml-100k, ml-1m, ml-10m, ml-latest"),
        (["--users", "30", "--movies", "60", "--ratings", "100"], "Give --ratings 600 or more, or --users 5 or fewer."),
    ],
)
def test_an_impossible_size_is_explained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["movierec", "data", "generate", str(tmp_path / "set"), *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --like NAME, or all of --users, --movies and --ratings."),
        (["--users", "30", "--ratings", "900"], "Give --like NAME, or all of"),
        (["--like", "ml-20m", "--users", "30"], "not both"),
        ([*TINY, "--share", "0.5"], "--share goes with --like."),
        ([*TINY, "--seed", "-1"], "--seed"),
    ],
)
def test_an_incomplete_size_and_two_sizes_are_a_usage_error(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["data", "generate", str(tmp_path / "set"), *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert list(tmp_path.iterdir()) == []
