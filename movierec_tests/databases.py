"""Copies of the provisioned databases, for tests that write.

Belongs here: creating and dropping them. Does not: the server and its template, which are in `conftest`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg2
from psycopg2 import sql

from movierec_assets.database_urls import DatabaseUrls


@contextmanager
def own_databases(server_url: str) -> Iterator[str]:
    """Copies of the ratings database at a URL, and of Dagster's and MLflow's beside it; sessions of the originals end.

    Yields
    ------
    str
        libpq URL of the ratings database.
    """
    with _copies(server_url, DatabaseUrls(server_url).names) as url:
        yield url


@contextmanager
def own_database(server_url: str) -> Iterator[str]:
    """A copy of the ratings database alone; see `own_databases`."""
    with _copies(server_url, DatabaseUrls(server_url).names[:1]) as url:
        yield url


@contextmanager
def _copies(server_url: str, names: Sequence[str]) -> Iterator[str]:
    template, *_ = names
    name = f"test_{uuid.uuid4().hex[:12]}"
    copies = [copied.replace(template, name) for copied in names]
    create, drop = (
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"),
        sql.SQL("DROP DATABASE {} WITH (FORCE)"),
    )
    # MLflow and Dagster keep connections, and a database with any is not copied.
    end = sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}")
    _execute(server_url, [end.format(sql.Literal(each)) for each in names])
    _execute(server_url, [create.format(*map(sql.Identifier, each)) for each in zip(copies, names, strict=True)])
    yield server_url.replace(f"/{template}", f"/{name}")
    _execute(server_url, [drop.format(sql.Identifier(each)) for each in copies])


def _execute(url: str, statements: list[sql.Composed]) -> None:
    connection = psycopg2.connect(url, dbname="postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()
