"""`movierec restore`: the state from the file of a backup.

Belongs here: options and text. Does not: restoring (`movierec_assets.backup`, `host.restoring`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from movierec_assets.cli.shared import console_log, settings_from

if TYPE_CHECKING:
    from movierec_assets.backup.ending import Restored


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the state that is there.")
@click.option("--check", is_flag=True, help="Only compare the file with its hashes, and say what is in it.")
def restore(file: Path, force: bool, check: bool) -> None:
    """Restore databases, matrices and models from FILE, a backup of `movierec backup`.

    They go to the state directory, and to the server of MOVIEREC_DATABASE_URL or the embedded one. Servers must be
    stopped. A state with content is only replaced with --force. After an error everything is as it was.
    """
    from movierec_assets.backup import restoring
    from movierec_assets.host.restoring import restore_here

    settings = settings_from()
    if check:
        click.echo(f"{file} is a whole backup that this version can restore.\n{restoring.check(file).summary}")
        return
    _tell(restore_here(settings, file.absolute(), console_log(Console(stderr=True)), force=force))


def _tell(restored: Restored) -> None:
    click.echo(f"Restored. {restored.manifest.summary}")
    if restored.ended:
        click.echo(f"Canceled runs that went on when the backup was made: {', '.join(restored.ended)}.")
    if restored.fault is not None:
        click.echo(f"The champion, version {restored.champion}, does not load: {restored.fault}.")
    for name, (there, here) in restored.settings.items():
        click.echo(f"The backup was made with {name}={there}; here it is {'not set' if here is None else here}.")
    if (dataset := restored.dataset_elsewhere) is not None:
        click.echo(
            f"The files of {dataset} are not on this machine. The restored ratings are used as they are, and no other "
            "dataset takes their place by itself. Put the files into data/, so that new ratings in them are loaded."
        )
