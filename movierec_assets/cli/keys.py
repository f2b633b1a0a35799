"""`movierec keys`: who may call the API.

Belongs here: options and text. Does not: the keys (`tables.api_keys`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
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
def create(label: str, role: KeyRole, user: int | None, days: int | None) -> None:
    """Make a key and print it, this once. LABEL says what it is for.

    A reader's key is for everything but promotions, training and runs, for which an operator's key is needed.
    """
    from movierec_assets.tables.api_keys import create_key

    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    with _database() as database:
        click.echo(create_key(database, role, label, user_id=user, expires_at=expires_at))
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
