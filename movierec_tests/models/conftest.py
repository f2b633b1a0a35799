"""Tests of this room share one database, and each module has a platform of its own."""

from movierec_tests.models.harness import module_platform, platform
from movierec_tests.room_database import database, empty_database, shared_database

__all__ = ["database", "empty_database", "module_platform", "platform", "shared_database"]
