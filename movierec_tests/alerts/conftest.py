"""Receivers of alerts on this machine, and one database for the room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from movierec_tests.alerts.receivers import MailServer, Webhook
from movierec_tests.room_database import database, shared_database

__all__ = ["database", "shared_database"]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server
