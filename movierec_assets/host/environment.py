"""The environment that the platform's processes share: a database that runs, and variables that say where.

Belongs here: starting or finding Postgres, the variables derived from the settings, and the `.env` file that lets
`dg` find them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dotenv import dotenv_values, set_key, unset_key

from movierec_assets.host.env_file import ENV_FILE_VARIABLE, written_for
from movierec_assets.host.provision import provision
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.progress import Log
from movierec_assets.settings import DAGSTER_FILES_VARIABLE, DAGSTER_URL_VARIABLE, Settings, get_settings

EMBEDDED_URL_VARIABLE = "MOVIEREC_EMBEDDED_DATABASE_URL"
_HEADER = "# The lines below are kept up by `movierec`; `dg` reads them. Lines of your own may stand here too.\n"


# Written to `.env` for `dg`. MOVIEREC_DATASET and the like are the user's.
_KEPT_UP = (
    ENV_FILE_VARIABLE,
    "DAGSTER_HOME",
    DAGSTER_URL_VARIABLE,
    DAGSTER_FILES_VARIABLE,
    EMBEDDED_URL_VARIABLE,
    "MOVIEREC_STATE_DIR",
    "OPENBLAS_NUM_THREADS",
)


@contextmanager
def platform(settings: Settings, log: Log = lambda _: None) -> Iterator[Settings]:
    """Keep the platform's databases ready for as long as the context lasts.

    With MOVIEREC_DATABASE_URL nothing is started. Otherwise the embedded server runs at least until the end of the
    context, and longer when it was started with `movierec db start` or somebody else uses it. Variables for Dagster
    and MLflow are set in this process, for itself and its children.

    Parameters
    ----------
    settings : Settings
    log : callable
        Told about each step that takes longer than a moment.

    Yields
    ------
    Settings
        With the database known.
    """
    with ExitStack() as held:
        if settings.database_url is None:
            url = held.enter_context(EmbeddedPostgres(settings.state).lease())
            settings = settings.model_copy(update={"embedded_database_url": url})
        os.environ.update(variables(settings))
        provision(settings, log)
        yield get_settings()


def pin(settings: Settings, log: Log = lambda _: None) -> Settings:
    """Start the embedded server for good, make its databases ready, and write `.env` for `dg`."""
    url = EmbeddedPostgres(settings.state).start()
    settings = settings.model_copy(update={"embedded_database_url": url})
    os.environ.update(variables(settings))
    provision(settings, log)
    write_env_file(settings)
    return settings


def variables(settings: Settings) -> dict[str, str]:
    """Variables that Dagster, MLflow and the platform's own processes need, beside those the user set."""
    home = _dagster_home(settings)
    files = settings.state / "dagster"
    files.mkdir(parents=True, exist_ok=True)
    found = {
        "DAGSTER_HOME": str(home),
        DAGSTER_URL_VARIABLE: settings.databases.dagster,
        DAGSTER_FILES_VARIABLE: str(files),
        # Paths that were given relative to the working directory of this process mean the same in any other.
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


def write_env_file(settings: Settings) -> Path:
    """Keep our lines of `.env` up to date, leaving the user's alone; only its owner may read it."""
    path = settings.home / ".env"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(_HEADER, encoding="utf-8")
    path.chmod(0o600)
    for name, value in ({ENV_FILE_VARIABLE: str(path)} | variables(settings)).items():
        if name in _KEPT_UP:
            # Quotes or not, a dollar and a brace begin a variable; as the default of none the dollar stays a dollar.
            set_key(path, name, value.replace("${", "${MOVIEREC_:-$}{"))
    return path


def read_env_file(home: Path) -> None:
    """Take the user's own MOVIEREC_ variables from `.env`, unless the environment has them already.

    Our own lines are taken out of a `.env` that was copied or moved here: they name another database.
    """
    path = home / ".env"
    if not path.is_file():
        return
    if written_for(path) not in (None, path):
        with suppress(OSError):
            for name in _KEPT_UP:
                if name in dotenv_values(path):
                    unset_key(path, name)
    for name, value in dotenv_values(path).items():
        if name.startswith("MOVIEREC_") and name not in _KEPT_UP and value is not None:
            os.environ.setdefault(name, value)


def _dagster_home(settings: Settings) -> Path:
    """A directory whose dagster.yaml is the project's, so that Dagster leaves nothing in the project itself."""
    home = settings.state / "dagster_home"
    home.mkdir(parents=True, exist_ok=True)
    link, target = home / "dagster.yaml", settings.home / "dagster.yaml"
    if not (link.is_symlink() and link.readlink() == target):
        fresh = home / f".dagster.yaml.{os.getpid()}"
        fresh.symlink_to(target)
        os.replace(fresh, link)
    return home
