"""The manifest of a backup: the versions that made it, its content, and the hash of each of its files.

Belongs here: the fields, their text form, and refusing backups of newer versions. Does not: the file format of an
archive (`archive`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from movierec_assets import __version__
from movierec_assets.backup.errors import BackupError, DamagedBackupError
from movierec_assets.tables.migrations import known_versions, latest_version

FORMAT = 1
"""Version of the form of archives. A reader accepts its own and earlier ones."""
_UPDATE = (
    "Update this program first (`git pull`, then `make install`; for containers `docker compose build`), then restore."
)


class Member(BaseModel):
    """A file in a backup.

    Attributes
    ----------
    bytes : int
    sha256 : str
        In hexadecimal digits.
    """

    model_config = ConfigDict(frozen=True)
    bytes: int
    sha256: str


class DumpedDatabase(BaseModel):
    """A database in a backup.

    Attributes
    ----------
    bytes : int
        Its size in the server.
    member : str
        Name of its dump in the archive.
    """

    model_config = ConfigDict(frozen=True)
    bytes: int
    member: str


class Champion(BaseModel):
    """The champion at the moment of a backup."""

    model_config = ConfigDict(frozen=True)
    version: int
    dataset: str | None = None


class Manifest(BaseModel):
    """Everything about a backup but its files.

    Attributes
    ----------
    format : int
    made_at : datetime
        Moment of the state that the backup holds.
    movierec, dagster, mlflow, schema_version : str
        Versions of the programs, and of the schema of the ratings database. `mlflow` is None where an MLflow server of
        one's own has the models, which are then not in the backup.
    postgres, dumped_by : int
        Major versions of the server and of `pg_dump`.
    databases : dict of str to DumpedDatabase
        By kind: "ratings", "dagster", "mlflow".
    dataset : str or None
        Name of the loaded dataset.
    ratings, app_ratings : int
        Rows of these tables.
    champion : Champion or None
    versions : list of int
        Versions whose files are in the backup.
    settings : dict of str to str
        Variables that were set, without secrets, addresses and paths.
    members : dict of str to Member
    """

    model_config = ConfigDict(frozen=True)
    format: int = FORMAT
    made_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    movierec: str = __version__
    dagster: str = Field(default_factory=lambda: version("dagster"))
    mlflow: str | None = Field(default_factory=lambda: version("mlflow"))
    schema_version: str = Field(default_factory=latest_version)
    postgres: int
    dumped_by: int
    databases: dict[str, DumpedDatabase] = {}
    dataset: str | None = None
    ratings: int = 0
    app_ratings: int = 0
    champion: Champion | None = None
    versions: list[int] = []
    settings: dict[str, str] = {}
    members: dict[str, Member] = {}

    @classmethod
    def read(cls, text: bytes, source: object) -> Self:
        """Read a manifest.

        Raises
        ------
        DamagedBackupError
        BackupError
            When a newer version of the program wrote it.
        """
        try:
            found: dict[str, Any] = BaseFormat.model_validate_json(text).model_dump()
            if found["format"] > FORMAT:
                raise BackupError(
                    f"{source} has format {found['format']}, which version {found['movierec']} of movierec wrote; this "
                    f"is version {__version__}, which reads formats up to {FORMAT}. {_UPDATE}"
                )
            return cls.model_validate_json(text)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise DamagedBackupError(f"The manifest of {source} is damaged at {where or 'its beginning'}.") from None

    def require_known(self, source: object) -> None:
        """Refuse a backup of a newer program: its databases cannot be brought to an earlier version.

        Raises
        ------
        BackupError
            With all differences.
        """
        newer = [
            f"{name} {stored} (here: {here})"
            for name, stored, here in (
                ("Dagster", self.dagster, version("dagster")),
                ("MLflow", self.mlflow or "0", version("mlflow")),
            )
            if _number(stored) > _number(here)
        ]
        if self.schema_version not in known_versions():
            newer.append(f"schema {self.schema_version} of the ratings (here: up to {latest_version()})")
        if newer:
            raise BackupError(
                f"{source} was made by version {self.movierec} of movierec, which is newer than this one: "
                f"{', '.join(newer)}. {_UPDATE}"
            )

    @property
    def unpacked_bytes(self) -> int:
        """Space that the restored state takes."""
        dumps = {database.member for database in self.databases.values()}
        files = sum(member.bytes for name, member in self.members.items() if name not in dumps)
        return files + sum(database.bytes for database in self.databases.values())

    @property
    def summary(self) -> str:
        """The content for people, in one or two sentences."""
        champion = "no champion" if self.champion is None else f"champion {self.champion.version}"
        return (
            f"State of {self.made_at:%Y-%m-%d %H:%M:%S} UTC: {self.dataset or 'no dataset'}, {self.ratings:,} ratings "
            f"and {self.app_ratings:,} of the app, {champion}, files of {len(self.versions)} versions. Made by version "
            f"{self.movierec} on Postgres {self.postgres}."
        )


class BaseFormat(BaseModel):
    """The fields that a manifest of every format has."""

    format: int
    movierec: str


def _number(text: str) -> tuple[int, ...]:
    """A version as numbers, for comparing."""
    return tuple(map(int, re.findall(r"\d+", text)[:3]))
