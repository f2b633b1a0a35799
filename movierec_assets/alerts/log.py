"""Alerts in the log, which is always there.

Belongs here: one line an alert, in the form in which `movierec up` recognizes warnings and errors. Does not: files of
logs (`host.server_lines`).
"""

from __future__ import annotations

import logging
import sys

from movierec_assets.alerts.messages import Message

LOGGER = logging.getLogger("movierec.alerts")
"""Errors for what goes wrong, warnings for what is over."""


class LogChannel:
    """The log of the process that sends."""

    name = "log"
    target = "the log"

    def send(self, message: Message) -> None:
        """Write a message as one line."""
        if not LOGGER.hasHandlers():
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(
                logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
            )
            LOGGER.addHandler(handler)
        level = logging.ERROR if message.state == "open" else logging.WARNING
        LOGGER.log(level, "%s", " | ".join(message.text.splitlines()))
