"""One database for the tests of a module that clean up after themselves, or do not care."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from movierec_assets.resources.database import Database
from movierec_tests.defs.harness import own_databases


@pytest.fixture(scope="module")
def shared_database(server_url: str) -> Iterator[Database]:
    """A ratings database for a whole module, as for property tests."""
    with own_databases(server_url) as url:
        yield Database(url)
