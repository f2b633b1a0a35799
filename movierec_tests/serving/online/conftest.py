"""A platform of a module's own, with a registry, and the small loaded database."""

from movierec_tests.models.harness import module_platform, platform
from movierec_tests.serving.api.conftest import database, small_url, snapshot

__all__ = ["database", "module_platform", "platform", "small_url", "snapshot"]
