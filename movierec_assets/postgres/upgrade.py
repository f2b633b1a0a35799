"""Bringing the data of the embedded server to a later major version of Postgres, by dumps.

Belongs here: the copy into a new data directory, and putting it in place. Does not: when this is done (`server`), the
programs of both versions (`binaries`).

The former data directory is kept as `data-16` beside the new one. Until the new one is complete and has the same rows,
nothing changes. A process that is killed leaves a directory `upgrade`, which the next start finishes or removes.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from movierec_assets.postgres.binaries import Account, EmbeddedPostgresError, Installation
from movierec_assets.postgres.cluster import HOST, SUPERUSER, Cluster
from movierec_assets.postgres.dumps import Client, DumpError, client, dump, restore

_COMPLETE = "complete"
"""File in the directory of the new data, with the former major version: the new data may be put in place."""
_SPACE_FACTOR = 1.5
"""Space for the dumps and the new data, as a multiple of the former data."""
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2
"""

_log = logging.getLogger(__name__)


def settle(cluster: Cluster) -> None:
    """Finish an upgrade that was complete when its process was killed, and remove one that was not."""
    directory = cluster.successor.directory
    if not directory.exists():
        return
    cluster.stop()
    try:
        major = (directory / _COMPLETE).read_text().strip()
    except FileNotFoundError:
        shutil.rmtree(directory)
        return
    if cluster.major == major:
        cluster.data.rename(_free_place(cluster, major))
    if cluster.major is None:
        cluster.successor.data.rename(cluster.data)
    shutil.rmtree(directory)


def upgrade(
    cluster: Cluster, former: Installation, later: Installation, account: Account | None, password: str
) -> Path | None:
    """Bring the data to the version of `later`; call it with the server lock held and the server stopped.

    Returns
    -------
    Path or None
        Directory of the former data; None when the upgrade failed. Then a warning says why, and the data is as before.
    """
    _log.warning(
        "The database in %s is of Postgres %s, and is brought to %s. Large ones take minutes.",
        cluster.data,
        former.version,
        later.version,
    )
    try:
        _require_space(cluster)
        _copy(cluster, former, later, account, password)
    except (EmbeddedPostgresError, DumpError, OSError, psycopg2.Error) as error:
        settle(cluster)
        _log.warning(
            "The database stays on Postgres %s, and is used as before: %s. The next start tries again.",
            former.version,
            str(error).strip().rstrip("."),
        )
        return None
    major = str(cluster.major)
    kept = _free_place(cluster, major)
    settle(cluster)
    _log.warning(
        "The database is on Postgres %s now. The data of Postgres %s is kept in %s; remove it when you do not need it.",
        later.version,
        major,
        kept,
    )
    return kept


def _require_space(cluster: Cluster) -> None:
    size = sum(path.stat().st_size for path in cluster.data.rglob("*") if path.is_file() and not path.is_symlink())
    free = shutil.disk_usage(cluster.directory).free
    if free < size * _SPACE_FACTOR:
        raise EmbeddedPostgresError(
            f"{size * _SPACE_FACTOR / 1e6:,.0f} MB are needed at {cluster.directory}, and {free / 1e6:,.0f} MB are free"
        )


def _copy(cluster: Cluster, former: Installation, later: Installation, account: Account | None, password: str) -> None:
    """Make the new data; both servers are stopped afterwards."""
    new = cluster.successor
    new.directory.mkdir()
    new.directory.chmod(0o711)
    new.create(later, account, password)
    # Nobody may write what the copy does not get: another port, and reading only.
    cluster.launch(former, account, None, {"default_transaction_read_only": "on"})
    new.launch(later, account, None)
    programs = client(int(later.major))

    def old_url(database: str) -> str:
        return _url(cluster, database, password)

    def new_url(database: str) -> str:
        return _url(new, database, password)

    for database in _databases(old_url("postgres")):
        _log.info("Copying the database %s", database)
        if database != "postgres":
            with closing(psycopg2.connect(new_url("postgres"))) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database)))
        _copy_database(database, old_url, new_url, programs, new.directory / "database.dump", int(later.major))
    new.stop()
    (new.directory / _COMPLETE).write_text(str(cluster.major))
    cluster.stop()


def _copy_database(
    database: str,
    old_url: Callable[[str], str],
    new_url: Callable[[str], str],
    programs: Client,
    file: Path,
    major: int,
) -> None:
    with file.open("wb") as into:
        dump(old_url(database), into, programs)
    with file.open("rb") as source:
        restore(new_url(database), source, programs, major)
    file.unlink()
    before, after = _row_counts(old_url(database)), _row_counts(new_url(database))
    if before != after:
        differing = sorted(set(before.items()) ^ set(after.items()))
        raise EmbeddedPostgresError(f"tables of {database} differ after the copy: {differing[:5]}")
    with closing(psycopg2.connect(new_url(database))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _databases(url: str) -> list[str]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname")
        return [name for (name,) in cursor.fetchall()]


def _row_counts(url: str) -> dict[str, int]:
    """Rows of each table of a database."""
    found = {}
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLES)
        for schema, table in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
            row = cursor.fetchone()
            found[f"{schema}.{table}"] = int(row[0]) if row else 0
    return found


def _url(cluster: Cluster, database: str, password: str) -> str:
    return f"postgresql://{SUPERUSER}:{password}@{HOST}:{cluster.port}/{quote(database, safe='')}"


def _free_place(cluster: Cluster, major: str) -> Path:
    """Directory for the former data."""
    names = [f"data-{major}", *(f"data-{major}-{number}" for number in range(2, 1000))]
    return next(place for name in names if not (place := cluster.directory / name).exists())
