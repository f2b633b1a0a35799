"""Calls of the API in the README and on its page, as a reader pastes them.

Belongs here: finding the calls, running them in a shell, and the transcript. Does not: starting the servers.

    python -m movierec_tests.readme_calls [ADDRESS]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.settings import PROJECT_ROOT

README = PROJECT_ROOT / "README.md"
PAGE = PROJECT_ROOT / "movierec_assets" / "docs" / "api.md"
ADDRESS = "localhost:8000"
"""As the pages write it."""
_SECONDS = 60
_MOVIEREC = ".venv/bin/movierec"


@dataclass(frozen=True)
class Call:
    """A call, and what came of it.

    Attributes
    ----------
    command : str
        As the page has it.
    status : int
        Exit status of the shell.
    output : str
    """

    command: str
    status: int
    output: str


def commands(page: Path) -> list[str]:
    """Indented lines of a page that call the API, in its order; a line that ends in a backslash goes on."""
    text = page.read_text(encoding="utf-8").replace("\\\n", "\\\n    ")
    joined = re.sub(r"\\\n\s+", " ", text)
    return [line.strip() for line in re.findall(r"^    (\S.*)$", joined, re.M) if "curl" in line]


def python_client(page: Path) -> str | None:
    """The Python program of a page: its code block that imports requests; None without one."""
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return next((block for block in blocks if "import requests" in block), None)


def run(page: Path, address: str, environment: Mapping[str, str]) -> Iterator[Call]:
    """Run every call of a page in one directory, one after the other, and then its Python program, if any.

    Parameters
    ----------
    page : Path
    address : str
        Host and port of the server; it stands for the one of the page.
    environment : mapping of str
        For commands of `movierec`.
    """
    here = f'"{sys.executable}" -m movierec_assets.cli'
    for command in commands(page):
        line = command.replace(ADDRESS, address).replace(_MOVIEREC, here).replace("curl ", "curl -fsS ")
        yield _done(command, ["bash", "-o", "pipefail", "-ec", line], environment)
    if program := python_client(page):
        yield _done(program, [sys.executable, "-c", program.replace(ADDRESS, address)], environment)


def _done(command: str, arguments: list[str], environment: Mapping[str, str]) -> Call:
    done = subprocess.run(
        arguments,
        env=dict(environment),
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return Call(command, done.returncode, done.stdout)


def main(address: str = ADDRESS) -> int:
    """Print a transcript; the exit status is that of the last call that failed."""
    status = 0
    for page in (README, PAGE):
        for call in run(page, address, os.environ):
            print(f"$ {call.command}\n{call.output.rstrip()}\n")
            status = call.status or status
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
