"""A backup of a platform, and the platform that is restored from it."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from pydantic import SecretStr
from upath import UPath

from movierec_assets.backup import restoring, target
from movierec_assets.backup.errors import BackupError
from movierec_assets.backup.making import make, settings_to_keep
from movierec_assets.backup.moment import moment_of, only_one
from movierec_assets.backup.restoring import restored
from movierec_assets.backup.storages import UrlStorage
from movierec_assets.host.restoring import restore_here
from movierec_assets.models.decision_history import TABLE
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.postgres.dumps import client, dump
from movierec_assets.settings import Settings
from movierec_assets.tables.database import SCHEMA, Database, DatabaseUnavailableError
from movierec_tests.databases import own_databases
from movierec_tests.defs.harness import Platform, new_app_users, run
from movierec_tests.models.harness import BETTER, FIRST, KEPT, carry_out, register
from movierec_tests.waiting import PATIENCE, until_somebody_waits

_ROWS = """
SELECT 'SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM '
|| quote_ident(schemaname) || '.' || quote_ident(tablename) || ' t'
FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' ORDER BY 1
"""


def quiet(_: str) -> None:
    """Log nothing."""


@pytest.fixture
def used(platform: Platform) -> Platform:
    """Champion 2; version 3 was kept out, and no decision names version 4. Matrices, app ratings, unfinished runs."""
    for seed, decision in ((1, FIRST), (2, BETTER), (3, KEPT)):
        carry_out(platform, register(platform, seed=seed, stored="artifacts"), decision)
    register(platform, seed=4, stored="artifacts")
    storage = Path(platform.settings.storage)
    storage.mkdir(parents=True, exist_ok=True)
    (storage / "train_matrix.npz").write_bytes(b"matrix" * 1000)
    (storage / ".train_matrix.npz.half").write_bytes(b"half a matrix")
    with platform.database.transaction() as cursor:
        (user,) = new_app_users(cursor)
        cursor.execute(f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, 101, 4.5)", [user])
    with DagsterInstance.get() as instance:
        for left in instance.get_runs():
            instance.delete_run(left.run_id)
        instance.create_run_for_job(_job(), status=DagsterRunStatus.STARTED)
        instance.create_run_for_job(_job(), status=DagsterRunStatus.NOT_STARTED)
    return platform


def _job() -> Any:
    from movierec_assets.definitions import build

    return build().resolve_job_def("refresh")


@contextmanager
def elsewhere(server_url: str, directory: Path) -> Iterator[Settings]:
    """Settings of an empty platform in another directory, with other databases."""
    with own_databases(server_url) as url:
        os.environ |= {
            "MOVIEREC_STATE_DIR": str(directory / "Ann's other state"),
            "MOVIEREC_DATABASE_URL": url,
            "MOVIEREC_STORAGE_URL": str(directory / "Ann's other state" / "storage"),
        }
        yield Settings()


def disconnect(settings: Settings) -> None:
    """End sessions that libraries keep open in this process; a command has a process of its own."""
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s)"
    with closing(psycopg2.connect(settings.databases.ratings, dbname="postgres")) as connection:
        connection.cursor().execute(statement, [list(settings.databases.names)])


def content_of(url: str) -> dict[str, tuple[int, str]]:
    """Number and hash of the rows of each table."""
    database = Database(url)
    queries = [query for (query,) in database.rows(_ROWS)]
    return {query: database.rows(query)[0] for query in queries}


def everything_in(directory: Path) -> dict[Path, bytes | None]:
    """Files under a directory with their content, and directories."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(directory.rglob("*"))}


