"""The page Outlook, and what answers in place of Dagster.

Pipeline is opened on a real Dagster in `serving/api/test_operations`.
"""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from movierec_assets.serving.app.dagster import Dagster, DagsterAway
from movierec_assets.serving.app.look import with_code
from movierec_tests.serving.app.conftest import NOWHERE, OpenPage, words


def test_the_outlook_needs_nothing_that_runs(open_page: OpenPage) -> None:
    page = open_page("outlook", at=NOWHERE)
    assert not page.exception
    said = words(page)
    for part in ("What is next", "Licence of the data", "References", "Credits", "10.1145/2827872", "ml-20m"):
        assert part in said, part
    assert set(re.findall(r"\]\((\w+):", said)) == {"https"}


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": null}', b'"data"'])
def test_another_server_in_place_of_dagster_is_said(body: bytes) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        dagster = Dagster(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(DagsterAway, match="is not Dagster"):
            dagster.outline()
        server.shutdown()


def test_code_is_shown_as_code_and_everything_else_as_text() -> None:
    assert with_code("Run `movierec up`, then *wait*.") == r"Run `movierec up`, then \*wait\*\."
    assert with_code("5 ` 3 <b>") == r"5 \` 3 \<b\>"
