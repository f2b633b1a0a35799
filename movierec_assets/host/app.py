"""The app on one machine: Streamlit's server, and its options.

Belongs here: the command of the server. Does not: pages (`serving.app`).
"""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from movierec_assets.host import CommandError
from movierec_assets.serving import app
from movierec_assets.settings import Settings

INSTALL = "`make up`, or `pip install 'movierec-assets[app]'`"
MAIN = Path(app.__file__).with_name("main.py")
_OPTIONS: dict[str, str] = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "server.maxUploadSize": "1",  # no page takes a file
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",  # the log has them
    "client.showErrorLinks": "false",  # they lead to other hosts
    "runner.magicEnabled": "false",
    "theme.baseRadius": "0.5rem",
    "theme.light.primaryColor": "#4052c4",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f3f4f8",
    "theme.light.textColor": "#1d2030",
    "theme.light.borderColor": "#d9dce6",
    "theme.dark.primaryColor": "#8c9bf5",
    "theme.dark.backgroundColor": "#14161f",
    "theme.dark.secondaryBackgroundColor": "#1f2230",
    "theme.dark.textColor": "#eceef6",
    "theme.dark.borderColor": "#353a4d",
}
"""No telemetry, no look at files, one theme in light and dark: the browser's system says which."""


def is_installed() -> bool:
    """Whether Streamlit is there."""
    return find_spec("streamlit") is not None


def command(settings: Settings) -> list[str]:
    """Arguments of the interpreter for the app's server."""
    options = _OPTIONS | {"server.address": settings.app_host, "server.port": str(settings.app_port)}
    return ["-m", "streamlit", "run", *(f"--{name}={value}" for name, value in options.items()), str(MAIN)]


def become(settings: Settings) -> NoReturn:
    """Become the app's server.

    Raises
    ------
    CommandError
        When Streamlit is missing, or the address cannot be used.
    """
    if not is_installed():
        raise CommandError(f"The app needs Streamlit, which is not installed. Install it with {INSTALL}.")
    _require_free(settings)
    os.execv(sys.executable, [sys.executable, *command(settings)])


def _require_free(settings: Settings) -> None:
    host, port = settings.app_host, settings.app_port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise CommandError(
            f"The app cannot listen on {host}, port {port}: {error.strerror or error}. End the program that uses the "
            "port, or choose another address with MOVIEREC_APP_HOST and MOVIEREC_APP_PORT."
        ) from error