@pytest.mark.slow
def test_everything_is_restored_on_another_path_and_in_other_databases(
    used: Platform, server_url: str, tmp_path: Path
) -> None:
    made = make(used.settings, tmp_path / "backup.zip")
    assert made.manifest.versions == [1, 2, 3]
    names = set(made.manifest.members)
    assert "storage/train_matrix.npz" in names
    assert not [name for name in names if "half" in name]
    before = content_of(used.settings.databases.ratings)
    with elsewhere(server_url, tmp_path) as settings:
        found = restore_here(settings, made.path, quiet)
        assert content_of(settings.databases.ratings) == before
        assert (found.champion, found.fault) == (2, None)
        assert len(found.ended) == 2
        registry = ModelRegistry.of(settings)
        assert [registry.fault_of(registry.version(number)) for number in (1, 2, 3)] == [None] * 3
        assert "is not there" in str(registry.fault_of(registry.version(4)))
        assert (Path(settings.storage) / "train_matrix.npz").read_bytes() == b"matrix" * 1000
        assert sorted(path.name for path in settings.state.iterdir() if path.name.startswith(".")) == []
        with DagsterInstance.get() as instance:
            assert {run.status for run in instance.get_runs()} == {DagsterRunStatus.CANCELED}
        databases = {name for (name,) in Database(settings.databases.ratings).rows("SELECT datname FROM pg_database")}
        assert not [name for name in databases if name.startswith(("restoring_", "replaced_"))]

        with pytest.raises(BackupError, match=r"app_users has rows.*Nothing was restored.*--force"):
            restore_here(settings, made.path, quiet)
        with Database(settings.databases.ratings).transaction() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(f'{SCHEMA}.{table}' for table in target._CONTENT)} CASCADE")
        disconnect(settings)
        with pytest.raises(BackupError, match=r"runs of the database \w+ has rows.*Nothing was restored"):
            restore_here(settings, made.path, quiet)
        disconnect(settings)
        restore_here(settings, made.path, quiet, force=True)
        assert content_of(settings.databases.ratings) == before


@pytest.mark.slow
def test_a_restore_that_fails_leaves_everything_as_it_was(
    used: Platform, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(used.settings, tmp_path / "backup.zip")
    with elsewhere(server_url, tmp_path) as settings:
        database, storage = Database(settings.databases.ratings), Path(settings.storage)
        with database.transaction() as cursor:
            new_app_users(cursor, 3)
        storage.mkdir(parents=True)
        (storage / "mine.npz").write_bytes(b"mine")
        same_name = settings.state / next(name for name in made.manifest.members if name.startswith("mlartifacts/"))
        for path in (same_name, settings.artifacts / "mine" / "model"):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"mine")
        before = content_of(settings.databases.ratings)
        artifacts = everything_in(settings.artifacts)

        def require_unchanged() -> None:
            assert content_of(settings.databases.ratings) == before
            assert [path.name for path in storage.iterdir()] == ["mine.npz"]
            assert everything_in(settings.artifacts) == artifacts
            assert not list(settings.state.glob(".restoring-*"))

        def migrations_fail() -> None:
            with restored(settings, made.path, force=True):
                assert Database(settings.databases.ratings).scalar(f"SELECT count(*) FROM {SCHEMA}.app_users") == 1
                assert len(everything_in(settings.artifacts)) > len(artifacts)
                assert same_name.read_bytes() != b"mine"
                raise RuntimeError("migrations")

        with pytest.raises(RuntimeError, match="migrations"):
            migrations_fail()
        require_unchanged()

        monkeypatch.setattr(target, "WAIT_SECONDS", 0.0)
        with database.connect(), pytest.raises(BackupError, match=r"in use by movierec \(pid \d+.*Stop the servers"):
            restore_here(settings, made.path, quiet, force=True)
        require_unchanged()

        monkeypatch.setattr(shutil, "disk_usage", lambda _: _Full())
        with pytest.raises(BackupError, match=r"0 MB are free.*Nothing was restored"):
            restore_here(settings, made.path, quiet, force=True)
        require_unchanged()


