"""What channels tell, when they try again, and what a receiver that is slow or away cannot do."""

from __future__ import annotations

import json
import logging
import socket
import threading
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.alerts.causes import Cause
from movierec_assets.alerts.channel import DeliveryError
from movierec_assets.alerts.delivery import GIVE_UP, MAX_PAUSE, PAUSE, deliver, deliver_beside, pause_after
from movierec_assets.alerts.log import LogChannel
from movierec_assets.alerts.messages import MAX_REASON, message_of, sample_message
from movierec_assets.alerts.storage import due_channels, failing_channels, not_delivered, told_alerts
from movierec_assets.alerts.webhook import CONNECT_SECONDS, MAX_DISCORD, READ_SECONDS, WebhookChannel, payload
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.alerts.messages import CAUSE, NOW, PAGES, message, told
from movierec_tests.alerts.receivers import Closing, Webhook
from movierec_tests.waiting import wait_until


def send(database: Database, url: str, at: datetime = NOW, seconds: float = READ_SECONDS) -> int:
    return deliver(database, WebhookChannel(url, (CONNECT_SECONDS, seconds)), PAGES, lambda: at)


def test_a_webhook_gets_the_beginning_and_the_end_of_an_alert_once_each(database: Database, webhook: Webhook) -> None:
    told(database, CAUSE)
    assert (send(database, webhook.url), send(database, webhook.url)) == (1, 0)
    told(database)
    assert (send(database, webhook.url), send(database, webhook.url)) == (1, 0)
    first, last = (body["text"] for body in webhook.bodies)
    assert first.startswith("Alert: train failed at als_model\nno <memory>")
    for part in ("Remedy: Add some.", "Step: als_model", f"{PAGES}/runs/42"):
        assert part in first
    assert last.startswith("Over: train failed at als_model\nIt lasted from 2026-05-01 12:00")


@pytest.mark.parametrize(("days", "forgotten"), [(29, False), (30, True)])
def test_a_failed_run_that_nobody_repeated_is_told_as_forgotten(database: Database, days: int, forgotten: bool) -> None:
    told(database, CAUSE)
    told(database, at=NOW + timedelta(days=days))
    text = message_of(told_alerts(database)[0], "over", PAGES).text
    assert ("it is forgotten, not mended" in text) == forgotten


def test_a_webhook_that_is_down_is_tried_again_later_and_told_once(database: Database, webhook: Webhook) -> None:
    webhook.statuses = [503, 500, 404]
    told(database, CAUSE)
    at = NOW
    for attempt in (1, 2, 3):
        assert send(database, webhook.url, at) == 0
        assert send(database, webhook.url, at + pause_after(attempt) - timedelta(seconds=1)) == 0, "not yet"
        assert "answered" in not_delivered(database)[told_alerts(database)[0].alert_id]["webhook"]
        at += pause_after(attempt)
    assert not webhook.statuses
    assert list(failing_channels(database, ["webhook"])) == ["webhook"]
    assert send(database, webhook.url, at) == 1
    assert len(webhook.bodies) == 1
    assert failing_channels(database, ["webhook"]) == {}
    assert due_channels(database) == set()


def test_an_alert_that_ended_while_the_webhook_was_down_is_told_in_one_message(
    database: Database, webhook: Webhook
) -> None:
    webhook.statuses = [503]
    told(database, CAUSE)
    send(database, webhook.url)
    told(database, at=NOW + PAUSE / 2)
    assert send(database, webhook.url, NOW + PAUSE / 2) == 0, "the end does not make it try earlier"
    assert send(database, webhook.url, NOW + PAUSE) == 1
    (body,) = webhook.bodies
    assert body["text"].startswith("Over: ")
    assert "no <memory>" in body["text"]


def test_a_message_is_given_up_after_a_day_and_the_channel_counts_as_failing_until_it_works(
    database: Database, webhook: Webhook
) -> None:
    webhook.statuses = [500] * 100
    told(database, CAUSE)
    at = NOW
    while "webhook" in due_channels(database):
        send(database, webhook.url, at)
        at += MAX_PAUSE
    assert GIVE_UP <= at - NOW <= GIVE_UP + 2 * MAX_PAUSE
    assert list(failing_channels(database, ["webhook"])) == ["webhook"]
    told(database, at=at)
    assert due_channels(database) == set(), "nobody is told the end of what was not told"
    webhook.statuses = []
    told(database, CAUSE, at=at)
    assert send(database, webhook.url, at) == 1
    assert failing_channels(database, ["webhook"]) == {}


def test_a_message_that_is_refused_does_not_hold_back_others(database: Database, webhook: Webhook) -> None:
    webhook.statuses = [400]
    told(database, CAUSE, Cause("disk:/", "disk", "The disk is nearly full", "r", "m"))
    assert send(database, webhook.url) == 1


def test_a_clock_that_was_set_back_holds_back_nothing(database: Database, webhook: Webhook) -> None:
    webhook.statuses = [503]
    told(database, CAUSE)
    send(database, webhook.url)
    assert send(database, webhook.url, NOW - timedelta(days=1)) == 1


