"""Dumps between servers of different major versions."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator

import pytest

from movierec_assets.postgres import binaries
from movierec_assets.postgres.dumps import DumpError, client, dump, restore
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.postgres.harness import INSTALLATIONS, open_directory, query

MAJORS = {int(each.major): each for each in reversed(INSTALLATIONS)}


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[int, str]]:
    """A server of each major version that is installed here."""
    found, servers = {}, []
    with open_directory() as directory, pytest.MonkeyPatch.context() as patched:
        directory.mkdir()
        directory.chmod(0o755)
        for major, installation in MAJORS.items():
            patched.setattr(binaries, "installed_binaries", lambda *_, only=installation: iter([only.binaries]))
            servers.append(EmbeddedPostgres(directory / str(major)))
            found[major] = servers[-1].start()
        patched.undo()
        yield found
        for server in servers:
            server.destroy(force=True)


def at(url: str, database: str) -> str:
    return f"{url.rpartition('/')[0]}/{database}"


@pytest.mark.parametrize("source", MAJORS)
@pytest.mark.parametrize("target", MAJORS)
def test_a_dump_of_any_version_fills_a_database_of_any_other(source: int, target: int, urls: dict[int, str]) -> None:
    query(urls[source], "CREATE SCHEMA IF NOT EXISTS a; DROP TABLE IF EXISTS a.films")
    query(urls[source], "CREATE TABLE a.films (id serial PRIMARY KEY, title text NOT NULL)")
    query(urls[source], "INSERT INTO a.films (title) VALUES ('Amélie'), ('\\N'), (E'tab\\there')")
    name = f"from_{source}"
    query(urls[target], f"DROP DATABASE IF EXISTS {name}")
    query(urls[target], f"CREATE DATABASE {name} TEMPLATE template0")
    programs = client(source)
    with tempfile.TemporaryFile() as file:
        dump(urls[source], file, programs)
        file.seek(0)
        restore(at(urls[target], name), file, client(max(programs.major, target)), target)
    rows = "SELECT array_agg(title ORDER BY id), max(id) FROM a.films"
    assert query(at(urls[target], name), rows) == query(urls[source], rows)


def test_errors_have_the_words_of_the_program_and_not_the_password(urls: dict[int, str]) -> None:
    major = next(iter(MAJORS))
    missing = at(urls[major], "nothing")
    with pytest.raises(DumpError, match=r"(?s)could not read the database nothing.*does not exist") as refused:
        dump(missing, io.BytesIO(), client(major))
    assert missing.split(":")[2].split("@")[0] not in str(refused.value)
    with pytest.raises(DumpError, match="could not fill the database"):
        restore(missing, io.BytesIO(b"PGDMP"), client(major), major)


def test_a_server_that_is_newer_than_all_programs_is_refused_with_the_remedy() -> None:
    with pytest.raises(DumpError, match=r"Postgres 99 or later are needed.*pip install"):
        client(99)


def test_a_disk_that_fills_up_ends_the_dump(urls: dict[int, str]) -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        dump(urls[next(iter(MAJORS))], Full(), client(max(MAJORS)))
