"""`movierec model`: versions of the recommender, and which one is the champion.

Belongs here: options and messages. What is done is in `command.models`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console

from movierec_assets.cli.shared import (
    console_for_people,
    print_json,
    sayer,
    settings_from,
)

if TYPE_CHECKING:
    from movierec_assets.command.models import Models
    from movierec_assets.resources.decisions import Record

_VERSION = click.argument("version", type=click.IntRange(min=1))
_REASON = click.option("--reason", prompt="Why", help="Kept with the decision; asked for when it is not given.")
_PUBLISH = click.option(
    "--publish/--no-publish",
    default=True,
    show_default=True,
    help="Write the champion's recommendations now; without it the sensor of `movierec up` does.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def model() -> None:
    """List, compare, promote and roll back versions of the model."""


@model.command("list")
@click.option("-n", "--newest", type=click.IntRange(min=1), default=20, show_default=True, help="How many versions.")
@_JSON
def list_models(newest: int, as_json: bool) -> None:
    """Show the newest versions, what they reach, and what was decided about them."""
    from movierec_assets.command.models import show_list

    with _models() as models:
        found = models.newest(newest)
    print_json([summary.as_dict() for summary in found]) if as_json else show_list(found, console_for_people())


@model.command("show")
@click.argument("version", type=click.IntRange(min=1), required=False)
@_JSON
def show_model(version: int | None, as_json: bool) -> None:
    """Show a version: metrics, recipe, provenance, and the decisions about it. Without VERSION the champion."""
    from movierec_assets.command.models import show_details

    with _models() as models:
        details = models.details(version)
    print_json(details.as_dict()) if as_json else show_details(details, console_for_people())


@model.command("compare")
@click.argument("a", type=click.IntRange(min=1))
@click.argument("b", type=click.IntRange(min=1))
@_JSON
def compare_models(a: int, b: int, as_json: bool) -> None:
    """Show metrics, recipe and provenance of two versions side by side."""
    from movierec_assets.command.models import show_comparison

    with _models() as models:
        left, right = models.details(a), models.details(b)
    print_json([left.as_dict(), right.as_dict()]) if as_json else show_comparison(left, right, console_for_people())


@model.command("promote")
@_VERSION
@_REASON
@_PUBLISH
def promote_model(version: int, reason: str, publish: bool) -> None:
    """Make a version the champion, and write its recommendations."""
    with _models() as models:
        _follow(models, models.promote(version, reason), publish)


@model.command("rollback")
@_REASON
@_PUBLISH
def rollback_model(reason: str, publish: bool) -> None:
    """Return to the previous champion, and write its recommendations.

    A second rollback goes further back. Versions that were deleted from the registry are passed over.
    """
    with _models() as models:
        _follow(models, models.rollback(reason), publish)


@contextmanager
def _models() -> Iterator[Models]:
    from movierec_assets.command.environment import platform
    from movierec_assets.command.models import Models

    with platform(settings_from(), sayer(Console(stderr=True))) as settings:
        yield Models.of(settings)


def _follow(models: Models, record: Record, publish: bool) -> None:
    """Say who is champion, and let the tables follow."""
    console = console_for_people()
    before = f", instead of {record.previous}" if record.previous else ""
    console.print(f"Version [bold]{record.version}[/] is the champion{before} (decision {record.id}).")
    if not publish:
        console.print("[dim]The tables follow by the sensor of `movierec up`, or `movierec run --job publish`.[/]")
        return
    models.publish(record, console)
    console.print(f"The recommendations are version {record.version}'s.")
