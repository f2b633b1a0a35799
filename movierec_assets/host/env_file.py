"""For which directory a `.env` was written: its lines name a database, and a copy of them names the same one.

Belongs here: telling a file that stands where it was written from one that was copied or moved. Writing it is
`host.environment`'s work.
"""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from movierec_assets.settings import DAGSTER_URL_VARIABLE, SettingsError

ENV_FILE_VARIABLE = "MOVIEREC_ENV_FILE"
"""Line of `.env` with the path of the file itself."""


def written_for(path: Path) -> Path | None:
    """The path that a `.env` was written at: its own, unless it was copied or moved; None when it does not say."""
    noted = dotenv_values(path).get(ENV_FILE_VARIABLE)
    if noted is None:
        return None
    other = Path(noted)
    return path if other.exists() and other.samefile(path) else other


def require_own(directory: Path) -> None:
    """Refuse to go on with the database of a `.env` in this directory that was written for another one.

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
