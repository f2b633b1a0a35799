"""Alerts to a webhook: JSON that Slack, Discord and Teams take, and other programs.

Belongs here: the JSON of each receiver, and one request. Does not: retries (`delivery`).

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
https://discord.com/developers/docs/resources/webhook#execute-webhook,
https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ProtocolError

from movierec_assets.alerts.channel import DeliveryError
from movierec_assets.alerts.messages import Message

CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
"""A receiver that was slow but took the message must not get it twice, so reading waits longer than receivers need."""
MAX_DISCORD = 2000
_REMEDY = "Correct MOVIEREC_ALERT_WEBHOOK_URL, or see that the receiver works"


class WebhookChannel:
    """A webhook.

    Parameters
    ----------
    url : str
        Secret: whoever knows it can post.
    seconds : tuple of float
        Longest waits for the connection and for the answer.
    """

    name = "webhook"

    def __init__(self, url: str, seconds: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS)) -> None:
        self._url = url
        self._seconds = seconds

    @property
    def target(self) -> str:
        """The host; the rest of the address is secret."""
        return urlsplit(self._url).hostname or "?"

    def send(self, message: Message) -> None:
        """Post a message.

        Raises
        ------
        DeliveryError
        """
        body = BytesIO(json.dumps(payload(message, self.target)).encode())
        try:
            # Not redirected: the message would become a GET, and the address of a webhook does not move.
            # Only the status is read: a body that drips holds nothing up.
            with requests.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=self._seconds,
                allow_redirects=False,
                stream=True,
            ) as answer:
                pass
        except requests.RequestException as error:
            # A handshake of TLS that hangs is a ReadTimeout as well, but then the body was not read.
            sent = isinstance(error, requests.ReadTimeout) and body.tell() > 0
            # requests' own message has the address
            raise self._error(_why(error, sent), may_have_arrived=sent) from None
        if not answer.ok or answer.is_redirect:
            raise self._error(f"answered {answer.status_code}", _retry_after(answer.headers.get("Retry-After", "")))

    def _error(
        self, problem: str, retry_after: timedelta | None = None, *, may_have_arrived: bool = False
    ) -> DeliveryError:
        text = f"The webhook at {self.target} {problem}. {_REMEDY}."
        return DeliveryError(text, retry_after, may_have_arrived=may_have_arrived)


def payload(message: Message, host: str) -> dict[str, Any]:
    """The JSON for the receiver at a host.

    Slack and Discord refuse the fields of others, so each gets its own only. Every other receiver gets all: `text` as
    Mattermost and older Teams take it, `content`, a card as Teams' workflows take it, and `alert` with plain values.
    """
    discord = {"content": message.text[:MAX_DISCORD], "allowed_mentions": {"parse": []}}
    if _is(host, "slack.com"):
        return {"text": message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
    if _is(host, "discord.com", "discordapp.com"):
        return discord
    return {
        "text": message.text,
        **discord,
        "type": "message",
        "attachments": [_card(message)],
        "alert": message.details,
    }


def _is(host: str, *domains: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _card(message: Message) -> dict[str, Any]:
    heading = {"type": "TextBlock", "text": message.headline, "weight": "Bolder", "wrap": True}
    lines = [{"type": "TextBlock", "text": line, "wrap": True} for line in message.lines]
    opens = [{"type": "Action.OpenUrl", "title": "Open in Dagster", "url": message.link}] if message.link else []
    return {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [heading, *lines],
            "actions": opens,
        },
    }


def _why(error: requests.RequestException, sent: bool) -> str:
    if sent:
        return "took the message, but did not answer in time"
    if isinstance(error, requests.Timeout):
        return "cannot be reached: no connection in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "has no valid certificate"
    if any(isinstance(cause, ProtocolError) for cause in error.args):
        return "ended the connection without an answer"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    return f"cannot be used ({type(error).__name__})"


def _retry_after(header: str) -> timedelta | None:
    try:
        return timedelta(seconds=max(0.0, float(header)))
    except (ValueError, OverflowError):
        return None
