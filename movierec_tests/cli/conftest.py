"""A module that needs a platform has one of its own."""

from movierec_tests.alerts.receivers import mail_server, webhook
from movierec_tests.models.harness import module_platform, platform

__all__ = ["mail_server", "module_platform", "platform", "webhook"]
