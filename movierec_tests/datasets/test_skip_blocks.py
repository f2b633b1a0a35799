"""Skipping the blocks of a file ends where reading them ends."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.datasets import rating_rows
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.rating_rows import read_blocks, skip_blocks

BLOCK, END = 40, 8
LINES = st.lists(st.integers(0, 60), max_size=30).map(lambda lengths: b"".join(b"x" * n + b"\n" for n in lengths))


@given(lines=LINES, unended=st.integers(0, 60))
def test_skipped_blocks_are_cut_as_they_are_when_they_are_read(lines: bytes, unended: int) -> None:
    data = lines + b"x" * unended
    read, refused = [], False
    try:
        for block in read_blocks(io.BytesIO(data), Path("ratings.csv"), 1, BLOCK):
            read.append(block.offset + len(block.data) - block.open)
    except DatasetError:
        refused = True
    with _small_end():
        stream = io.BytesIO(data)
        skipped = list(skip_blocks(stream, len(data), BLOCK))
    assert skipped == read[: len(skipped)]
    assert read[len(skipped) :] in ([], [len(data)])  # the last block is shorter than a block
    assert (stream.tell() < len(data)) == refused


def test_most_of_a_file_is_not_read() -> None:
    class Counted(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            got = super().read(size)
            self.count += len(got)
            return got

    stream = Counted(b"1,1,4.0,964982703\n" * 100_000)
    assert list(skip_blocks(stream, 1_800_000, 600_000))
    assert stream.count < 200_000


class _small_end:  # noqa: N801 - a context manager, because fixtures do not work with hypothesis
    def __enter__(self) -> None:
        self.before = rating_rows._END_BYTES
        rating_rows._END_BYTES = END

    def __exit__(self, *_: Any) -> None:
        rating_rows._END_BYTES = self.before
