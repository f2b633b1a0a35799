"""`movierec api`.

Belongs here: options and text. Does not: the processes (`host.api`), the application (`serving.api`).
"""

from __future__ import annotations

import os

import click

from movierec_assets.cli.shared import console_for_people, console_log, settings_from


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on [MOVIEREC_API_HOST, 127.0.0.1].")
@click.option("--port", type=click.IntRange(1, 65535), help="Port [MOVIEREC_API_PORT, 8000].")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes that answer requests; they share the memory of the model [MOVIEREC_API_WORKERS, 1].",
)
def api(host: str | None, port: int | None, workers: int | None) -> None:
    """Answer requests for recommendations over HTTP until Ctrl-C.

    \b
    curl localhost:8000/users/42/recommendations
    curl localhost:8000/health/ready

    /docs lists every endpoint. Reading is open on this machine; on another address, callers need a key of `movierec
    keys create`. What changes models or starts runs always needs a key of the role operator.

    `movierec up` runs the API beside Dagster and MLflow. On its own it needs neither of them: the last champion is
    served from the state directory, and follows the registry when that answers. Posting ratings needs the database.

    Beside the workers runs a keeper, which brings each new champion to them, without a pause. A keeper or a worker that
    ends is started again. SIGTERM ends all of them after the requests that are under way.
    """  # noqa: D301 - click reads the character
    from movierec_assets.host.api import api_databases, serve
    from movierec_assets.serving.online.errand import log_lines

    for name, value in (("HOST", host), ("PORT", port), ("WORKERS", workers)):
        if value is not None:
            os.environ[f"MOVIEREC_API_{name}"] = str(value)
    log_lines()
    console = console_for_people()
    with api_databases(settings_from(), console_log(console)) as settings:
        serve(settings, lambda address: console.print(f"API [link={address}]{address}[/link]", soft_wrap=True))
