"""The environment of the platform's processes: a running Postgres, and variables that name it.

Belongs here: starting or finding Postgres, and the variables derived from the settings. Does not: the `.env` file that
passes them to `dg` (`env_file`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from movierec_assets.host.env_file import write_env_file
from movierec_assets.host.provision import provision
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.progress import Log
from movierec_assets.settings import (
    DAGSTER_FILES_VARIABLE,
    DAGSTER_URL_VARIABLE,
    EMBEDDED_URL_VARIABLE,
    Settings,
    SettingsError,
    get_settings,
)


@contextmanager
def running_databases(settings: Settings, log: Log = lambda _: None, *, prepared: bool = True) -> Iterator[Settings]:
    """Keep the three databases running and up to date inside the context.

    With MOVIEREC_DATABASE_URL nothing is started. Otherwise the embedded server runs at least until the end of the
    context, and longer when it was started with `movierec db start` or another command uses it. Variables for Dagster
    and MLflow are set in this process, for itself and its children. `log` is called before each step that takes long.
    Without `prepared`, only the server runs: databases may be missing, or of another version.

    Yields
    ------
    Settings
        With the database URL.

    Raises
    ------
    SettingsError
        As `require_project`.
    """
    require_project(settings)
    with ExitStack() as held:
        if settings.database_url is None:
            url = held.enter_context(EmbeddedPostgres(settings.state).lease())
            settings = settings.model_copy(update={"embedded_database_url": url})
        os.environ.update(variables(settings))
        if prepared:
            provision(settings, log)
        yield get_settings()


def pin(settings: Settings, log: Log = lambda _: None) -> Settings:
    """Start the embedded server until it is stopped, bring its databases up to date, and write `.env` for `dg`."""
    require_project(settings)
    url = EmbeddedPostgres(settings.state).start()
    settings = settings.model_copy(update={"embedded_database_url": url})
    os.environ.update(variables(settings))
    provision(settings, log)
    write_env_file(settings.home, variables(settings))
    return settings


def require_project(settings: Settings) -> None:
    """Refuse a project directory without dagster.yaml: SettingsError."""
    if not (settings.home / "dagster.yaml").is_file():
        raise SettingsError(
            f"The project directory {settings.home} has no dagster.yaml, which says how Dagster runs. MOVIEREC_HOME "
            "names the directory of the project's clone; leave it out to take the one that is installed."
        )


def variables(settings: Settings) -> dict[str, str]:
    """Variables that Dagster, MLflow and the platform's own processes need, without those that the user set."""
    home = _dagster_home(settings)
    files = settings.state / "dagster"
    files.mkdir(parents=True, exist_ok=True)
    found = {
        "DAGSTER_HOME": str(home),
        DAGSTER_URL_VARIABLE: settings.databases.dagster,
        DAGSTER_FILES_VARIABLE: str(files),
        # Absolute, because child processes have other working directories.
        "MOVIEREC_STATE_DIR": str(settings.state),
        "MOVIEREC_HOME": str(settings.home),
        "MOVIEREC_DATA_DIR": str(settings.data),
        "MOVIEREC_STORAGE_URL": settings.storage,
        # `implicit` threads by itself; BLAS threads on top of that slow it down.
        "OPENBLAS_NUM_THREADS": "1",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    if settings.dataset and Path(settings.dataset).is_dir():
        found["MOVIEREC_DATASET"] = str(Path(settings.dataset).resolve())
    if settings.embedded_database_url and not settings.database_url:
        found[EMBEDDED_URL_VARIABLE] = settings.embedded_database_url
    return found


def _dagster_home(settings: Settings) -> Path:
    """Directory with a link to the project's dagster.yaml, so that Dagster writes nothing into the project."""
    home = settings.state / "dagster_home"
    home.mkdir(parents=True, exist_ok=True)
    link, target = home / "dagster.yaml", settings.home / "dagster.yaml"
    if not (link.is_symlink() and link.readlink() == target):
        fresh = home / f".dagster.yaml.{os.getpid()}"
        fresh.symlink_to(target)
        os.replace(fresh, link)
    return home
