"""A module that needs a platform has one of its own."""

from movierec_tests.models.harness import module_platform, platform

__all__ = ["module_platform", "platform"]
