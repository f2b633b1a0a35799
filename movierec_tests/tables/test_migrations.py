"""The schema of the ratings database is updated once, and never by opening it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from alembic.script import ScriptDirectory

from movierec_assets.host import provision
from movierec_assets.host.environment import variables
from movierec_assets.models.recipes import TRIALS_SCHEMA
from movierec_assets.resources.configurable import PostgresResource
from movierec_assets.settings import Settings, get_settings
from movierec_assets.sql import read_sql
from movierec_assets.tables import migrations
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.migrations import (
    SchemaVersionError,
    known_versions,
    latest_version,
    migrate,
    version_of,
)
from movierec_tests.waiting import PATIENCE, until_somebody_waits, wait_until

_UNNUMBERED = f"CREATE SCHEMA {SCHEMA};" + read_sql("migrations/versions/0001_ratings")
"""The schema of the last release without version numbers; a migration is never edited."""
_OLDER = sorted(Path(__file__).parent.glob("schema_before_*.sql"))
_MOVIES = range(1, 9)
_VIEWS = ("current_ratings", "eligible_users")


def test_the_versions_are_those_of_alembic_one_after_the_other() -> None:
    script = ScriptDirectory(str(migrations.MIGRATIONS))
    assert script.get_heads() == [latest_version()]
    assert tuple(step.revision for step in reversed(list(script.walk_revisions()))) == known_versions()


def test_an_empty_database_gets_everything_once_from_many_callers_at_the_same_time(empty_database: Database) -> None:
    database = empty_database
    with database.transaction() as cursor:
        cursor.execute(f"DROP SCHEMA {TRIALS_SCHEMA}")
    said: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(database, said.append), range(4)))
    assert version_of(database) == latest_version()
    assert said.count("Preparing the ratings database") == 1
    assert {"movies", "ratings", "searches"} <= {name for name, *_ in _catalog(database)["tables"]}
    assert database.scalar("SELECT to_regnamespace(%s)", [TRIALS_SCHEMA]) == TRIALS_SCHEMA


@pytest.mark.parametrize("older", [*(path.read_text(encoding="utf-8") for path in _OLDER), _UNNUMBERED])
def test_every_earlier_database_becomes_like_a_new_one_and_keeps_its_ratings(
    empty_database: Database, older: str
) -> None:
    database = empty_database
    migrate(database)
    expected = _catalog(database)
    with database.transaction() as cursor:
        cursor.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        cursor.execute(older)
        _rate(cursor)
    before = [database.rows(f"SELECT * FROM {SCHEMA}.{view} ORDER BY 1, 2") for view in _VIEWS]
    assert (3, 2, 1.0) in [row[:3] for row in before[0]]
    assert len(before[0]) == len(_MOVIES)
    migrate(database)
    found = _catalog(database)
    for kind in expected:
        assert found[kind] == expected[kind], kind
    assert [database.rows(f"SELECT * FROM {SCHEMA}.{view} ORDER BY 1, 2") for view in _VIEWS] == before


def test_a_database_that_is_behind_or_ahead_is_refused_in_one_sentence_with_the_remedy(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, resource = empty_database, PostgresResource(url=empty_database.url)
    with pytest.raises(SchemaVersionError, match=f"no version, .* version {latest_version()}.*movierec db migrate"):
        resource.open()
    migrate(database)
    ours = latest_version()
    assert version_of(resource.open()) == ours

    # A later version of the program, in a directory whose name has letters that configuration files make much of.
    later = tmp_path / "100%s Ann's" / "migrations"
    shutil.copytree(migrations.MIGRATIONS, later)
    (later / "versions" / "9000_later.py").write_text(
        f"from alembic import op\nrevision = '9000'\ndown_revision = '{ours}'\n"
        f"def upgrade() -> None:\n    op.execute('CREATE TABLE {SCHEMA}.later ()')\n"
    )
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", later)
        with pytest.raises(SchemaVersionError, match=rf"version {ours}, .* needs version 9000.*movierec db migrate"):
            resource.open()
        migrate(database)
        assert version_of(resource.open()) == "9000"
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.later") == 0

    for use in (resource.open, lambda: migrate(database)):
        with pytest.raises(SchemaVersionError, match=rf"version 9000, which a newer .* up to {ours}\. Update it"):
            use()
    assert version_of(database) == "9000"


def test_a_migration_waits_for_a_reader_and_later_readers_do_not(empty_database: Database) -> None:
    database, said = empty_database, list[str]()
    with database.transaction() as cursor:
        cursor.execute(_UNNUMBERED)
    query = f"SELECT count(*) FROM {SCHEMA}.current_ratings"
    with ThreadPoolExecutor(2) as pool:
        with database.transaction() as cursor:
            cursor.execute(query)
            migrated = pool.submit(migrate, database, said.append)
            until_somebody_waits(database)
            assert pool.submit(database.scalar, query).result(timeout=PATIENCE) == 0
            wait_until(lambda: len(said) == 2, "word of the reader")
            assert not migrated.done()
            pid = cursor.connection.info.backend_pid
        migrated.result(timeout=PATIENCE)
    assert version_of(database) == latest_version()
    assert said[0] == f"Bringing the ratings database from no version to version {latest_version()}"
    assert said[1].startswith(f"Waiting for 1 reader of the ratings database to end: pid {pid} (movierec, user ")
    assert said[1].endswith(f"idle in a transaction, after {query}")
    assert len(said) == 2


# All three databases


@pytest.fixture
def fresh_settings(server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings that name databases which do not exist yet, except for MLflow's."""
    url = server_url.replace("/template_movierec", "/fresh_movierec")
    monkeypatch.setenv("MOVIEREC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MOVIEREC_DATABASE_URL", url)
    monkeypatch.setenv("MOVIEREC_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    for name, value in variables(get_settings()).items():
        monkeypatch.setenv(name, value)
    yield get_settings()
    connection = psycopg2.connect(server_url, dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        for name in get_settings().databases.names:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    connection.close()


@pytest.mark.slow
def test_two_first_starts_at_the_same_time_both_find_everything_ready(fresh_settings: Settings) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: provision.provision(fresh_settings, said.append), range(2)))
    assert version_of(Database(fresh_settings.databases.ratings)) == latest_version()
    assert said == ["Preparing the ratings database", "Preparing Dagster's database"]
    provision.provision(fresh_settings, said.append)
    assert len(said) == 2


