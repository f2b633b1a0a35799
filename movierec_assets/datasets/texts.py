"""The text of single lines of a file.

Belongs here: finding lines by their numbers. Does not: parsing them (`rating_rows`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from movierec_assets.datasets.file_format import open_file
from movierec_assets.datasets.rating_rows import lines_of, read_blocks
from movierec_assets.datasets.rejects import clean_text


def text_of_lines(path: Path, lines: npt.NDArray[np.int64]) -> pl.Series:
    """Text of the lines with these physical numbers, 1-based and ascending, as it is stored for rejected rows."""
    texts: list[str] = []
    if not len(lines):
        return pl.Series("text", texts, pl.String)
    with open_file(path) as stream:
        for block in read_blocks(stream, path, 1):
            if len(texts) == len(lines):
                break
            first, last = np.searchsorted(lines, [block.first_line, block.first_line + block.lines])
            texts += [clean_text(raw) for raw in lines_of(block, lines[first:last])]
    return pl.Series("text", texts, pl.String)
