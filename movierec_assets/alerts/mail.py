"""Alerts by e-mail.

Belongs here: the mail and one SMTP session. Does not: retries (`delivery`).
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from movierec_assets.alerts.channel import DeliveryError
from movierec_assets.alerts.log import LOGGER
from movierec_assets.alerts.messages import Message

SECONDS = 30.0
_PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _NotesTheEnd(smtplib.SMTP):
    """A session that notes when a whole mail was sent."""

    sent_whole = False

    def send(self, s: Any) -> None:
        super().send(s)
        if isinstance(s, bytes) and s.endswith(b"\r\n.\r\n"):
            self.sent_whole = True


class _EncryptedNotesTheEnd(_NotesTheEnd, smtplib.SMTP_SSL):
    """The same, encrypted from the beginning."""


class MailChannel:
    """A mail server.

    Parameters
    ----------
    url : str
        smtp://user:password@host:port, with STARTTLS where the server offers it, or smtps://. Secret.
    recipients : sequence of str
    sender : str
    seconds : float
        Longest wait for the server.
    """

    name = "email"

    def __init__(self, url: str, recipients: Sequence[str], sender: str, seconds: float = SECONDS) -> None:
        self._server = urlsplit(url)
        self._recipients = list(recipients)
        self._sender = sender
        self._seconds = seconds

    @property
    def target(self) -> str:
        """Recipients and host."""
        return f"{', '.join(self._recipients)} by {self._host}"

    @property
    def _host(self) -> str:
        return self._server.hostname or ""

    def send(self, message: Message) -> None:
        """Send a mail.

        Raises
        ------
        DeliveryError
        """
        mail = self._mail(message)
        session: _NotesTheEnd | None = None
        try:
            session = self._session()
            try:
                refused = session.send_message(mail)
            finally:
                with suppress(OSError):  # a server that took the mail may end as it likes
                    session.quit()
                session.close()
        except smtplib.SMTPAuthenticationError:
            raise self._error("refuses user and password") from None
        except smtplib.SMTPRecipientsRefused:
            raise self._error("refuses every address of MOVIEREC_ALERT_EMAIL_TO") from None
        except smtplib.SMTPResponseException as error:
            raise self._error(f"answered {error.smtp_code} {_text(error.smtp_error)}") from None
        except ssl.SSLError:
            raise self._error("has no valid certificate") from None
        except (OSError, smtplib.SMTPException) as error:
            if session is not None and session.sent_whole:
                raise self._error("took the mail, but did not answer", may_have_arrived=True) from None
            raise self._error(f"cannot be reached ({str(error) or type(error).__name__})") from None
        if refused:
            # The others have it: sent again, they would have it twice.
            LOGGER.warning(
                "The mail server at %s refuses %s (MOVIEREC_ALERT_EMAIL_TO).", self._host, ", ".join(refused)
            )

    def _session(self) -> _NotesTheEnd:
        port = self._server.port or _PORTS[self._server.scheme]
        context = ssl.create_default_context()
        if self._server.scheme == "smtps":
            session: _NotesTheEnd = _EncryptedNotesTheEnd(self._host, port, timeout=self._seconds, context=context)
        else:
            session = _NotesTheEnd(self._host, port, timeout=self._seconds)
        try:
            self._greet(session, context)
        except BaseException:
            session.close()
            raise
        return session

    def _greet(self, session: smtplib.SMTP, context: ssl.SSLContext) -> None:
        session.ehlo_or_helo_if_needed()
        encrypted = self._server.scheme == "smtps"
        if not encrypted and session.has_extn("starttls"):
            session.starttls(context=context)
            encrypted = True
        if self._server.username:
            if not encrypted and self._host not in _LOOPBACK:
                raise self._error("offers no encryption, so the password was not sent to it")
            session.login(unquote(self._server.username), unquote(self._server.password or ""))

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = f"[movierec] {message.headline}"
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._recipients)
        mail["Date"] = format_datetime(datetime.now(UTC))
        # The same at each try, so that a mail that was sent twice is shown once; the end answers the beginning.
        since = "".join(filter(str.isdigit, str(message.details.get("since", ""))))
        domain = self._sender.strip("<> ").rpartition("@")[2] or "movierec"
        beginning = f"<movierec-alert-{message.alert_id}-{since}@{domain}>"
        if message.state == "open":
            mail["Message-ID"] = beginning
        elif message.state == "over":
            mail["Message-ID"] = f"<movierec-alert-{message.alert_id}-{since}-over@{domain}>"
            mail["In-Reply-To"] = mail["References"] = beginning
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join([message.headline, *message.lines, *([message.link] if message.link else [])]))
        return mail

    def _error(self, problem: str, *, may_have_arrived: bool = False) -> DeliveryError:
        return DeliveryError(
            f"The mail server at {self._host} {problem}. Correct MOVIEREC_ALERT_SMTP_URL, or see that it works.",
            may_have_arrived=may_have_arrived,
        )


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
