"""Whether the server of a container does its work: `python -m movierec_assets.deploy.check SERVICE`.

Belongs here: one question for each service, which only a server that works can answer. Does not: starting servers.
Checks run every few seconds, so they import little, and ask for little.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from typing import Any

SECONDS = 10
"""Longest wait for an answer."""
HEARTBEAT_SECONDS = 180
"""Age of a heartbeat at which a daemon hangs; Dagster writes one every 30 seconds."""
DAEMONS = (
    *("SENSOR", "BACKFILL", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "MONITORING"),
    *("EVENT_LOG_CONSUMER", "ASSET", "FRESHNESS_DAEMON"),
)
"""All that Dagster runs with dagster.yaml: EVENT_LOG_CONSUMER starts crashed runs again."""
EDGE_PORTS = (8443, 3443, 5443, 8543)
OPEN_A_PAGE = b'Z\t"\x07similar'
"""What a browser sends Streamlit to open the page `similar`, which changes nothing: a BackMsg of its protocol."""
PAGE_MARK = b'class="mr-heading"'
"""In the heading of every page of the app."""

_LOCATION = """
query Health {
  workspaceOrError {
    ... on Workspace { locationEntries { name locationOrLoadError { __typename } } }
  }
  runsOrError(limit: 1) { __typename }
}
"""


class UnhealthyError(Exception):
    """The server does not do its work; the message says what was seen."""


def mlflow(address: str = "http://127.0.0.1:5000") -> None:
    """MLflow finds its experiments, which takes its database."""
    found = _ask(f"{address}/api/2.0/mlflow/experiments/search", {"max_results": 1})
    if not found.get("experiments"):
        raise UnhealthyError(f"MLflow answers {found}")


def code(port: int = 4000) -> None:
    """The code server has loaded the definitions, and answers."""
    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # noqa: PLC0415

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service="DagsterApi")
        status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=SECONDS).status
    if status != health_pb2.HealthCheckResponse.SERVING:
        raise UnhealthyError(f"The code server answers status {status}")


def webserver(address: str = "http://127.0.0.1:3000") -> None:
    """The webserver reads runs from the database, and has loaded the code location."""
    found = _ask(f"{address}/graphql", {"query": _LOCATION})
    data = found.get("data") or {}
    entries = (data.get("workspaceOrError") or {}).get("locationEntries", [])
    loaded = [(entry.get("locationOrLoadError") or {}).get("__typename") for entry in entries]
    if loaded != ["RepositoryLocation"] or data["runsOrError"]["__typename"] != "Runs":
        raise UnhealthyError(f"Dagster answers {found}")


def daemon(url: str | None = None, since: float | None = None) -> None:
    """Every loop of Dagster's daemon has a fresh heartbeat, written since the container was started.

    Parameters
    ----------
    url : str, optional
        libpq URL of Dagster's database; that of MOVIEREC_DAGSTER_URL when None.
    since : float, optional
        Unix seconds of the start; that of the container when None.
    """
    import psutil  # noqa: PLC0415
    import psycopg2  # noqa: PLC0415

    url = url or os.environ["MOVIEREC_DAGSTER_URL"].replace("postgresql+psycopg2://", "postgresql://", 1)
    since = psutil.Process(1).create_time() if since is None else since
    with closing(psycopg2.connect(url, connect_timeout=SECONDS)) as connection, connection.cursor() as cursor:
        # Dagster stores UTC without a zone.
        cursor.execute("SELECT daemon_type, extract(epoch FROM timestamp AT TIME ZONE 'UTC') FROM daemon_heartbeats")
        beats = {name: float(at) for name, at in cursor.fetchall()}
    oldest = max(since, time.time() - HEARTBEAT_SECONDS)
    silent = [name for name in DAEMONS if beats.get(name, 0.0) < oldest]
    if silent:
        raise UnhealthyError(f"No heartbeat of {', '.join(silent)}")


def api(address: str = "http://127.0.0.1:8000") -> None:
    """A worker has a snapshot to answer from."""
    found = _ask(f"{address}/health/ready")
    if found.get("status") not in ("ready", "degraded"):
        raise UnhealthyError(f"The API answers {found}")


def app(address: str = "http://127.0.0.1:8501") -> None:
    """The app's server answers, and runs a page for a browser."""
    from websockets.sync.client import connect  # noqa: PLC0415

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{address}/_stcore/health", timeout=SECONDS) as answer:
        if answer.read() != b"ok":
            raise UnhealthyError("Streamlit does not answer ok")
    stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
    end = time.monotonic() + SECONDS
    with connect(stream, subprotocols=["streamlit"], proxy=None, max_size=None, open_timeout=SECONDS) as socket:  # type: ignore[list-item]
        socket.send(OPEN_A_PAGE)
        while PAGE_MARK not in socket.recv(timeout=max(0.0, end - time.monotonic())):
            continue


def edge(ports: tuple[int, ...] = EDGE_PORTS) -> None:
    """Caddy answers with TLS, and asks for the password at every door."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it asks itself; callers verify
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    for port in ports:
        request = urllib.request.Request(
            f"https://127.0.0.1:{port}/", headers={"Host": f"{os.environ['EDGE_HOST']}:{port}"}
        )
        try:
            opener.open(request, timeout=SECONDS).close()
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.UNAUTHORIZED:
                raise UnhealthyError(f"Port {port} answers {error.code} without a password, not 401") from error
        else:
            raise UnhealthyError(f"Port {port} asks for no password")


CHECKS: dict[str, Callable[[], None]] = {
    check.__name__: check for check in (mlflow, code, webserver, daemon, api, app, edge)
}


def _ask(address: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """JSON that a server answers; a body is posted."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the environment names
    with opener.open(request, timeout=SECONDS) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def main(service: str) -> int:
    """Exit status 0 when the service works; else 1, with the reason on standard output, which Docker keeps."""
    try:
        CHECKS[service]()
    except Exception as error:  # noqa: BLE001 - whatever it is, the server does not work
        sys.stdout.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
