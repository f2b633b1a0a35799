"""A webhook and a mail server on this machine, which keep what they were sent.

Belongs here: real servers that answer as told. Does not: claims.
"""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import pytest


class _Serving:
    """A server in a thread, from the beginning of a block to its end."""

    _server: socketserver.BaseServer

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def release(self) -> None:
        """Let requests that are held back go on."""


class Webhook(_Serving):
    """A webhook that answers with `statuses` in order, then with 200; after `hold` it does not answer.

    With `drips`, the body of an answer does not come; with `breaks`, a request gets none.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.drips = self.breaks = False
        self.arrived = threading.Event()
        self._over = threading.Event()
        self._answers = threading.Event()
        self._answers.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.arrived.set()
                outer._answers.wait(60)
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status == 200:
                    outer.bodies.append(body)
                if outer.breaks:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "1" if outer.drips else "0")
                self.end_headers()
                if outer.drips:
                    outer._over.wait(60)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """The client went away, as it should."""

        self._server = Server(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/services/SECRET"  # type: ignore[index]

    def hold(self) -> None:
        """Take requests, and answer none until `release`."""
        self._answers.clear()

    def release(self) -> None:
        self._answers.set()
        self._over.set()


class Closing(_Serving):
    """A port that takes connections and closes them, as a proxy without a server behind it."""

    def __init__(self) -> None:
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/services/SECRET"  # type: ignore[index]


class MailServer(_Serving):
    """A mail server that takes AUTH PLAIN with `password`, and refuses recipients in `refused`.

    With a TLS context it offers STARTTLS, or speaks TLS `at_once`. It ends the connection `ends_at` "DATA", before a
    mail, or at ".", after it.
    """

    def __init__(self, context: ssl.SSLContext | None = None, *, at_once: bool = False) -> None:
        self.encrypted: list[bool] = []
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refused: set[str] = set()
        self.password = "secret"
        self.logins: list[str] = []
        self.busy = False
        self.farewell = "221 bye"
        self.ends_at = ""
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def setup(self) -> None:
                if context is not None and at_once:
                    self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def handle(self) -> None:
                self._say("421 busy" if outer.busy else "220 test")
                while line := self.rfile.readline():
                    verb, _, rest = line.decode().strip().partition(" ")
                    if not self._answer(verb.upper(), rest):
                        return

            def _answer(self, verb: str, rest: str) -> bool:
                match verb:
                    case "EHLO" if context is not None and not self._is_encrypted():
                        self._say("250-test", "250-STARTTLS", "250 AUTH PLAIN")
                    case "EHLO":
                        self._say("250-test", "250 AUTH PLAIN")
                    case "STARTTLS" if context is not None:
                        self._say("220 go on")
                        self.request = context.wrap_socket(self.request, server_side=True)
                        super().setup()
                    case "AUTH":
                        self._say(outer._log_in(rest))
                    case "RCPT":
                        address = rest.partition("<")[2].partition(">")[0]
                        outer.recipients.append(address)
                        self._say("550 unknown" if address in outer.refused else "250 ok")
                    case "DATA" if outer.ends_at == "DATA":
                        return False
                    case "DATA":
                        self._say("354 go on")
                        outer.encrypted.append(self._is_encrypted())
                        outer._take(b"".join(iter(self.rfile.readline, b".\r\n")))
                        if outer.ends_at == ".":
                            return False
                        self._say("250 taken")
                    case "QUIT":
                        self._say(outer.farewell)
                        return False
                    case _:
                        self._say("250 ok")
                return True

            def _is_encrypted(self) -> bool:
                return isinstance(self.request, ssl.SSLSocket)

            def _say(self, *lines: str) -> None:
                self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """The client went away, as it should."""

        self._server = Server(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])  # type: ignore[index]

    def _log_in(self, rest: str) -> str:
        _, user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
        self.logins.append(user)
        return "235 welcome" if password == self.password else "535 wrong"

    def _take(self, data: bytes) -> None:
        mail = message_from_bytes(data, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server
