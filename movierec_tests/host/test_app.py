"""The command of the app, and what it says where the app cannot run."""

from __future__ import annotations

import socket

import pytest

from movierec_assets.host import CommandError, app
from movierec_assets.settings import Settings


def test_the_server_asks_no_other_host_and_listens_where_the_settings_say() -> None:
    words = app.command(Settings(app_host="127.0.0.2", app_port=9999))
    assert words[:3] == ["-m", "streamlit", "run"]
    assert words[-1] == str(app.MAIN)
    assert app.MAIN.is_file()
    assert {"--browser.gatherUsageStats=false", "--server.address=127.0.0.2", "--server.port=9999"} <= set(words)


def test_every_option_is_one_of_streamlit() -> None:
    from streamlit import config

    known = set(config.get_config_options())
    assert {word[2:].partition("=")[0] for word in app.command(Settings()) if word.startswith("--")} <= known


def test_without_streamlit_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "is_installed", lambda: False)
    with pytest.raises(CommandError, match=r"movierec-assets\[app\]"):
        app.become(Settings())


def test_a_port_that_is_taken_is_said_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port}.*MOVIEREC_APP_PORT"):
            app.become(Settings(app_port=port))
