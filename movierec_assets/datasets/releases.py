"""The MovieLens releases that can be fetched by name.

Belongs here: addresses, sizes, checksums, figures and terms, as GroupLens publishes them; the numbers are in
`releases.csv`. Does not: fetching (`download`) and choosing (`locate`).
"""

from __future__ import annotations

from dataclasses import dataclass

from movierec_assets.datasets.package_tables import rows_of

BASE_URL = "https://files.grouplens.org/datasets/movielens/"


@dataclass(frozen=True)
class Release:
    """One published archive.

    Attributes
    ----------
    name : str
        Name of the release, of its archive, and of the directory inside unless `folder` says another.
    archive_bytes : int
        Size of the archive.
    ratings, users, movies : int
        Ratings, distinct users who gave them, movies.
    licence : str
        The terms of its README, in a few words.
    md5, sha256 : str or None
        Checksums of the archive. At least one is known, and every known one is checked.
    folder : str or None
        Directory inside the archive where it has another name.
    """

    name: str
    archive_bytes: int
    ratings: int
    users: int
    movies: int
    licence: str
    md5: str | None = None
    sha256: str | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        if not (self.md5 or self.sha256):
            raise ValueError(f"{self.name}: a release needs a checksum.")

    @property
    def archive(self) -> str:
        """File name of the archive."""
        return f"{self.name}.zip"

    @property
    def url(self) -> str:
        """Public address of the archive."""
        return BASE_URL + self.archive


_RESEARCH = "Research use with citation; no commercial use or endorsement without permission; terms in its README."


def _release(row: dict[str, str]) -> Release:
    archive_bytes, ratings, users, movies = (int(row[name]) for name in ("archive_bytes", "ratings", "users", "movies"))
    md5, sha256, folder = (row[name] or None for name in ("md5", "sha256", "folder"))
    licence = f"{_RESEARCH} {row['more_terms']}".rstrip()
    return Release(row["name"], archive_bytes, ratings, users, movies, licence, md5, sha256, folder)


# GroupLens serves an .md5 beside ml-latest-small, but no public text quotes it; the SHA-256 is widely quoted.
RELEASES = {row["name"]: _release(row) for row in rows_of("releases.csv")}

DEFAULT_RELEASE = RELEASES["ml-latest-small"]
