"""Tests of this room share one database."""

from movierec_tests.room_database import database, empty_database, shared_database

__all__ = ["database", "empty_database", "shared_database"]
