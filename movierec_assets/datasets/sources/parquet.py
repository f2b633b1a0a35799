"""Parquet files with the columns of MovieLens' CSV files, of any type that can hold the values.

Belongs here: the files, and writing them as CSV, so that a rejected row has a line number and a text; line 2 is the
first row. Does not: keeping the CSV (`unpacked`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import LINKS, MOVIES, RATINGS, Table, plain_name
from movierec_assets.datasets.sources.contract import FileKind, Format


def write_csv(table: Table, source: Path, target: Path, shown: Path) -> None:
    """Write the columns of a table as CSV.

    Times without a zone stay without one. Missing columns are no error here; the reader of the CSV reports them.

    Raises
    ------
    DatasetError
        If the file is not Parquet, or has values that no CSV can hold.
    """
    wanted = {plain_name(name) for name in table.columns}
    try:
        frame = pl.scan_parquet(source, glob=False)
        schema = frame.collect_schema()
        chosen = [_as_text(name, kind) for name, kind in schema.items() if plain_name(name) in wanted]
        others = [pl.col(name).is_null().alias(name) for name in schema if plain_name(name) not in wanted]
        frame.select(chosen if len(chosen) >= len(wanted) else [*chosen, *others]).sink_csv(target)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DatasetError(
            f"{shown}: cannot be read as Parquet ({reason}). Write the file again, or as {shown.stem}.csv."
        ) from error


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    """A column as it is written to a CSV; line ends become spaces, because a row is a line there."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone:
            return column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S")
    if isinstance(kind, pl.List):
        return _one_line(column.cast(pl.List(pl.String)).list.join("|"))
    if isinstance(kind, pl.Decimal):
        return column.cast(pl.Float64)
    return column if kind.is_numeric() else _one_line(column.cast(pl.String))


def _one_line(texts: pl.Expr) -> pl.Expr:
    return texts.str.replace_all(r"[\r\n]+", " ")


def _kind(name: str, table: Table) -> FileKind:
    convert: Callable[[Path, Path, Path], None] = partial(write_csv, table)
    return FileKind(name, table, convert)


PARQUET = Format(
    "Parquet",
    ratings=_kind("ratings.parquet", RATINGS),
    movies=_kind("movies.parquet", MOVIES),
    links=_kind("links.parquet", LINKS),
    mixes=True,
)
