"""`movierec alert`: open alerts, and a test of the channels."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from movierec_assets.alerts.causes import Cause
from movierec_assets.alerts.delivery import deliver
from movierec_assets.alerts.storage import update
from movierec_assets.alerts.webhook import WebhookChannel
from movierec_assets.cli.root import cli
from movierec_assets.tables.database import Database
from movierec_tests.alerts.receivers import MailServer, Webhook

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def alert(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["alert", *arguments])


def test_a_test_message_goes_to_every_channel(
    webhook: Webhook, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_ALERT_WEBHOOK_URL", webhook.url)
    monkeypatch.setenv("MOVIEREC_ALERT_EMAIL_TO", "one@films.example, two@films.example")
    monkeypatch.setenv("MOVIEREC_ALERT_SMTP_URL", f"smtp://ann:secret@127.0.0.1:{mail_server.port}")
    result = alert("test")
    assert result.exit_code == 0, result.output
    assert "webhook: sent to 127.0.0.1." in result.stdout
    assert "email: sent to one@films.example, two@films.example by 127.0.0.1." in result.stdout
    assert "SECRET" not in result.output
    assert webhook.bodies[0]["text"].startswith("Test: ")
    (mail,) = mail_server.mails
    assert (mail["From"], mail["Subject"]) == ("one@films.example", "[movierec] Test: This is a test")


def test_a_channel_that_does_not_take_the_message_fails_the_command_and_not_the_others(
    webhook: Webhook, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook.statuses = [403]
    monkeypatch.setenv("MOVIEREC_ALERT_WEBHOOK_URL", webhook.url)
    monkeypatch.setenv("MOVIEREC_ALERT_EMAIL_TO", "one@films.example")
    monkeypatch.setenv("MOVIEREC_ALERT_SMTP_URL", f"smtp://127.0.0.1:{mail_server.port}")
    result = alert("test")
    assert result.exit_code == 1
    assert (
        "webhook: not sent. The webhook at 127.0.0.1 answered 403. Correct MOVIEREC_ALERT_WEBHOOK_URL" in result.stderr
    )
    assert "email: sent" in result.stdout
    assert "Traceback" not in result.output


def test_without_channels_the_log_is_tested_and_the_settings_are_named() -> None:
    result = alert("test")
    assert result.exit_code == 0
    assert "MOVIEREC_ALERT_WEBHOOK_URL" in result.stdout


@pytest.mark.usefixtures("platform_settings")
def test_open_alerts_are_listed_with_reason_remedy_and_what_was_not_told(database: Database, webhook: Webhook) -> None:
    assert alert("list").stdout == "No alert is open.\n"
    webhook.statuses = [503]
    over = Cause("disk:/", "disk", "The disk of / is nearly full", "1 GB is free.", "Free space.")
    failed = Cause("run:a", "run", "train failed at a", "no [memory]", "Add some.", "42", "a")
    update(database, [over, failed], ["webhook"], NOW)
    update(database, [failed], ["webhook"], NOW + timedelta(hours=1))
    deliver(database, WebhookChannel(webhook.url), "http://pages", lambda: NOW + timedelta(hours=1))
    listed = alert("list").stdout
    for part in ("train failed at a", "since 2026-05-01 12:00 UTC", "no [memory]", "Remedy: Add some.", "Run: 42"):
        assert part in listed
    assert "The disk" not in listed
    assert "The disk" in alert("list", "--all").stdout
    (found,) = json.loads(alert("list", "--json").stdout)
    assert (found["cause"], found["run_id"], found["over_at"]) == ("run:a", "42", None)
    everything = json.loads(alert("list", "--all", "--json").stdout)
    failing = [each["not_delivered"] for each in everything if each["not_delivered"]]
    assert len(failing) == 1
    assert "answered 503" in failing[0]["webhook"]
