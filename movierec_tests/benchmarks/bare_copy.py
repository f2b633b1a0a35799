"""Bare COPY: Postgres alone moves the ratings of the graph, from and to files in its own binary format.

Belongs here: the lower bound of the stages that wait for the database. No client parses, checks or ranks anything.

    python -m movierec_tests.benchmarks.bare_copy RESULT_JSON
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA, Database


@dataclass(frozen=True)
class BareCopy:
    """Seconds of the server alone.

    Attributes
    ----------
    copy_out : float
        All ratings, to /dev/null.
    copy_in : float
        All ratings, into a new table without keys.
    primary_key : float
        Of that table.
    """

    copy_out: float
    copy_in: float
    primary_key: float

    @property
    def load(self) -> float:
        """Loading the table: COPY and the key."""
        return self.copy_in + self.primary_key


class _Rollback(Exception):  # noqa: N818
    """Ends the transaction after measuring."""


def measure(database: Database) -> BareCopy:
    """Measure with the ratings of a database, which stays as it was."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - started

    file = Path(database.scalar("SHOW data_directory")) / "movierec-bare-copy.bin"
    try:
        with suppress(_Rollback), database.transaction() as cursor:
            cursor.execute(f"COPY (SELECT * FROM {SCHEMA}.ratings) TO %s (FORMAT BINARY)", [str(file)])
            with timed("copy_out"):
                cursor.execute(f"COPY (SELECT * FROM {SCHEMA}.ratings) TO '/dev/null' (FORMAT BINARY)")
            cursor.execute(f"CREATE TABLE {SCHEMA}.bare_copy (LIKE {SCHEMA}.ratings INCLUDING DEFAULTS)")
            with timed("copy_in"):
                cursor.execute(f"COPY {SCHEMA}.bare_copy FROM %s (FORMAT BINARY, FREEZE)", [str(file)])
            with timed("primary_key"):
                cursor.execute(f"ALTER TABLE {SCHEMA}.bare_copy ADD PRIMARY KEY (user_id, movie_id)")
            raise _Rollback
    finally:
        file.unlink(missing_ok=True)
    return BareCopy(**seconds)


def main(result: str) -> None:
    """Measure in the workspace and write the seconds."""
    database = Database(get_settings().databases.ratings)
    Path(result).write_text(json.dumps(asdict(measure(database))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
