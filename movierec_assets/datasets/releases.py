"""The MovieLens releases that can be fetched by name.

Belongs here: addresses, sizes, checksums, figures and terms, as GroupLens publishes them. Does not: fetching
(`download`) and choosing (`locate`).
"""

from __future__ import annotations

from dataclasses import dataclass

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

RELEASES: dict[str, Release] = {
    release.name: release
    for release in (
        Release(
            name="ml-100k",
            archive_bytes=4_924_029,
            ratings=100_000,
            users=943,
            movies=1_682,
            licence=_RESEARCH,
            md5="0e33842e24a9c977be4e0107933c0723",
            sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        ),
        Release(
            name="ml-1m",
            archive_bytes=5_917_549,
            ratings=1_000_209,
            users=6_040,
            movies=3_883,
            licence=_RESEARCH,
            md5="c4d9eecfca2ab87c1945afe126590906",
            sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        ),
        Release(
            name="ml-10m",
            archive_bytes=65_566_137,
            ratings=10_000_054,
            users=69_878,
            movies=10_681,
            licence=_RESEARCH,
            md5="ce571fd55effeba0271552578f2648bd",
            sha256="813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862",
            folder="ml-10M100K",
        ),
        # GroupLens serves an .md5 beside this archive, but no public text quotes it; the SHA-256 is widely quoted.
        Release(
            name="ml-latest-small",
            archive_bytes=978_202,
            ratings=100_836,
            users=610,
            movies=9_742,
            licence=f"{_RESEARCH} May be redistributed under the same terms.",
            sha256="696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        ),
        Release(
            name="ml-20m",
            archive_bytes=198_702_078,
            ratings=20_000_263,
            users=138_493,
            movies=27_278,
            licence=f"{_RESEARCH} May not be redistributed.",
            md5="cd245b17a1ae2cc31bb14903e1204af3",
            sha256="96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        ),
        Release(
            name="ml-25m",
            archive_bytes=261_978_986,
            ratings=25_000_095,
            users=162_541,
            movies=62_423,
            licence=_RESEARCH,
            md5="6b51fb2759a8657d3bfcbfc42b592ada",
        ),
        Release(
            name="ml-32m",
            archive_bytes=238_950_008,
            ratings=32_000_204,
            users=200_948,
            movies=87_585,
            licence=_RESEARCH,
            md5="d472be332d4daa821edc399621853b57",
            sha256="e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
        ),
    )
}

DEFAULT_RELEASE = RELEASES["ml-latest-small"]
