"""Both solvers, for claims that hold with the native one and with `implicit` alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from movierec_assets.recsys.native import library


@pytest.fixture(scope="module", params=["native", "implicit"])
def each_solver(request: pytest.FixtureRequest) -> Iterator[str]:
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(library.SWITCH, "on" if name == "native" else "off")
        if name == "native" and (reason := library.why_not()) is not None:
            pytest.skip(f"without the native solver: {reason}")
        yield name
