"""`movierec model`: versions of the recommender, and which one is the champion.

Belongs here: options and messages. Does not: tables (`cli.model_tables`), the work (`host.model_versions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from movierec_assets.cli.shared import (
    console_for_people,
    console_log,
    print_json,
    settings_from,
)

if TYPE_CHECKING:
    from movierec_assets.host.model_versions import ModelVersions
    from movierec_assets.models.decisions import Record

_VERSION = click.argument("version", type=click.IntRange(min=1))
_REASON = click.option("--reason", prompt="Why", help="Kept with the decision; asked for when it is not given.")
_PUBLISH = click.option(
    "--publish/--no-publish",
    default=True,
    show_default=True,
    help="Write the champion's recommendations now; without it the sensor of `movierec up` does.",
)
_FORCE = click.option(
    "--force",
    is_flag=True,
    help="Accept a version of other data: the alias moves, the tables of recommendations stay as they are, and nothing "
    "is served until that data is loaded again.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def model() -> None:
    """List, compare, promote, roll back and release versions of the model."""


@model.command("list")
@click.option("-n", "--newest", type=click.IntRange(min=1), default=20, show_default=True, help="How many versions.")
@_JSON
def list_models(newest: int, as_json: bool) -> None:
    """Show the newest versions with their metrics and the decisions about them."""
    from movierec_assets.cli.model_tables import show_list

    with _models() as models:
        found, holds, loss = models.newest(newest), models.promotions.holds(), models.promotions.loss()
    if as_json:
        print_json([summary.as_dict() for summary in found])
    else:
        show_list(found, holds, loss, console_for_people())


@model.command("show")
@click.argument("version", type=click.IntRange(min=1), required=False)
@_JSON
def show_model(version: int | None, as_json: bool) -> None:
    """Show a version: metrics, recipe, provenance, and the decisions about it. Without VERSION the champion."""
    from movierec_assets.cli.model_tables import show_details

    with _models() as models:
        details = models.details(version)
    print_json(details.as_dict()) if as_json else show_details(details, console_for_people())


@model.command("compare")
@click.argument("a", type=click.IntRange(min=1))
@click.argument("b", type=click.IntRange(min=1))
@_JSON
def compare_models(a: int, b: int, as_json: bool) -> None:
    """Show metrics, recipe and provenance of two versions side by side."""
    from movierec_assets.cli.model_tables import show_comparison

    with _models() as models:
        left, right = models.details(a), models.details(b)
    print_json([left.as_dict(), right.as_dict()]) if as_json else show_comparison(left, right, console_for_people())


@model.command("promote")
@_VERSION
@_REASON
@_PUBLISH
@_FORCE
def promote_model(version: int, reason: str, publish: bool, force: bool) -> None:
    """Make a version the champion, and write its recommendations.

    Training on the same data does not promote the champion before it again; `movierec model release` ends that.
    """
    with _models() as models:
        _follow(models, models.promote(version, reason, force=force), reason, publish)


@model.command("rollback")
@_REASON
@_PUBLISH
@_FORCE
def rollback_model(reason: str, publish: bool, force: bool) -> None:
    """Return to the previous champion, and write its recommendations.

    A second rollback goes further back. Versions of other data, and those that were deleted from the registry, are
    passed over. Training on the same data does not promote the champion before it again; `movierec model release`
    ends that.
    """
    with _models() as models:
        _follow(models, models.rollback(reason, force=force), reason, publish)


@model.command("release")
@click.argument("version", type=click.IntRange(min=1), required=False)
def release_model(version: int | None) -> None:
    """Let training promote the recipe of a held version again. Without VERSION, of every held version.

    `movierec model list` shows the holds. To promote a version at once, use `movierec model promote`.
    """
    from movierec_assets.cli.model_tables import show_released

    with _models() as models:
        released = models.release(version)
        show_released(version, released, models.promotions.holds(), console_for_people())


@contextmanager
def _models() -> Iterator[ModelVersions]:
    from movierec_assets.host.environment import running_databases
    from movierec_assets.host.model_versions import ModelVersions

    with running_databases(settings_from(), console_log(Console(stderr=True))) as settings:
        yield ModelVersions.of(settings)


def _follow(models: ModelVersions, record: Record, reason: str, publish: bool) -> None:
    """Print which version is the champion, and write its recommendations."""
    from movierec_assets.cli.run_progress import run_lines

    console = console_for_people()
    before = f", instead of {record.previous}" if record.previous else ""
    console.print(f"Version [bold]{record.version}[/] is the champion{before} (decision {record.id}).")
    if record.reason != reason:
        console.print(escape(record.reason))
    other = models.other_data(record)
    if other is not None:
        console.print(
            f"Its recommendations are not written, because its movies are not loaded: {escape(other.consequence)} "
            f"({escape(other.command)})."
        )
        return
    if not publish:
        console.print("[dim]The tables follow by the sensor of `movierec up`, or `movierec run --job publish`.[/]")
        return
    with run_lines(console) as listener:
        models.publish(record, listener)
    console.print(f"The recommendations are version {record.version}'s.")
