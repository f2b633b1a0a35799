"""The `.env` file of the project directory, which `dg` reads.

Belongs here: writing its managed lines, reading the lines of the user, and refusing a copied or moved file, which names
the database of another directory. Does not: the values of the managed lines (`environment`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dotenv import dotenv_values, set_key, unset_key

from movierec_assets.settings import (
    DAGSTER_FILES_VARIABLE,
    DAGSTER_URL_VARIABLE,
    EMBEDDED_URL_VARIABLE,
    SettingsError,
)

ENV_FILE_VARIABLE = "MOVIEREC_ENV_FILE"
"""Line of `.env` with the path of the file itself."""
_HEADER = "# The lines below are kept up by `movierec`; `dg` reads them. Lines of your own may stand here too.\n"
# For `dg`. Other variables, such as MOVIEREC_DATASET, are the user's.
MANAGED = (
    ENV_FILE_VARIABLE,
    "DAGSTER_HOME",
    DAGSTER_URL_VARIABLE,
    DAGSTER_FILES_VARIABLE,
    EMBEDDED_URL_VARIABLE,
    "MOVIEREC_STATE_DIR",
    "OPENBLAS_NUM_THREADS",
)


def write_env_file(home: Path, variables: Mapping[str, str]) -> None:
    """Write the managed lines, which only the owner of the file may read; lines of the user stay as they are."""
    path = home / ".env"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(_HEADER, encoding="utf-8")
    path.chmod(0o600)
    for name, value in ({ENV_FILE_VARIABLE: str(path)} | dict(variables)).items():
        if name in MANAGED:
            # dotenv expands ${NAME} even between quotes. The default of an unset variable stays a plain dollar.
            set_key(path, name, value.replace("${", "${MOVIEREC_:-$}{"))


def read_env_file(home: Path) -> None:
    """Set the user's MOVIEREC_ variables from `.env`, unless the environment has them already.

    Managed lines of a copied or moved file are removed first.
    """
    path = home / ".env"
    if not path.is_file():
        return
    if written_for(path) not in (None, path):
        with suppress(OSError):
            for name in MANAGED:
                if name in dotenv_values(path):
                    unset_key(path, name)
    for name, value in dotenv_values(path).items():
        if name.startswith("MOVIEREC_") and name not in MANAGED and value is not None:
            os.environ.setdefault(name, value)


def written_for(path: Path) -> Path | None:
    """Path that a `.env` was written at: another one when it was copied or moved; None when it has no such line."""
    recorded = dotenv_values(path).get(ENV_FILE_VARIABLE)
    if recorded is None:
        return None
    original = Path(recorded)
    return path if original.exists() and original.samefile(path) else original


def require_own(directory: Path) -> None:
    """Refuse to use the database that a `.env` copied into this directory names.

    Raises
    ------
    SettingsError
    """
    path = directory / ".env"
    if not path.is_file() or written_for(path) in (None, path):
        return
    if dotenv_values(path).get(DAGSTER_URL_VARIABLE) == os.environ.get(DAGSTER_URL_VARIABLE):
        raise SettingsError(
            f"{path} was written for {written_for(path)} and names the database there. Run `make install` and "
            "`.venv/bin/movierec db start` in this directory, which write its own."
        )
