"""The floor: what Postgres alone takes to move the ratings that the graph moved, with nobody to read or write them.

Belongs here: the yardstick for the stages that wait for the database.

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
class Floor:
    """Seconds of a server that reads and writes a file of its own, in its own format.

    Attributes
    ----------
    copy_out : float
        All ratings, thrown away as they come.
    copy_in : float
        All ratings into a new table without keys.
    primary_key : float
        Of that table.
    """

    copy_out: float
    copy_in: float
    primary_key: float

    @property
    def load(self) -> float:
        """Both that loading the table cannot do without."""
        return self.copy_in + self.primary_key


class _Measured(Exception):  # noqa: N818
    """Ends the transaction that was only to be measured."""


def floor(database: Database) -> Floor:
    """Measure it on ratings that are loaded; leaves nothing behind."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - started

    file = Path(database.scalar("SHOW data_directory")) / "movierec-floor.bin"
    try:
        with suppress(_Measured), database.transaction() as cursor:
            cursor.execute(f"COPY (SELECT * FROM {SCHEMA}.ratings) TO %s (FORMAT BINARY)", [str(file)])
            with timed("copy_out"):
                cursor.execute(f"COPY (SELECT * FROM {SCHEMA}.ratings) TO '/dev/null' (FORMAT BINARY)")
            cursor.execute(f"CREATE TABLE {SCHEMA}.floor (LIKE {SCHEMA}.ratings INCLUDING DEFAULTS)")
            with timed("copy_in"):
                cursor.execute(f"COPY {SCHEMA}.floor FROM %s (FORMAT BINARY, FREEZE)", [str(file)])
            with timed("primary_key"):
                cursor.execute(f"ALTER TABLE {SCHEMA}.floor ADD PRIMARY KEY (user_id, movie_id)")
            raise _Measured
    finally:
        file.unlink(missing_ok=True)
    return Floor(**seconds)


def main(result: str) -> None:
    """Measure, and write what was measured."""
    database = Database(get_settings().databases.ratings)
    Path(result).write_text(json.dumps(asdict(floor(database))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
