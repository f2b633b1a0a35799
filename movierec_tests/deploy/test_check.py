"""Checks of servers: the programs of the compose file pass theirs, and fail them when they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._daemon.types import DaemonHeartbeat

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.deploy import check
from movierec_assets.deploy.check import DAEMONS, UnhealthyError
from movierec_assets.host.environment import variables
from movierec_assets.serving.app.app_pages import file_of
from movierec_assets.settings import Settings
from movierec_tests.deploy.programs import programs
from movierec_tests.waiting import wait_until


def test_a_daemon_without_a_fresh_heartbeat_of_each_kind_is_unhealthy(
    monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path
) -> None:
    settings = Settings(database_url=database_url, state_dir=tmp_path)
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    url, now = DatabaseUrls.libpq(settings.databases.dagster), time.time()

    def beat(kinds: tuple[str, ...], at: float) -> None:
        with DagsterInstance.get() as instance:
            for kind in kinds:
                instance.add_daemon_heartbeat(DaemonHeartbeat(at, kind, "an id", []))

    with DagsterInstance.get() as instance:
        assert sorted(instance.get_required_daemon_types()) == sorted(DAEMONS)
    with pytest.raises(UnhealthyError, match=", ".join(DAEMONS)):
        check.daemon(url, now - 60)
    beat(DAEMONS, now)
    check.daemon(url, now - 60)
    with pytest.raises(UnhealthyError, match="SENSOR"):
        check.daemon(url, now + 60)  # they are of the container before
    beat(DAEMONS[:1], now - 2 * check.HEARTBEAT_SECONDS)
    with pytest.raises(UnhealthyError, match=rf"No heartbeat of {DAEMONS[0]}$"):
        check.daemon(url, 0.0)


def test_a_reason_is_printed_for_docker_to_keep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise UnhealthyError("no answer")

    monkeypatch.setitem(check.CHECKS, "api", broken)
    assert check.main("api") == 1
    assert capsys.readouterr().out == "UnhealthyError: no answer\n"
    monkeypatch.setitem(check.CHECKS, "api", lambda: None)
    assert check.main("api") == 0


def test_the_page_that_is_opened_is_what_streamlit_reads() -> None:
    from streamlit.proto.BackMsg_pb2 import BackMsg

    sent = BackMsg()
    sent.ParseFromString(check.OPEN_A_PAGE)
    assert sent.rerun_script.page_name == "similar"
    assert file_of("similar").is_file()


def _passes(service: Callable[[], None]) -> bool:
    try:
        service()
    except Exception:  # noqa: BLE001 - whatever it is
        return False
    return True


@pytest.mark.slow
def test_the_programs_of_the_compose_file_pass_their_checks_until_they_end(database_url: str, tmp_path: Path) -> None:
    """Without an engine, but with the commands, variables and checks of the containers."""
    data = tmp_path / "data"
    data.mkdir()
    settings = Settings(database_url=database_url, state_dir=tmp_path, data_dir=data)
    with programs(settings) as found:
        checks: dict[str, Callable[[], None]] = {
            "code": lambda: check.code(found.ports["code"]),
            "mlflow": lambda: check.mlflow(found.address("mlflow")),
            "webserver": lambda: check.webserver(found.address("webserver")),
            "daemon": lambda: check.daemon(DatabaseUrls.libpq(settings.databases.dagster), 0.0),
            "api": lambda: check.api(found.address("api")),
            "app": lambda: check.app(found.address("app")),
        }
        for service, healthy in checks.items():
            assert not _passes(healthy), service
            found.start(service)
            if service == "code":
                wait_until(lambda: _passes(checks["code"]), "the answer of the code server")
        for service, healthy in checks.items():
            wait_until(
                lambda service=service, healthy=healthy: (  # type: ignore[misc]
                    _passes(healthy) or found.processes[service].poll() is not None
                ),
                service,
            )
            assert found.processes[service].poll() is None, found.log(service).read_text()
        for service in ("app", "api", "mlflow", "webserver", "code"):
            found.end(service)
            assert not _passes(checks[service]), service
