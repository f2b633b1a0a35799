"""Rows that each hold a user: every value comes back, however the stream is divided."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.tables.database import Database
from movierec_assets.tables.user_rows import UserRowDecoder, UserRows

_users = st.dictionaries(
    st.integers(1, 2**31 - 1),
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.booleans()), min_size=1),
    max_size=6,
)
QUERY = """
    SELECT user_id, string_agg(int8send(value), ''), string_agg(int4send(index), '') FILTER (WHERE chosen)
    FROM (VALUES {}) given (user_id, value, index, chosen) GROUP BY user_id
"""


def _stream(database: Database, users: dict[int, list[tuple[int, bool]]]) -> bytes:
    given_rows = [
        f"({user}, '{value}'::bigint, {index}, {chosen})"
        for user, values in users.items()
        for index, (value, chosen) in enumerate(values)
    ]
    file = io.BytesIO()
    database.copy_to(
        file, QUERY.format(", ".join(given_rows or ["(1, 1::bigint, 1, true)"])) + ("" if users else "LIMIT 0")
    )
    return file.getvalue()


def _decoded(stream: bytes, at_a_time: int, block_bytes: int) -> list[UserRows]:
    blocks: list[UserRows] = []
    decoder = UserRowDecoder((np.int64, np.int32), blocks.append, block_bytes)
    for start in range(0, len(stream), at_a_time):
        assert decoder.write(stream[start : start + at_a_time]) == len(stream[start : start + at_a_time])
    decoder.finish()
    return blocks


@settings(max_examples=40, deadline=None)
@given(users=_users, at_a_time=st.integers(1, 200), block_bytes=st.integers(1, 100))
def test_every_user_comes_back_whole(
    shared_database: Database, users: dict[int, list[tuple[int, bool]]], at_a_time: int, block_bytes: int
) -> None:
    found: dict[int, tuple[list[int], list[int]]] = {}
    for block in _decoded(_stream(shared_database, users), at_a_time, block_bytes):
        assert all(array.dtype.isnative for array in (block.user_ids, *block.values))
        ends = [np.cumsum(lengths) for lengths in block.lengths]
        for index, user in enumerate(block.user_ids.tolist()):
            first, second = (
                values[end[index] - lengths[index] : end[index]].tolist()
                for values, end, lengths in zip(block.values, ends, block.lengths, strict=True)
            )
            found[user] = (first, second)
    assert found == {
        user: ([value for value, _ in values], [index for index, (_, chosen) in enumerate(values) if chosen])
        for user, values in users.items()
    }


def test_blocks_end_when_they_are_large_enough(shared_database: Database) -> None:
    stream = _stream(shared_database, {user: [(0, True), (0, True)] for user in range(1, 8)})
    assert [len(block.user_ids) for block in _decoded(stream, 42, 1)] == [1] * 7
    assert [len(block.user_ids) for block in _decoded(stream, len(stream), 10**6)] == [7]


def test_a_stream_that_breaks_off_or_is_of_other_rows_is_refused(shared_database: Database) -> None:
    stream = _stream(shared_database, {5: [(7, True)]})
    for broken in (stream[:-2], stream[:-3], stream[:25], b""):
        with pytest.raises(ValueError, match="does not end after a user"):
            _decoded(broken, 10, 1)
    with pytest.raises(ValueError, match="2 fields, not 3"):
        _decoded(_query(shared_database, "SELECT 1, ''::bytea"), 100, 1)
    with pytest.raises(ValueError, match="first field of the COPY stream is not an integer"):
        _decoded(_query(shared_database, "SELECT 1::bigint, ''::bytea, ''::bytea"), 100, 1)


def _query(database: Database, query: str) -> bytes:
    file = io.BytesIO()
    database.copy_to(file, query)
    return file.getvalue()
