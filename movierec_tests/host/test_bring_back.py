"""The embedded Postgres under the API, which starts it again when it was killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from movierec_assets.host import api
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    found = EmbeddedPostgres(tmp_path / "state")
    with found.lease():
        yield found
    found.destroy(force=True)


def test_a_killed_postgres_is_back_even_after_an_error_that_nobody_expected(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look, raised, ended = server.url, threading.Event(), threading.Event()

    def url() -> str | None:
        if not raised.is_set():
            raised.set()
            raise ValueError("the first look fails")
        return look()

    monkeypatch.setattr(api, "DATABASE_SECONDS", 0.05)
    monkeypatch.setattr(server, "url", url)
    watching = threading.Thread(target=api._bring_back, args=(server, ended))
    watching.start()
    try:
        wait_until(raised.is_set, "a look at Postgres")
        killed = server.status().pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: server.status().pid not in (None, killed), "another Postgres")
    finally:
        ended.set()
        watching.join()
    assert "the first look fails" in caplog.text
