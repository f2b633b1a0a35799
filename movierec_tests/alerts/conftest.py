"""Receivers of alerts on this machine, and one database for the room."""

from movierec_tests.alerts.receivers import mail_server, webhook
from movierec_tests.room_database import database, shared_database

__all__ = ["database", "mail_server", "shared_database", "webhook"]
