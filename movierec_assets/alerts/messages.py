"""The text of an alert, as people read it.

Belongs here: what a message says, whichever channel carries it. Does not: the form of a channel (`webhook`, `mail`,
`log`).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from movierec_assets.alerts.causes import CHECK, FORGOTTEN, RUN, STALE
from movierec_assets.alerts.storage import Alert

State = Literal["open", "over", "test"]

MAX_REASON = 1200
"""Characters of a reason in a message; Discord takes 2000 in all."""
_MAX_TITLE = 200
_CUT = " …"


@dataclass(frozen=True)
class Message:
    """An alert as it is told.

    Attributes
    ----------
    alert_id : int
    state : {"open", "over", "test"}
    title : str
        One line.
    lines : tuple of str
        What happened, where, and the remedy, one a line.
    link : str or None
        Page of Dagster.
    details : dict
        The same as plain values, for programs.
    """

    alert_id: int
    state: State
    title: str
    lines: tuple[str, ...]
    link: str | None
    details: dict[str, Any]

    @property
    def headline(self) -> str:
        """The title, marked when it is over."""
        return f"{ {'open': 'Alert', 'over': 'Over', 'test': 'Test'}[self.state] }: {self.title}"

    @property
    def text(self) -> str:
        """The whole message."""
        return "\n".join([self.headline, *self.lines, *([self.link] if self.link else [])])


def message_of(alert: Alert, state: State, pages: str) -> Message:
    """The message about an alert that begins or ends; `pages` is the address of Dagster's pages."""
    title, link = _cut(_one_line(alert.title), _MAX_TITLE), _link(alert, pages)
    details = alert.as_dict() | {"state": state, "link": link, "host": socket.gethostname()}
    where = [f"Step: {alert.step}" if alert.kind == RUN and alert.step else "", f"Machine: {socket.gethostname()}"]
    if state == "over":
        end = alert.over_at or alert.since
        ended = [f"It lasted from {_time(alert.since)} to {_time(end)} UTC."]
        if alert.kind == RUN and end - alert.since >= FORGOTTEN:
            ended.append(f"Nobody repeated the run for {FORGOTTEN.days} days: it is forgotten, not mended.")
        lines = [*ended, f"Reason at the time: {_cut(alert.reason.strip(), MAX_REASON)}", *where]
    else:
        lines = [_cut(alert.reason.strip(), MAX_REASON), f"Remedy: {alert.remedy}", *where]
    return Message(alert.alert_id, state, title, tuple(filter(None, lines)), link, details)


def sample_message(pages: str) -> Message:
    """The message of `movierec alert test`."""
    host, now = socket.gethostname(), datetime.now(UTC)
    line = f"`movierec alert test` sent this from {host} at {_time(now)} UTC. Alerts arrive here."
    details = {"state": "test", "host": host, "link": pages}
    return Message(0, "test", "This is a test", (line,), pages, details)


def _link(alert: Alert, pages: str) -> str:
    if alert.run_id:
        return f"{pages}/runs/{alert.run_id}"
    return f"{pages}/assets/{alert.step}" if alert.kind in (STALE, CHECK) and alert.step else pages


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - len(_CUT)] + _CUT
