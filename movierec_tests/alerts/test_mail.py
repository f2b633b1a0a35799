"""Alerts by mail, told by a server that takes, refuses or loses them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from movierec_assets.alerts.causes import Cause
from movierec_assets.alerts.channel import DeliveryError
from movierec_assets.alerts.delivery import MAX_PAUSE, deliver
from movierec_assets.alerts.mail import MailChannel
from movierec_assets.alerts.messages import sample_message
from movierec_assets.alerts.storage import due_channels, update
from movierec_assets.tables.database import Database
from movierec_tests.alerts.messages import CAUSE, NOW, PAGES
from movierec_tests.alerts.receivers import MailServer


def mail_channel(server: MailServer, login: str = "", host: str = "127.0.0.1") -> MailChannel:
    return MailChannel(
        f"smtp://{login}{host}:{server.port}", ["one@films.example", "two@films.example"], "me@films.example"
    )


def test_the_end_of_an_alert_is_a_mail_that_answers_the_beginning(database: Database, mail_server: MailServer) -> None:
    channel = mail_channel(mail_server)
    for causes in ([CAUSE], []):
        update(database, causes, ["email"], NOW)
        assert deliver(database, channel, PAGES, lambda: NOW) == 1
    first, last = mail_server.mails
    assert first["Subject"] == "[movierec] Alert: train failed at als_model"
    assert first["To"] == "one@films.example, two@films.example"
    assert "Remedy: Add some." in first.get_content()
    assert last["Subject"] == "[movierec] Over: train failed at als_model"
    assert last["In-Reply-To"] == first["Message-ID"]


def test_a_title_with_line_ends_adds_no_header_to_a_mail(database: Database, mail_server: MailServer) -> None:
    update(database, [Cause("k", "run", "one\r\nBcc: spy@films.example", "r", "m")], ["email"], NOW)
    deliver(database, mail_channel(mail_server), PAGES, lambda: NOW)
    (mail,) = mail_server.mails
    assert mail["Bcc"] is None
    assert set(mail_server.recipients) == {"one@films.example", "two@films.example"}


def test_a_mail_server_that_refuses_one_address_still_tells_the_others(
    mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    mail_server.refused = {"two@films.example"}
    mail_channel(mail_server).send(sample_message(PAGES))
    assert len(mail_server.mails) == 1
    assert "refuses two@films.example (MOVIEREC_ALERT_EMAIL_TO)" in caplog.text
    mail_server.refused.add("one@films.example")
    with pytest.raises(DeliveryError, match="refuses every address of MOVIEREC_ALERT_EMAIL_TO"):
        mail_channel(mail_server).send(sample_message(PAGES))


def test_user_and_password_are_sent_and_a_wrong_password_is_an_error_without_it(mail_server: MailServer) -> None:
    mail_server.password = "p@ss/w:ord"
    mail_channel(mail_server, "ann:p%40ss%2Fw%3Aord@").send(sample_message(PAGES))
    assert mail_server.logins == ["ann"]
    with pytest.raises(DeliveryError, match="refuses user and password") as error:
        mail_channel(mail_server, "ann:hunter2@").send(sample_message(PAGES))
    assert "hunter2" not in str(error.value)


def test_a_password_is_not_sent_to_another_machine_without_encryption(mail_server: MailServer) -> None:
    # The same server under a name that is not known as this machine.
    with pytest.raises(DeliveryError, match="offers no encryption, so the password was not sent"):
        mail_channel(mail_server, "ann:secret@", host="127.1").send(sample_message(PAGES))
    assert mail_server.logins == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_with_a_certificate_that_is_trusted_gets_mails_encrypted_and_no_other_gets_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    certificate, context = own_certificate(tmp_path)
    with MailServer(context, at_once=scheme == "smtps") as server:
        url = f"{scheme}://ann:secret@127.0.0.1:{server.port}"
        channel = MailChannel(url, ["one@films.example"], "me@films.example")
        with pytest.raises(DeliveryError, match="has no valid certificate") as error:
            channel.send(sample_message(PAGES))
        assert "secret" not in str(error.value)
        assert (server.logins, server.mails) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        channel.send(sample_message(PAGES))
        assert (server.logins, server.encrypted, len(server.mails)) == (["ann"], [True], 1)


def own_certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that nobody else signed, and the context of a server that has it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = directory / "certificate.pem", directory / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    return certificate, context


def test_a_mail_server_that_is_busy_or_away_is_an_error(mail_server: MailServer) -> None:
    mail_server.busy = True
    with pytest.raises(DeliveryError, match=r"answered 421 busy.*MOVIEREC_ALERT_SMTP_URL"):
        mail_channel(mail_server).send(sample_message(PAGES))
    with pytest.raises(DeliveryError, match="cannot be reached"):
        MailChannel("smtp://127.0.0.1:9", ["one@films.example"], "me@films.example").send(sample_message(PAGES))


def test_a_mail_that_was_taken_is_told_however_the_server_ends(mail_server: MailServer) -> None:
    mail_server.farewell = "421 shutting down"
    mail_channel(mail_server).send(sample_message(PAGES))
    assert len(mail_server.mails) == 1


@pytest.mark.parametrize("at_once", [None, False, True], ids=["plain", "smtp", "smtps"])
def test_a_mail_may_have_arrived_when_only_the_answer_to_the_whole_mail_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool | None
) -> None:
    certificate, context = own_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with MailServer(None if at_once is None else context, at_once=bool(at_once)) as server:
        url = f"{'smtps' if at_once else 'smtp'}://127.0.0.1:{server.port}"
        channel = MailChannel(url, ["one@films.example"], "me@films.example")
        server.ends_at = "DATA"
        with pytest.raises(DeliveryError, match="cannot be reached") as error:
            channel.send(sample_message(PAGES))
        assert not error.value.may_have_arrived
        server.ends_at = "."
        with pytest.raises(DeliveryError, match=r"took the mail, but did not answer.*ALERT_SMTP_URL") as error:
            channel.send(sample_message(PAGES))
        assert error.value.may_have_arrived
        assert server.encrypted == [at_once is not None]


def test_a_mail_server_that_never_answers_gets_a_mail_three_times_at_most(
    database: Database, mail_server: MailServer
) -> None:
    mail_server.ends_at = "."
    update(database, [CAUSE], ["email"], NOW)
    for hour in range(24):
        deliver(database, mail_channel(mail_server), PAGES, lambda at=NOW + hour * MAX_PAUSE: at)  # type: ignore[misc]
    assert 2 <= len(mail_server.mails) <= 3
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 1
    assert due_channels(database) == set()