def test_mlflow_and_dagster_are_prepared_once_and_a_ready_platform_is_found_by_queries_alone(
    platform_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    for name in ("mlflow", "dagster"):
        monkeypatch.setattr(provision, f"_upgrade_{name}", lambda *_, name=name: prepared.append(name))
    provision.provision(platform_settings)
    assert prepared == ["mlflow", "dagster"]
    # In another process: a library that it does not import cannot run.
    script = (
        "import sys; from movierec_assets.host.provision import provision;"
        "from movierec_assets.settings import get_settings; provision(get_settings(), print);"
        "print(*{'alembic', 'dagster', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    monkeypatch.setattr(provision, "version", lambda _: "999")
    provision.provision(platform_settings)
    assert prepared == ["mlflow", "dagster"] * 2


def _rate(cursor: Any) -> None:
    """Write ratings of a user, and one of the app that supersedes one of them, in any version of the schema."""
    for table in ("movies", "ratings"):
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.{table}_1 PARTITION OF {SCHEMA}.{table} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"
        )
    for movie in _MOVIES:
        cursor.execute(f"INSERT INTO {SCHEMA}.movies VALUES (%s, 'Film', 1999, '{{}}')", [movie])
        cursor.execute(
            f"INSERT INTO {SCHEMA}.ratings (user_id, movie_id, rating, rated_at) VALUES (3, %s, 4.0, '2001-01-01')",
            [movie],
        )
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.user_totals"])
    if cursor.fetchone()[0]:
        cursor.execute(f"INSERT INTO {SCHEMA}.user_totals VALUES (3, %s)", [len(_MOVIES)])
    cursor.execute(f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (3, 2, 1.0)")
    cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")


_DEFINITIONS = {
    "tables": """
        SELECT relname, relkind, pg_get_partkeydef(oid), CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END
        FROM pg_class WHERE relnamespace = %(schema)s::regnamespace AND NOT relispartition
        AND relkind IN ('r', 'p', 'v', 'm', 'S')""",
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = %(schema)s::regnamespace AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'v', 'm')
        AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraints": """
        SELECT o.conname, c.relname, pg_get_constraintdef(o.oid) FROM pg_constraint o
        JOIN pg_class c ON c.oid = o.conrelid
        WHERE o.connamespace = %(schema)s::regnamespace AND NOT c.relispartition""",
    "indexes": """
        SELECT indexname, tablename, indexdef FROM pg_indexes
        JOIN pg_class c ON c.oid = format('%%I.%%I', schemaname, tablename)::regclass
        WHERE schemaname = %(schema)s AND NOT c.relispartition""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace""",
    "triggers": """
        SELECT tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
        WHERE c.relnamespace = %(schema)s::regnamespace AND NOT tgisinternal""",
}


def _catalog(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every definition of the schema."""
    return {kind: sorted(database.rows(query, {"schema": SCHEMA}), key=str) for kind, query in _DEFINITIONS.items()}
