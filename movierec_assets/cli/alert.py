"""`movierec alert`: alerts that are open, and a test of the channels.

Belongs here: options and text. Does not: causes and channels (`alerts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from movierec_assets.cli.shared import console_for_people, console_log, print_json, settings_from

if TYPE_CHECKING:
    from datetime import datetime

    from movierec_assets.alerts.storage import Alert


@click.group()
def alert() -> None:
    """List alerts, and test the channels that tell them."""


@alert.command("test")
def test() -> None:
    """Send a test message on every channel: log, webhook, e-mail.

    The exit status is 1 when a channel did not take it.
    """
    from movierec_assets.alerts.channel import DeliveryError
    from movierec_assets.alerts.channels import channels_of
    from movierec_assets.alerts.messages import sample_message

    settings = settings_from()
    channels = channels_of(settings)
    message, failed = sample_message(settings.dagster_pages), False
    for channel in channels:
        try:
            channel.send(message)
        except DeliveryError as error:
            failed = True
            click.echo(f"{channel.name}: not sent. {error}", err=True)
        else:
            click.echo(f"{channel.name}: sent to {channel.target}.")
    if len(channels) == 1:
        click.echo("Only the log is set up: MOVIEREC_ALERT_WEBHOOK_URL and MOVIEREC_ALERT_EMAIL_TO add channels.")
    if failed:
        raise SystemExit(1)


@alert.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are over, of the last 90 days.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(everything: bool, as_json: bool) -> None:
    """Show open alerts, the newest first, with reason and remedy."""
    from movierec_assets.alerts.storage import not_delivered, told_alerts
    from movierec_assets.host.environment import running_databases
    from movierec_assets.tables.database import Database

    with running_databases(settings_from(), console_log(Console(stderr=True))) as settings:
        database = Database(settings.databases.ratings)
        found = [each for each in told_alerts(database) if everything or each.over_at is None]
        missing = not_delivered(database)
    if as_json:
        print_json([each.as_dict() | {"not_delivered": missing.get(each.alert_id, {})} for each in found])
        return
    if not found:
        click.echo("No alert was told in the last 90 days." if everything else "No alert is open.")
        return
    for each in found:
        _print(each, missing.get(each.alert_id, {}))


def _print(found: Alert, missing: dict[str, str]) -> None:
    ended = f", over since {_time(found.over_at)}" if found.over_at else ""
    console = console_for_people()
    console.print(f"{found.alert_id}  {found.title}", style="dim" if found.over_at else "bold", markup=False)
    lines = [
        f"since {_time(found.since)} UTC{ended}",
        *found.reason.splitlines(),
        *([] if found.over_at else [f"Remedy: {found.remedy}"]),
        *([f"Run: {found.run_id}"] if found.run_id else []),
        *(f"Not told by {channel}: {error or 'not tried yet'}" for channel, error in missing.items()),
    ]
    for line in lines:
        console.print(f"   {line}", markup=False, highlight=False, soft_wrap=True)


def _time(at: datetime) -> str:
    from datetime import UTC

    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
