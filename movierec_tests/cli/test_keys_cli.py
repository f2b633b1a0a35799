"""`movierec keys`: a key is printed once, listed without its secret, and revoked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from movierec_assets.cli.root import cli
from movierec_assets.settings import Settings
from movierec_assets.tables.api_keys import ApiKeyError, find_key, split_key
from movierec_assets.tables.database import Database

pytestmark = pytest.mark.usefixtures("platform_settings")


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["keys", *arguments])


def test_a_key_is_made_listed_and_revoked(database: Database, platform_settings: Settings) -> None:
    assert "no keys" in keys("list").stdout
    key = keys("create", "phone app", "--user", "5", "--days", "30").stdout.strip()
    parts = split_key(key)
    assert parts is not None
    key_id, secret = parts
    stored = find_key(database, key_id)
    assert stored is not None
    assert stored.opens(secret)
    (listed,) = json.loads(keys("list", "--json").stdout)
    assert (listed["label"], listed["role"], listed["user_id"], listed["state"]) == ("phone app", "reader", 5, "valid")
    table = keys("list").stdout
    assert key_id in table
    assert secret not in table + json.dumps(listed)
    revoked = keys("revoke", key)
    assert key_id in revoked.stdout
    assert secret not in revoked.output
    assert "before" in keys("revoke", key_id).stdout
    assert json.loads(keys("list", "--json").stdout)[0]["state"] == "revoked"


def test_a_key_is_written_into_a_file_once(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "key"
    assert str(file) in keys("create", "app", "--file", str(file)).stdout
    written = file.read_text(encoding="utf-8").strip()
    parts = split_key(written)
    assert parts is not None
    stored = find_key(database, parts[0])
    assert stored is not None
    assert stored.opens(parts[1])
    assert file.stat().st_mode & 0o777 == 0o400
    assert written not in keys("create", "app", "--file", str(file)).output
    assert file.read_text(encoding="utf-8").strip() == written
    keys("revoke", parts[0])
    keys("create", "app", "--file", str(file))
    assert file.read_text(encoding="utf-8").strip() != written


def test_an_operators_key_is_for_all_users() -> None:
    result = keys("create", "jobs", "--role", "operator", "--user", "5")
    assert isinstance(result.exception, ApiKeyError)