def test_a_slow_webhook_delays_nobody_and_gets_the_message_once(database: Database, webhook: Webhook) -> None:
    webhook.hold()
    told(database, CAUSE)
    channel = WebhookChannel(webhook.url)
    deliver_beside(database, [channel], PAGES)  # returns although nothing is answered
    assert webhook.arrived.wait(30)
    deliver_beside(database, [channel], PAGES)
    assert deliver(database, channel, PAGES) == 0, "another process does not send what is being sent"
    assert webhook.bodies == []
    webhook.release()
    wait_until(lambda: not due_channels(database))
    assert len(webhook.bodies) == 1


def tries(database: Database, url: str, start: datetime = NOW) -> list[int]:
    """Of some minutes after a start: those at which a webhook that never answers was tried."""
    found = []
    for minute in (0, 1, 2, 3, 60, 61, 62, 120, 180, 240):
        before = _attempts(database)
        send(database, url, start + timedelta(minutes=minute), seconds=0.05)
        found += [minute] * (_attempts(database) - before)
    return found


def _attempts(database: Database) -> int:
    ((attempts,),) = database.rows(f"SELECT sum(attempts) FROM {SCHEMA}.alert_deliveries")
    return int(attempts)


def test_a_webhook_that_never_answers_gets_a_beginning_and_an_end_three_times_each_at_most(
    database: Database, webhook: Webhook
) -> None:
    webhook.hold()
    told(database, CAUSE)
    assert tries(database, webhook.url) == [0, 1, 61]
    assert due_channels(database) == set()
    later = NOW + timedelta(days=1)
    told(database, at=later)
    assert tries(database, webhook.url, later) == [0, 60], "the pauses go on from those of the beginning"
    assert due_channels(database) == set()
    assert list(failing_channels(database, ["webhook"])) == ["webhook"]
    webhook.release()
    wait_until(lambda: len(webhook.bodies) >= 5)
    assert sorted(body["alert"]["state"] for body in webhook.bodies) == ["open"] * 3 + ["over"] * 2


def test_tries_that_failed_for_sure_do_not_count_as_tries_that_may_have_arrived(
    database: Database, webhook: Webhook
) -> None:
    webhook.statuses = [503] * 5
    told(database, CAUSE)
    at = NOW
    for _ in range(5):
        send(database, webhook.url, at)
        at += MAX_PAUSE
    webhook.hold()
    send(database, webhook.url, at, seconds=0.05)
    webhook.release()
    wait_until(lambda: len(webhook.bodies) == 1)
    assert due_channels(database) == {"webhook"}
    assert send(database, webhook.url, at + MAX_PAUSE) == 1


def test_after_a_day_without_an_arrival_one_that_is_unsure_still_makes_the_end_be_told(
    database: Database, webhook: Webhook
) -> None:
    webhook.hold()
    told(database, CAUSE)
    send(database, "http://127.0.0.1:9/SECRET")
    send(database, webhook.url, NOW + GIVE_UP, seconds=0.05)
    assert due_channels(database) == set()
    told(database, at=NOW + GIVE_UP)
    assert due_channels(database) == {"webhook"}


def test_a_port_that_closes_connections_misses_no_message(database: Database, webhook: Webhook) -> None:
    told(database, CAUSE)
    with Closing() as closing:
        for minute in (0, 1, 3, 7, 70):
            assert send(database, closing.url, NOW + timedelta(minutes=minute)) == 0
    assert send(database, webhook.url, NOW + timedelta(minutes=140)) == 1
    assert [body["alert"]["state"] for body in webhook.bodies] == ["open"]


def test_a_message_that_did_not_arrive_is_not_given_up_after_three_tries(database: Database, webhook: Webhook) -> None:
    webhook.statuses, at = [503] * 5, NOW
    told(database, CAUSE)
    for _ in range(5):
        assert send(database, webhook.url, at) == 0
        at += MAX_PAUSE
    send(database, "http://127.0.0.1:9/SECRET", at)
    assert send(database, webhook.url, at + MAX_PAUSE) == 1


def test_only_a_request_that_was_sent_and_not_answered_in_time_may_have_arrived(webhook: Webhook) -> None:
    def failure(url: str, seconds: float = READ_SECONDS) -> DeliveryError:
        with pytest.raises(DeliveryError) as error:
            WebhookChannel(url, (30, seconds)).send(sample_message(PAGES))
        return error.value

    for url in ("http://127.0.0.1:9/SECRET", "https://no-such-host.invalid/SECRET"):
        assert not failure(url).may_have_arrived
    with Closing() as closing:
        for scheme in ("http", "https"):
            assert not failure(closing.url.replace("http", scheme, 1)).may_have_arrived
    webhook.hold()
    assert failure(webhook.url, 0.05).may_have_arrived
    webhook.release()
    webhook.breaks = True
    with pytest.raises(DeliveryError, match="ended the connection without an answer") as error:
        WebhookChannel(webhook.url).send(sample_message(PAGES))
    assert not error.value.may_have_arrived


