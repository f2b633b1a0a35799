"""Running tests with the native library and without it.

Belongs here: the fixture that modules of tests take over. Does not: what is tested.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from movierec_assets.recsys.native import library

needs_c = pytest.mark.skipif(library.why_not() is not None, reason=f"no native library: {library.why_not()}")


@pytest.fixture(params=[pytest.param("in C", marks=needs_c), "in Python"], autouse=True, scope="module")
def with_and_without_c(request: pytest.FixtureRequest) -> Iterator[None]:
    """All tests of a module that names this fixture run with the native library, and then without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(library.SWITCH, "on" if request.param == "in C" else "off")
        yield
