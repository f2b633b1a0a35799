"""`movierec backup`: the whole state in one file.

Belongs here: options and text. Does not: backups (`movierec_assets.backup`).
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from movierec_assets.cli.shared import console_log, settings_from


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def backup(file: Path, force: bool) -> None:
    """Write databases, matrices, models and settings to FILE, as they are at one moment; runs may go on meanwhile.

    Secrets are not in it: passwords, addresses of webhooks. Nor are datasets; their ratings are. `movierec restore`
    reads it.
    """
    from movierec_assets.backup.making import make
    from movierec_assets.host.environment import running_databases

    log = console_log(Console(stderr=True))
    with running_databases(settings_from(), log) as settings:
        made = make(settings, file, log, overwrite=force)
    click.echo(f"{made.path}: {made.bytes / 1e6:,.1f} MB in {made.seconds:.0f} s, every hash compared.")
    click.echo(made.manifest.summary)
    if made.manifest.mlflow is None:
        click.echo("Models are not in it: they are on the MLflow server of MOVIEREC_MLFLOW_TRACKING_URI.")
