"""`movierec app`.

Belongs here: options and text. Does not: the server (`host.app`), pages (`serving.app`).
"""

from __future__ import annotations

import os

import click

from movierec_assets.cli.shared import settings_from


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on [MOVIEREC_APP_HOST, 127.0.0.1].")
@click.option("--port", type=click.IntRange(1, 65535), help="Port [MOVIEREC_APP_PORT, 8501].")
def app(host: str | None, port: int | None) -> None:
    """Serve the app, pages for a browser, until Ctrl-C.

    It shows recommendations, how they are made, and the state of the platform. Everything comes from the API, which
    `movierec up` and `movierec api` serve: MOVIEREC_APP_API_URL names another one, and MOVIEREC_APP_API_KEY_FILE a file
    with a reader's key, where the API wants one.

    `movierec up` serves the app beside everything else.
    """
    from movierec_assets.host.app import become

    for name, value in (("HOST", host), ("PORT", port)):
        if value is not None:
            os.environ[f"MOVIEREC_APP_{name}"] = str(value)
    become(settings_from())
