"""The channels that the settings set up.

Belongs here: which channels there are. Does not: the channels (`webhook`, `mail`, `log`), retries (`delivery`).
"""

from __future__ import annotations

from movierec_assets.alerts.channel import Channel
from movierec_assets.alerts.log import LogChannel
from movierec_assets.alerts.mail import MailChannel
from movierec_assets.alerts.webhook import WebhookChannel
from movierec_assets.settings import Settings


def channels_of(settings: Settings) -> list[Channel]:
    """The channels that are set up; the log always is, and comes first."""
    found: list[Channel] = [LogChannel()]
    if settings.alert_webhook_url is not None:
        found.append(WebhookChannel(settings.alert_webhook_url.get_secret_value()))
    if settings.alert_smtp_url is not None:
        recipients = settings.alert_recipients
        sender = settings.alert_email_from or recipients[0]
        found.append(MailChannel(settings.alert_smtp_url.get_secret_value(), recipients, sender))
    return found
