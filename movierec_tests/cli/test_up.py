"""Text of `movierec up`. Lines of servers and runs are tested in `host`, with the code that reports them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from movierec_assets.cli.up import _duration, _Screen


def test_addresses_are_printed_with_the_directory_of_log_files() -> None:
    console = Console(file=io.StringIO(), width=20)
    _Screen(console).answering({"Dagster": "http://127.0.0.1:3000"}, Path("/a [b]/logs/servers"))
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "",
        "Dagster  http://127.0.0.1:3000",
        "Lines of the servers are in /a [b]/logs/servers",
        "Ctrl-C stops everything.",
        "",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.26, "4.3 s"), (75, "1 min 15 s"), (3_600, "1 h 0 min"), (7_890, "2 h 11 min")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert _duration(seconds) == text
