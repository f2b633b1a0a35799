"""`movierec db`: the embedded Postgres.

Belongs here: options and text. Does not: the server (`postgres.server`).
"""

from __future__ import annotations

import sys

import click
from rich.console import Console

from movierec_assets.cli.shared import console_log, embedded_settings, settings_from


@click.group()
def db() -> None:
    """Start, stop and inspect the embedded Postgres."""


@db.command("start")
def start_database() -> None:
    """Start the embedded Postgres until `movierec db stop`, and write .env so that `dg` finds it."""
    from movierec_assets.host.environment import pin

    settings = embedded_settings()
    pinned = pin(settings, console_log(Console(stderr=True)))
    click.echo(f"Running at {pinned.databases.shown}; `movierec db stop` stops it.")
    click.echo(f"{settings.home / '.env'} tells `dg dev` and other Dagster commands where it is.")


@db.command("migrate")
def migrate_databases() -> None:
    """Create what is missing of the three databases, and bring them up to this version; other commands do so, too."""
    from movierec_assets.host.environment import running_databases

    with running_databases(settings_from(), console_log(Console(stderr=True))) as settings:
        click.echo(f"The databases at {settings.databases.shown} are up to date.")


@db.command("stop")
@click.option("--force", is_flag=True, help="Stop the server under commands that use it.")
def stop_database(force: bool) -> None:
    """Stop the embedded Postgres."""
    from movierec_assets.postgres.server import EmbeddedPostgres

    stopped = EmbeddedPostgres(embedded_settings().state).stop(force=force)
    click.echo("Stopped." if stopped else "Nothing was running.")


@db.command("status")
def database_status() -> None:
    """Say whether a database runs, where, and on what."""
    from movierec_assets.database_urls import DatabaseUrls
    from movierec_assets.postgres.server import EmbeddedPostgres
    from movierec_assets.tables.database import Database

    settings = settings_from()
    if settings.database_url is not None:
        urls = DatabaseUrls(settings.database_url)
        version = Database(urls.ratings).scalar("SELECT current_setting('server_version')")
        click.echo(f"External Postgres {version} at {urls.shown} (MOVIEREC_DATABASE_URL)")
        return
    status = EmbeddedPostgres(settings.state).status()
    if status.running:
        stays = "until `movierec db stop`" if status.pinned else "while a command uses it"
        click.echo(f"Embedded Postgres {status.server_version} runs on port {status.port} (pid {status.pid}), {stays}.")
    else:
        click.echo("Embedded Postgres is not running; commands that need it start it.")
    click.echo(f"Data: {status.data_dir}\nPrograms: {status.binaries or 'none found'}")
    sys.exit(0 if status.running else 3)


@db.command("url")
def database_url() -> None:
    """Print the libpq URL of the running database, password included, as for psql."""
    from movierec_assets.host import CommandError
    from movierec_assets.postgres.server import EmbeddedPostgres

    settings = settings_from()
    url = settings.database_url or EmbeddedPostgres(settings.state).url()
    if url is None:
        raise CommandError("The embedded Postgres is not running; `movierec db start` starts it.")
    click.echo(url)


@db.command("destroy")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Even under commands that use it.")
def destroy_database(yes: bool, force: bool) -> None:
    """Remove the embedded Postgres with everything in it: ratings, runs, models."""
    from movierec_assets.postgres.server import EmbeddedPostgres

    embedded = EmbeddedPostgres(embedded_settings().state)
    if not yes:
        click.confirm(f"Remove {embedded.status().data_dir} with all ratings, runs and models?", abort=True)
    embedded.destroy(force=force)
    click.echo("Removed.")
