"""What a channel is.

Belongs here: the contract, and the error of a channel that does not take a message. Does not: the channels (`webhook`,
`mail`, `log`), which of them are set up (`channels`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from movierec_assets.alerts.messages import Message
from movierec_assets.errors import ExplainedError


class DeliveryError(ExplainedError, RuntimeError):
    """A channel did not take a message; the message names channel, cause and remedy, and no secret.

    Attributes
    ----------
    retry_after : timedelta or None
        Wait that the receiver asked for.
    may_have_arrived : bool
        Whether the whole message was sent, and only the answer is missing.
    """

    def __init__(self, message: str, retry_after: timedelta | None = None, *, may_have_arrived: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """Name in the table of deliveries."""

    @property
    def target(self) -> str:
        """Where its messages go, without secrets."""

    def send(self, message: Message) -> None:
        """Send a message.

        Raises
        ------
        DeliveryError
        """