@pytest.mark.slow
def test_a_restore_that_took_effect_stays_when_what_it_replaced_cannot_be_removed(
    used: Platform, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(used.settings, tmp_path / "backup.zip")
    drop, logged = target.TargetDatabases._drop, list[str]()
    with elsewhere(server_url, tmp_path) as settings:
        model_file = settings.state / next(name for name in made.manifest.members if name.startswith("mlartifacts/"))

        def left_databases() -> list[str]:
            rows = Database(settings.databases.ratings).rows("SELECT datname FROM pg_database")
            own = target.TargetDatabases(settings.databases)
            return [name for (name,) in rows if name in {own._former(kind) for kind in made.manifest.databases}]

        def restored_until(error: BaseException) -> None:
            with restored(settings, made.path, logged.append, force=True):

                def refused(targets: target.TargetDatabases, name: str) -> None:
                    if name.startswith("replaced_"):
                        raise error
                    drop(targets, name)

                monkeypatch.setattr(target.TargetDatabases, "_drop", refused)

        def require_restored() -> None:
            assert Database(settings.databases.ratings).scalar(f"SELECT count(*) FROM {SCHEMA}.app_users") == 1
            assert (Path(settings.storage) / "train_matrix.npz").read_bytes() == b"matrix" * 1000
            assert model_file.read_bytes() != b"mine"
            assert not [*settings.state.glob(".restoring-*"), *Path(settings.storage).glob(".*")]

        def made_mine() -> None:
            disconnect(settings)
            monkeypatch.setattr(target.TargetDatabases, "_drop", drop)
            model_file.parent.mkdir(parents=True, exist_ok=True)
            model_file.write_bytes(b"mine")

        made_mine()
        restored_until(DatabaseUnavailableError("no answer"))
        require_restored()
        assert len(left_databases()) > 0
        assert "could not be dropped" in logged[-1]
        assert "no answer" in logged[-1]

        made_mine()
        with pytest.raises(KeyboardInterrupt):
            restored_until(KeyboardInterrupt())
        require_restored()

        made_mine()
        with restored(settings, made.path, force=True):
            pass
        require_restored()
        assert left_databases() == []


class _Full:
    free = 0


@pytest.mark.slow
def test_one_moment_holds_the_champion_of_its_latest_decision_and_whole_files(used: Platform) -> None:
    """Champion and files change all the time meanwhile."""
    ended = threading.Event()
    storage = Path(used.settings.storage)

    def work() -> None:
        for number in range(200):
            if ended.wait(0.1):  # longer than one attempt takes
                return
            carry_out(used, 1 + number % 2, replace(BETTER, outcome="manual"))
            beside = storage / ".beside"
            beside.write_bytes(bytes([number]) * 100_000)
            beside.replace(storage / "train_matrix.npz")

    worker = threading.Thread(target=work)
    worker.start()
    champions = set()
    try:
        for _ in range(6):
            with only_one(used.settings.state), moment_of(used.settings) as moment:
                latest = moment.databases["ratings"].value(
                    f"SELECT model_version FROM {TABLE} WHERE promoted AND state = 'done' ORDER BY decision_id DESC"
                )
                assert moment.models.champion == latest
                assert not moment.databases["ratings"].value(f"SELECT count(*) FROM {TABLE} WHERE state = 'pending'")
                content = (moment.storage / "train_matrix.npz").read_bytes()
                assert content == b"matrix" * 1000 or content == content[:1] * 100_000
                champions.add(latest)
    finally:
        ended.set()
        worker.join(PATIENCE)


@pytest.fixture
def bucket() -> Iterator[UPath]:
    """A place of a test's own at a URL."""
    place = UPath(f"memory://backup-{uuid.uuid4().hex}/matrices")
    yield place
    with suppress(FileNotFoundError):
        place.fs.rm(place.parent.path, recursive=True)


def test_a_moment_of_files_at_a_url_is_taken_again_when_one_is_replaced_meanwhile(
    used: Platform, bucket: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = used.settings.model_copy(update={"storage_url": str(bucket)})
    (bucket / "train.npz").write_bytes(b"old")
    (bucket / "test.npz").write_bytes(b"old")
    copy_to, copies = UrlStorage.copy_to, []

    def copied_while_a_run_replaces_both(storage: UrlStorage, directory: Path) -> None:
        copy_to(storage, directory)
        copies.append(directory)
        if len(copies) == 1:
            (bucket / "train.npz").write_bytes(b"new")
            (bucket / "test.npz").write_bytes(b"new")

    monkeypatch.setattr(UrlStorage, "copy_to", copied_while_a_run_replaces_both)
    with only_one(settings.state), moment_of(settings) as moment:
        assert len(copies) == 2
        (bucket / "train.npz").write_bytes(b"after the moment")
        assert {path.name: path.read_bytes() for path in moment.storage.iterdir()} == {
            "train.npz": b"new",
            "test.npz": b"new",
        }


@pytest.mark.slow
def test_files_at_a_url_are_replaced_with_force_only_and_are_as_before_when_the_restore_fails(
    used: Platform, server_url: str, tmp_path: Path, bucket: UPath
) -> None:
    source = bucket / "source"
    (source / "train_matrix.npz").write_bytes(b"matrix")
    made = make(used.settings.model_copy(update={"storage_url": str(source)}), tmp_path / "backup.zip")
    target = bucket / "target"
    with elsewhere(server_url, tmp_path) as empty:
        settings = empty.model_copy(update={"storage_url": str(target)})
        mine = {"train_matrix.npz": b"mine", "mine.npz": b"mine"}
        for name, content in mine.items():
            (target / name).write_bytes(content)

        def there() -> dict[str, bytes]:
            return {path.name: path.read_bytes() for path in target.iterdir()}

        def restored_until(error: Exception | None, *, force: bool) -> None:
            with restored(settings, made.path, force=force):
                assert there() == {"train_matrix.npz": b"matrix"}
                if error is not None:
                    raise error

        with pytest.raises(BackupError, match=r"memory://.* has files. Nothing was restored"):
            restored_until(None, force=False)
        assert there() == mine
        with pytest.raises(RuntimeError, match="migrations"):
            restored_until(RuntimeError("migrations"), force=True)
        assert there() == mine
        restored_until(None, force=True)
        assert there() == {"train_matrix.npz": b"matrix"}


def test_a_table_that_is_replaced_meanwhile_is_dumped_as_it_was(used: Platform, tmp_path: Path) -> None:
    database = used.database
    programs = client(int(database.scalar("SELECT current_setting('server_version_num')::integer / 10000")))

    def replace_all() -> None:
        with database.replace("ratings") as table:
            table.write_rows(("user_id", "movie_id", "rating", "rated_at"), [(1, 101, 5.0, "2020-01-01")])

    with only_one(used.settings.state), moment_of(used.settings) as moment:
        before = moment.databases["ratings"].value(f"SELECT count(*) FROM {SCHEMA}.ratings")
        assert before > 1
        worker = threading.Thread(target=replace_all)
        worker.start()
        until_somebody_waits(database)
        with (tmp_path / "dump").open("wb") as file:
            dump(moment.databases["ratings"].url, file, programs, moment.databases["ratings"].snapshot)
        assert moment.databases["ratings"].value(f"SELECT count(*) FROM {SCHEMA}.ratings") == before
    worker.join(PATIENCE)
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.ratings") == 1


def test_only_one_backup_at_a_time(used: Platform, tmp_path: Path) -> None:
    with only_one(used.settings.state), pytest.raises(BackupError, match="Another backup or restore"):
        make(used.settings, tmp_path / "backup.zip")
    assert not list(tmp_path.iterdir())


def test_settings_are_kept_without_secrets_and_paths() -> None:
    settings = Settings(
        timezone="Europe/Berlin",
        warm_start=False,
        database_url="postgresql://me:secret@db/films",
        mlflow_tracking_uri="http://me:secret@mlflow:5000",
        alert_webhook_url=SecretStr("https://hooks.example/secret"),
        alert_email_to="me@mail.example",
        alert_smtp_url=SecretStr("smtp://me:secret@mail.example"),
        state_dir=Path("/srv/secret"),
        dataset="/srv/secret/ratings",
        api_host="10.0.0.5",
        api_public_url="https://films.example",
        api_trusted_proxies="10.0.0.1",
        app_host="10.0.0.5",
        app_api_url="http://10.0.0.5:8000",
        app_api_key_file=Path("/srv/secret/key"),
    )
    assert settings_to_keep(settings) == {
        "MOVIEREC_ALERT_EMAIL_TO": "me@mail.example",
        "MOVIEREC_TIMEZONE": "Europe/Berlin",
        "MOVIEREC_WARM_START": "false",
    }
    assert settings_to_keep(Settings(dataset="ml-20m")) == {"MOVIEREC_DATASET": "ml-20m"}


def test_the_job_makes_a_backup_and_drops_the_oldest(used: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIEREC_BACKUPS_KEPT", "1")
    directory = used.settings.backups
    directory.mkdir(parents=True, exist_ok=True)
    old = directory / "movierec-20200101-000000.zip"
    old.touch()
    result = run("backup")
    assert result.success
    (path,) = directory.iterdir()
    assert path != old
    assert restoring.check(path).champion is not None
    handled = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    metadata = handled[0].step_output_data.metadata
    assert metadata["dropped"].value == [old.name]
    assert metadata["champion"].value == 2
