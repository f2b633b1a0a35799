"""Passwords that are made once, and read by libpq."""

from __future__ import annotations

from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from movierec_assets.deploy.make_secrets import DATABASE_USER, make_secrets
from movierec_tests.deploy.compose import environment_of


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("database", "edge"):
        (tmp_path / name).mkdir()
    return tmp_path


def contents(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_passwords_are_made_once_and_differ(directory: Path) -> None:
    assert len(make_secrets(directory)) == 3
    first = contents(directory)
    assert set(first) == {"database/password", "database/pgpass", "edge/password"}
    assert first["database/password"] != first["edge/password"]
    assert all(len(first[name].strip()) >= 32 for name in ("database/password", "edge/password"))
    assert make_secrets(directory) == []
    assert contents(directory) == first


def test_only_the_file_for_another_user_may_be_read_by_others(directory: Path) -> None:
    make_secrets(directory)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (directory / "database").iterdir()}
    assert modes == {"password": 0o444, "pgpass": 0o400}
    assert (directory / "edge" / "password").stat().st_mode & 0o777 == 0o400


def test_a_file_that_is_gone_is_made_again_and_the_others_stay(directory: Path) -> None:
    make_secrets(directory)
    before = contents(directory)
    (directory / "edge" / "password").unlink()
    (directory / "database" / "pgpass").unlink()
    assert len(make_secrets(directory)) == 2
    after = contents(directory)
    assert after["edge/password"] != before["edge/password"]
    assert {name: after[name] for name in ("database/password", "database/pgpass")} == {
        name: before[name] for name in ("database/password", "database/pgpass")
    }


def test_libpq_reads_the_password(directory: Path, server_url: str) -> None:
    server = parse_dsn(server_url)
    assert server["user"] == DATABASE_USER
    (directory / "database" / "password").write_text(f"{server['password']}\n")
    make_secrets(directory)
    without_password = {name: value for name, value in server.items() if name != "password"}
    psycopg2.connect(**without_password, passfile=str(directory / "database" / "pgpass")).close()
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(**without_password, passfile=str(directory / "nothing"))


def test_the_compose_file_names_this_user_and_this_file() -> None:
    postgres = environment_of("postgres")
    assert postgres["POSTGRES_USER"] == DATABASE_USER
    assert postgres["POSTGRES_PASSWORD_FILE"] == "/secrets/database/password"
    assert environment_of("code")["PGPASSFILE"] == "/secrets/database/pgpass"
