"""The high-water mark of memory, and items made ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from movierec_assets.resources.memory import peak_rss_mb, reset_peak
from movierec_assets.resources.read_ahead import ahead


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_the_peak_is_that_since_the_last_reset() -> None:
    reset_peak()
    before = peak_rss_mb()
    np.ones(25_000_000)  # 200 MB, gone at once
    assert peak_rss_mb() > before + 150
    reset_peak()
    assert peak_rss_mb() < before + 100


def test_items_made_ahead_come_in_order_and_end() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))


def test_what_making_an_item_raises_is_raised_behind_the_items_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(KeyError, match="two"):
        next(made)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    made = ahead(endless())
    assert next(made) == 1
    made.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "movierec-ahead"]
