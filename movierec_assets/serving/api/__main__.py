"""One worker: `python -m movierec_assets.serving.api DESCRIPTOR` answers requests from a listening socket.

Belongs here: the server's options. Does not: the application (`app`), its parts (`parts`), starting workers
(`host.api`).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.parts import running_worker
from movierec_assets.serving.online.errand import end_with_parent, log_lines
from movierec_assets.settings import Settings, get_settings

STOP_SECONDS = 5
"""Requests that are under way when the worker is told to end have this time."""


def main(descriptor: int, routes: Sequence[APIRoute] | None = None) -> None:
    """Answer requests until SIGTERM, or until the process that started this one has ended.

    Parameters
    ----------
    descriptor : int
        Of a listening socket, inherited; other workers may listen on it, too.
    routes : sequence of APIRoute, optional
        In place of all routes.
    """
    log_lines()
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    settings = get_settings()
    config = server_config(create_app(settings, running_worker, routes), settings)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How the server runs an application."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,  # the application writes its own
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        forwarded_allow_ips=settings.trusted_proxies,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
