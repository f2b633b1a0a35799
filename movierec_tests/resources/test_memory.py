"""Peak memory of a process, and items that a thread reads ahead."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from movierec_assets.resources import memory
from movierec_assets.resources.memory import give_back, peak_rss_mb, reset_peak
from movierec_assets.tables.read_ahead import ahead


def test_linux_records_the_peak_since_the_last_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROCESS", tmp_path)
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t 9000000 kB\nVmHWM:\t 2000000 kB\nVmRSS:\t 1000 kB\n")
    assert peak_rss_mb() == pytest.approx(2048)
    reset_peak()
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_a_system_without_gnus_allocator_has_nothing_to_give_back(monkeypatch: pytest.MonkeyPatch) -> None:
    give_back()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    give_back()


def test_arrow_gives_back_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[bool] = []
    pool = SimpleNamespace(release_unused=lambda: released.append(True))
    monkeypatch.setitem(sys.modules, "pyarrow", SimpleNamespace(default_memory_pool=lambda: pool))
    give_back()
    assert released == [True]


def test_other_systems_record_the_peak_since_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROCESS", tmp_path / "missing")
    reset_peak()
    assert peak_rss_mb() > 1


ALLOCATING = """
from movierec_assets.resources.memory import peak_rss_mb, reset_peak
peaks = [peak_rss_mb()]
held = b"x" * 400_000_000
peaks.append(peak_rss_mb())
del held
reset_peak()
print(*peaks, peak_rss_mb())
"""


def test_an_allocation_raises_the_peak_and_a_reset_lowers_it_where_the_system_can() -> None:
    # In a separate process, where nothing else allocates; hundreds of megabytes are more than its own changes.
    done = subprocess.run([sys.executable, "-c", ALLOCATING], check=True, capture_output=True, text=True)
    before, held, reset = map(float, done.stdout.split())
    assert held > before + 200
    if os.access("/proc/self/clear_refs", os.W_OK):
        assert reset < held - 200


def test_items_read_ahead_come_in_order_and_end() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(KeyError, match="two"):
        next(made)


def test_closing_early_leaves_no_thread_behind() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    made = ahead(endless())
    assert next(made) == 1
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "movierec-ahead"]
