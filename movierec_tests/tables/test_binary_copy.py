"""Binary COPY, compared with a real Postgres."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movierec_assets.tables.binary_copy import BlockReader, Columns, Kind, RowDecoder, encode_parts
from movierec_assets.tables.database import Database

KINDS: tuple[Kind, ...] = get_args(Kind)
DTYPES: dict[Kind, str] = {
    "smallint": "int16",
    "integer": "int32",
    "bigint": "int64",
    "real": "float32",
    "timestamptz": "int64",
}
# Postgres' timestamps reach from 4713 BC to 294276 AD; these are Unix seconds at both ends.
EARLIEST, LATEST = -210_866_803_200, 9_224_318_015_999

_values: dict[Kind, st.SearchStrategy[Any]] = {
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(width=32),
    "timestamptz": st.integers(EARLIEST, LATEST),
}
_tables = st.lists(st.tuples(*(_values[kind] for kind in KINDS)), max_size=40)


def encode(columns: Columns, kinds: Mapping[str, Kind], batch: int = 25_000) -> Iterator[bytes]:
    return encode_parts([columns], kinds, batch)


def decode(data: bytes | memoryview, kinds: Mapping[str, Kind]) -> dict[str, npt.NDArray[Any]]:
    decoder = RowDecoder(kinds)
    decoder.write(data)
    return decoder.columns()


def _columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, npt.NDArray[Any]]:
    values = list(zip(*rows, strict=True)) or [()] * len(KINDS)
    return {f"a {kind}": np.array(column, DTYPES[kind]) for kind, column in zip(KINDS, values, strict=True)}


def _through_postgres(
    database: Database, columns: dict[str, npt.NDArray[Any]], kinds: dict[str, Kind], batch: int
) -> dict[str, npt.NDArray[Any]]:
    declared = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items())
    back = io.BytesIO()
    with database.transaction() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE there (number serial, {declared}) ON COMMIT DROP")
        names = ", ".join(f'"{name}"' for name in kinds)
        stream = io.BufferedReader(BlockReader(encode(columns, kinds, batch)), 64)
        cursor.copy_expert(f"COPY there ({names}) FROM STDIN (FORMAT BINARY)", stream, size=64)
        cursor.copy_expert(f"COPY (SELECT {names} FROM there ORDER BY number) TO STDOUT (FORMAT BINARY)", back)
    return decode(back.getvalue(), kinds)


def _copied_out(database: Database, query: str) -> bytes:
    stream = io.BytesIO()
    with database.transaction() as cursor:
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT BINARY)", stream)
    return stream.getvalue()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=_tables, batch=st.integers(1, 7))
def test_columns_of_every_kind_come_back_from_postgres_as_they_went(
    shared_database: Database, rows: list[tuple[Any, ...]], batch: int
) -> None:
    columns = _columns(rows)
    kinds = {f"a {kind}": kind for kind in KINDS}
    back = _through_postgres(shared_database, columns, kinds, batch)
    assert list(back) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(back[name], values)
        assert back[name].dtype == values.dtype
        assert back[name].dtype.isnative


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"),
    [
        ("smallint", -(2**15), 2**15 - 1),
        ("integer", -(2**31), 2**31 - 1),
        ("bigint", -(2**63), 2**63 - 1),
        ("real", -np.inf, np.inf),
        ("timestamptz", EARLIEST, LATEST),
    ],
)
def test_extremes_of_a_kind_survive(shared_database: Database, kind: Kind, lowest: Any, highest: Any) -> None:
    values = np.array([lowest, 0, highest], DTYPES[kind])
    back = _through_postgres(shared_database, {"x": values}, {"x": kind}, batch=2)
    np.testing.assert_array_equal(back["x"], values)


def test_postgres_reads_the_values_that_were_meant(shared_database: Database) -> None:
    with shared_database.transaction() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE meant (a smallint, b real, c timestamptz) ON COMMIT DROP")
        columns = {"a": np.array([-7]), "b": np.array([3.5]), "c": np.array([1_112_486_027])}
        kinds: dict[str, Kind] = {"a": "smallint", "b": "real", "c": "timestamptz"}
        reader = io.BufferedReader(BlockReader(encode(columns, kinds)))
        cursor.copy_expert("COPY meant FROM STDIN (FORMAT BINARY)", reader)
        cursor.execute("SELECT a::text, b::text, (c AT TIME ZONE 'UTC')::text FROM meant")
        assert cursor.fetchall() == [("-7", "3.5", "2005-04-02 23:53:47")]


def test_a_table_without_rows_gives_empty_columns_of_the_right_types(shared_database: Database) -> None:
    stream = _copied_out(shared_database, "SELECT 1::int, 1::real WHERE false")
    columns = decode(stream, {"a": "integer", "b": "real"})
    assert {name: (len(column), column.dtype.name) for name, column in columns.items()} == {
        "a": (0, "int32"),
        "b": (0, "float32"),
    }


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_null_is_refused_however_many_there_are(shared_database: Database, count: int) -> None:
    # Five rows with a null are as long as three without one.
    stream = _copied_out(shared_database, f"SELECT NULL::int FROM generate_series(1, {count})")
    with pytest.raises(ValueError, match="nulls"):
        decode(stream, {"a": "integer"})


def test_a_null_between_values_is_refused(shared_database: Database) -> None:
    stream = _copied_out(shared_database, "SELECT nullif(n, 3) FROM generate_series(1, 5) n")
    with pytest.raises(ValueError, match="without nulls"):
        decode(stream, {"a": "integer"})


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("SELECT n::bigint FROM generate_series(1, 5) n", {"a": "integer"}),
        ("SELECT n::smallint FROM generate_series(1, 5) n", {"a": "integer"}),
        ("SELECT n, n::bigint FROM generate_series(1, 5) n", {"a": "bigint", "b": "integer"}),
        ("SELECT n::text FROM generate_series(1, 5) n", {"a": "integer"}),
        ("SELECT n, n FROM generate_series(1, 5) n", {"a": "integer"}),
    ],
)
def test_columns_of_another_type_are_refused(shared_database: Database, query: str, kinds: dict[str, Kind]) -> None:
    with pytest.raises(ValueError, match="COPY stream"):
        decode(_copied_out(shared_database, query), kinds)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        list(encode({"a": np.arange(2), "b": np.arange(3)}, {"a": "integer", "b": "integer"}))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("smallint", np.array([1, 2**15])),
        ("integer", np.array([2**31])),
        ("integer", np.array([-(2**31) - 1])),
        ("integer", np.array([1.5])),
        ("integer", np.array([np.nan])),
        ("bigint", np.array([2**63], np.uint64)),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_refused_rather_than_wrapped(kind: Kind, values: Any) -> None:
    with pytest.raises(ValueError, match="column x does not fit"):
        list(encode({"x": values}, {"x": kind}))


@pytest.mark.parametrize(("rows", "blocks"), [(0, 0), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_blocks_hold_as_many_rows_as_asked_for(rows: int, blocks: int) -> None:
    header, *between, trailer = encode({"x": np.arange(rows)}, {"x": "integer"}, batch=3)
    assert (len(header), trailer, len(between)) == (19, b"\xff\xff", blocks)
    assert sum(len(block) for block in between) == rows * 10


@given(blocks=st.lists(st.binary(max_size=9), max_size=8), size=st.sampled_from([1, 2, 3, 5, 9, 100]))
def test_a_reader_over_blocks_gives_every_byte_once_in_order(blocks: list[bytes], size: int) -> None:
    reader = BlockReader(iter(blocks))
    read = []
    while piece := reader.read(size):
        read.append(piece)
    assert b"".join(read) == b"".join(blocks)
    assert reader.read(size) == b""