def test_a_handshake_of_tls_that_hangs_is_a_connection_that_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/SECRET"
        with pytest.raises(DeliveryError, match="cannot be reached: no connection in time") as error:
            WebhookChannel(url, (0.05, 0.05)).send(sample_message(PAGES))
    assert not error.value.may_have_arrived


def test_a_webhook_whose_answer_drips_is_not_waited_for(database: Database, webhook: Webhook) -> None:
    webhook.drips = True
    told(database, CAUSE)
    assert send(database, webhook.url) == 1


def test_an_alert_that_ends_while_its_beginning_is_sent_is_told_as_over_afterwards(
    database: Database, webhook: Webhook
) -> None:
    webhook.hold()
    told(database, CAUSE)
    sending = threading.Thread(target=send, args=(database, webhook.url))
    sending.start()
    assert webhook.arrived.wait(30)
    told(database)
    webhook.release()
    sending.join()
    assert send(database, webhook.url) == 1
    assert [body["alert"]["state"] for body in webhook.bodies] == ["open", "over"]


def test_a_webhook_that_does_not_answer_is_an_error_without_its_secret(database: Database, webhook: Webhook) -> None:
    webhook.hold()
    with pytest.raises(DeliveryError, match=r"at 127\.0\.0\.1 took the message, but did not answer in time") as error:
        WebhookChannel(webhook.url, (5, 0.05)).send(sample_message(PAGES))
    assert "SECRET" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/SECRET", "https://no-such-host.invalid/SECRET"])
def test_a_webhook_that_cannot_be_reached_is_an_error_without_its_secret(url: str) -> None:
    with pytest.raises(DeliveryError, match=r"cannot be reached.*MOVIEREC_ALERT_WEBHOOK_URL") as error:
        WebhookChannel(url).send(sample_message(PAGES))
    assert "SECRET" not in str(error.value)


def test_a_webhook_that_has_moved_is_an_error(webhook: Webhook) -> None:
    webhook.statuses, webhook.headers = [302], {"Location": webhook.url}
    with pytest.raises(DeliveryError, match="answered 302"):
        WebhookChannel(webhook.url).send(sample_message(PAGES))


@pytest.mark.parametrize(
    ("header", "wait"), [("90", timedelta(seconds=90)), ("soon", None), ("inf", None), ("-5", timedelta(0))]
)
def test_a_webhook_that_asks_for_a_pause_gets_it(webhook: Webhook, header: str, wait: timedelta | None) -> None:
    webhook.statuses, webhook.headers = [429], {"Retry-After": header}
    with pytest.raises(DeliveryError) as error:
        WebhookChannel(webhook.url).send(sample_message(PAGES))
    assert error.value.retry_after == wait


@given(st.integers(1, 10_000), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_pauses_grow_to_the_longest_one_and_are_never_shorter_than_asked(attempts: int, asked: timedelta) -> None:
    assert PAUSE <= pause_after(attempts) <= pause_after(attempts + 1) <= MAX_PAUSE
    assert pause_after(attempts, asked) >= min(asked, MAX_PAUSE)


def test_slack_and_discord_get_only_fields_that_they_know_and_nobody_is_called(database: Database) -> None:
    sent = message(database)
    slack, discord = payload(sent, "hooks.slack.com"), payload(sent, "discord.com")
    assert set(slack) == {"text"}
    assert "no &lt;memory&gt; &amp; @everyone" in slack["text"]
    assert set(discord) == {"content", "allowed_mentions"}
    assert discord["allowed_mentions"] == {"parse": []}


def test_teams_gets_a_card_and_other_receivers_every_field(database: Database) -> None:
    sent = message(database)
    for host in ("prod-1.westeurope.logic.azure.com", "notslack.com"):
        body = json.loads(json.dumps(payload(sent, host)))
        assert set(body) == {"text", "content", "allowed_mentions", "type", "attachments", "alert"}
        (attachment,) = body["attachments"]
        card = attachment["content"]
        assert (body["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
        assert card["body"][0]["text"] == "Alert: train failed at als_model"
        assert card["actions"][0]["url"] == body["alert"]["link"] == f"{PAGES}/runs/42"
        assert (body["alert"]["cause"], body["alert"]["run_id"]) == ("run:als_model", "42")


def test_a_long_reason_is_cut_so_that_discord_takes_it(database: Database) -> None:
    sent = message(database, "x" * 100_000)
    assert len(sent.text) < MAX_DISCORD
    assert f"{'x' * (MAX_REASON - 2)} …" in sent.text


def test_the_log_has_one_line_for_an_alert(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    told(database, Cause("k", "run", "train failed", "first line\nsecond line", "m"))
    LogChannel().send(message_of(told_alerts(database)[0], "open", PAGES))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("Alert: train failed | first line | second line | Remedy: m")
