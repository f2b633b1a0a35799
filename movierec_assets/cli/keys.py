"""`movierec keys`: who may call the API.

Belongs here: options and text. Does not: the keys (`tables.api_keys`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from movierec_assets.cli.shared import console_for_people, console_log, print_json, settings_from

if TYPE_CHECKING:
    from movierec_assets.tables.api_keys import KeyRole
    from movierec_assets.tables.database import Database


@click.group()
def keys() -> None:
    """Make, list and revoke keys of the API."""


@keys.command("create")
@click.argument("label")
@click.option("--role", type=click.Choice(["reader", "operator"]), default="reader", show_default=True)
@click.option("--user", type=click.IntRange(1, 2**31 - 1), help="The only user that the key is for.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until the key expires; without it never.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the key into this file, for its owner only, instead of printing it. A file with a valid key is kept.",
)
def create(label: str, role: KeyRole, user: int | None, days: int | None, file: Path | None) -> None:
    """Make a key and print it, this once. LABEL says what it is for.

    A reader's key is for everything but promotions, training and runs, for which an operator's key is needed.
    """
    from movierec_assets.tables.api_keys import create_key

    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    with _database() as database:
        if file is not None and _is_valid(database, file, role):
            click.echo(f"{file} has a valid key, which is kept.")
            return
        key = create_key(database, role, label, user_id=user, expires_at=expires_at)
        if file is not None:
            _write(file, key)
            click.echo(f"Wrote the key into {file}.")
            return
        click.echo(key)
    click.echo("Keep it: it cannot be shown again. Send it in the header `Authorization: Bearer KEY`.", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(as_json: bool) -> None:
    """Show all keys without their secrets, the newest first."""
    from rich.table import Table

    from movierec_assets.tables.api_keys import list_keys

    with _database() as database:
        found = list_keys(database)
    if as_json:
        print_json(
            [
                {
                    "key_id": key.key_id,
                    "label": key.label,
                    "role": key.role,
                    "user_id": key.user_id,
                    "state": key.state(),
                    "created_at": key.created_at.isoformat(),
                    "expires_at": key.expires_at.isoformat() if key.expires_at else None,
                }
                for key in found
            ]
        )
        return
    if not found:
        click.echo("There are no keys; `movierec keys create LABEL` makes one.")
        return
    table = Table("id", "label", "role", "user", "state", "created", "expires")
    for key in found:
        user = "" if key.user_id is None else str(key.user_id)
        table.add_row(key.key_id, key.label, key.role, user, key.state(), _day(key.created_at), _day(key.expires_at))
    console_for_people().print(table)


@keys.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke a key for good. Workers refuse it within seconds."""
    from movierec_assets.tables.api_keys import revoke_key, split_key

    pasted = split_key(key_id)  # a whole key, whose secret no message may repeat
    key_id = pasted[0] if pasted else key_id
    with _database() as database:
        revoked = revoke_key(database, key_id)
    click.echo(f"Revoked {key_id}." if revoked else f"{key_id} was revoked before.")


def _is_valid(database: Database, file: Path, role: KeyRole) -> bool:
    """Whether a file has a key of this role that the API accepts."""
    from movierec_assets.tables.api_keys import digest_of, find_key, split_key

    if not file.exists():
        return False
    parts = split_key(file.read_text(encoding="utf-8", errors="replace").strip())
    key = find_key(database, parts[0]) if parts else None
    if parts is None or key is None:
        return False
    return key.role == role and key.state() == "valid" and key.digest == digest_of(parts[1])


def _write(file: Path, key: str) -> None:
    """Replace a file, which only its owner may read."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as written:
        written.write(f"{key}\n")
    part.replace(file)


@contextmanager
def _database() -> Iterator[Database]:
    """The ratings database, up to date."""
    from movierec_assets.host.environment import running_databases
    from movierec_assets.tables.database import Database
    from movierec_assets.tables.migrations import require_current

    with running_databases(settings_from(), console_log(Console(stderr=True))) as settings:
        database = Database(settings.databases.ratings)
        require_current(database)
        yield database


def _day(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d}"
