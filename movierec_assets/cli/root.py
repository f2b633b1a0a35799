"""The entry point of `movierec`: arguments in, exit status out.

Belongs here: the list of commands, and errors that end them. Does not: the commands, each in a module of its own, which
imports the rooms below when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from movierec_assets import __version__
from movierec_assets.cli.alert import alert
from movierec_assets.cli.api import api
from movierec_assets.cli.app import app
from movierec_assets.cli.backup import backup
from movierec_assets.cli.data import data
from movierec_assets.cli.db import db
from movierec_assets.cli.evaluate import evaluate
from movierec_assets.cli.keys import keys
from movierec_assets.cli.model import model
from movierec_assets.cli.recommend import recommend
from movierec_assets.cli.restore import restore
from movierec_assets.cli.run import run
from movierec_assets.cli.status import status
from movierec_assets.cli.up import up
from movierec_assets.errors import ExplainedError
from movierec_assets.garbage import collect_rarely

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Commands(click.Group):
    """Commands whose exit status is 130 after Ctrl-C; click's own is 1, that of a failure."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="movierec")
def cli() -> None:
    """Movie recommendations from MovieLens ratings, as a Dagster asset graph.

    `movierec run` loads ratings, trains, evaluates, and writes recommendations for every user. Without
    MOVIEREC_DATABASE_URL a private Postgres is started and stopped as needed.
    """


for _command in (run, up, status, api, app, recommend, evaluate, model, keys, alert, data, db, backup, restore):
    cli.add_command(_command)


def _require_own_environment() -> None:
    """Refuse a copied `.venv`, whose scripts start the interpreter, code and database of the original."""
    environment, package = Path(sys.argv[0]).absolute().parent.parent, Path(__file__).parent.parent
    if not (environment / "pyvenv.cfg").is_file():
        return
    neighbour = environment.parent / package.name
    if not environment.samefile(sys.prefix) or (neighbour.is_dir() and not neighbour.samefile(package)):
        raise ExplainedError(
            f"{environment} is a copy, and works on the code and the data in {package.parent}. Run `make install` in "
            f"{environment.parent}, which makes it anew."
        )


def main(command: click.Command = cli, name: str = "movierec") -> Any:
    """Run a command; an ExplainedError is printed without a traceback and gives exit status 1."""
    collect_rarely()
    try:
        _require_own_environment()
        return command(prog_name=name)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except ExplainedError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
