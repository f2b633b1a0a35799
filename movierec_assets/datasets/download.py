"""Fetching a release: resumed where it stopped, checked, and put in place whole or not at all.

Belongs here: the transfer, the check and the unpacking. Does not: which release is meant (`locate`), showing progress
(the caller hands in a callable).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import requests

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.releases import BASE_URL, Release
from movierec_assets.datasets.sources.find import FORMATS, find, present
from movierec_assets.file_lock import locked
from movierec_assets.progress import Progress

_TIMEOUT = (5, 30)
_ATTEMPTS = 3
_PIECE = 1 << 14
"""Bytes received at a time. A broken connection loses its last piece, so pieces are small."""
_MEMBERS = frozenset({"tags.csv", "README", "README.txt", "README.html"}).union(*(each.names for each in FORMATS))
_UNPACKED_FACTOR = 5
"""A release unpacks to about four times its archive; one more for the rating file's growth in later releases."""


def download(release: Release, data_dir: Path, progress: Progress | None = None, base_url: str = BASE_URL) -> Path:
    """Fetch a release into a directory, unless it is there already.

    A transfer that broke off is resumed, in this call and in later ones, from `<name>.zip.part`. Calls for the same
    release wait for one another.

    Parameters
    ----------
    release : Release
    data_dir : Path
        Directory to unpack into; made if missing.
    progress : callable, optional
        Called with (bytes done, bytes in all) during the transfer.
    base_url : str
        Address of the directory that holds the archive.

    Returns
    -------
    Path
        `data_dir/<name>`, complete.

    Raises
    ------
    DatasetError
        If the server cannot be reached or does not have the archive, the archive is not the published one, or the
        disk is too small. The transferred part is kept unless it is wrong.
    """
    target = data_dir / release.name
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with locked(data_dir / f".{release.name}.lock", remove=True):
            if present(target) is not None:
                return target
            if target.exists() and not (target.is_dir() and not any(target.iterdir())):
                raise DatasetError(
                    f"{target}: in the way, but not a complete dataset (ratings or movies are missing). "
                    "Remove it and try again."
                )
            part = data_dir / f"{release.archive}.part"
            _check_space(release, part)
            _fetch(release, part, progress, base_url)
            _verify(release, part)
            _unpack(release, part, target)
            part.unlink()
    except OSError as error:
        raise DatasetError(
            f"{release.name}: cannot write to {data_dir} ({error.strerror or error}). "
            "Free some space or name another data directory."
        ) from error
    return target


def _check_space(release: Release, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    need = release.archive_bytes * (1 + _UNPACKED_FACTOR) - have
    free = shutil.disk_usage(part.parent).free
    if free < need:
        raise DatasetError(
            f"{release.name}: about {need / 1e6:,.0f} MB are needed in {part.parent} for the archive and its files, "
            f"{free / 1e6:,.0f} MB are free. Free some space or name another data directory."
        )


def _fetch(release: Release, part: Path, progress: Progress | None, base_url: str) -> None:
    """Bring the part file to the size of the archive."""
    url = base_url.rstrip("/") + "/" + release.archive
    total = release.archive_bytes
    if part.exists() and part.stat().st_size > total:
        part.unlink()
    earlier = part.stat().st_size if part.exists() else 0
    failure: requests.RequestException | None = None
    for _ in range(_ATTEMPTS):
        have = part.stat().st_size if part.exists() else 0
        if have == total:
            return
        try:
            _transfer(release, url, part, have, progress)
        except requests.RequestException as error:
            failure = error
            if not part.exists():  # nothing ever arrived: another attempt at once would not help
                break
        else:
            failure = None
            break
    have = part.stat().st_size if part.exists() else 0
    if failure is not None:
        started = have > earlier or isinstance(failure, requests.exceptions.ChunkedEncodingError)
        raise _broken_off(release, url, part, have if started else None, failure) from failure
    if have != total:
        part.unlink(missing_ok=True)
        raise DatasetError(
            f"{release.name}: {url} has {have:,} bytes, the published archive has {total:,}. The file was deleted; "
            "try again later, or fetch the archive in a browser and unpack it into "
            f"{part.parent / release.name}."
        )


def _transfer(release: Release, url: str, part: Path, have: int, progress: Progress | None) -> None:
    """Append the missing bytes to the part file, or start it anew where the server does not resume."""
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return _transfer(release, url, part, 0, progress)
        if not response.ok:
            raise DatasetError(
                f"{release.name}: {url} answers {response.status_code} {response.reason}. Check the address in a "
                f"browser; an archive from elsewhere can be unpacked into {part.parent / release.name}."
            )
        resumed = response.status_code == requests.codes.partial_content and response.headers.get(
            "Content-Range", ""
        ).startswith(f"bytes {have}-")
        done = have if resumed else 0
        with part.open("ab" if resumed else "wb") as out:
            for piece in response.iter_content(_PIECE):
                out.write(piece)
                done += len(piece)
                if progress:
                    progress(min(done, release.archive_bytes), release.archive_bytes)
                if done > release.archive_bytes:
                    break
    return None


def _broken_off(
    release: Release, url: str, part: Path, have: int | None, failure: requests.RequestException
) -> DatasetError:
    """Word the failure of a transfer; `have` is None where this call transferred nothing."""
    host = urlsplit(url).hostname
    elsewhere = (
        f"Download the archive on another machine and unpack it into {part.parent / release.name}, "
        "or choose --dataset demo."
    )
    reason = _root_cause(failure)
    if have is None:
        return DatasetError(f"{release.name}: cannot reach {host} ({reason}). {elsewhere}")
    return DatasetError(
        f"{release.name}: the transfer from {host} broke off after {have:,} of {release.archive_bytes:,} bytes "
        f"({reason}). Run the same command again to resume. {elsewhere}"
    )


def _root_cause(error: BaseException) -> str:
    """The plain cause in the chain that requests and urllib3 wrap around it."""
    cause: BaseException = error
    for _ in range(10):
        inner = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in cause.args if isinstance(arg, BaseException)), None)
        if inner is None or inner is cause:
            break
        cause = inner
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return (text or type(cause).__name__).rstrip(".")


def _verify(release: Release, part: Path) -> None:
    for algorithm, expected in (("md5", release.md5), ("sha256", release.sha256)):
        if expected is None:
            continue
        with part.open("rb") as stream:
            found = hashlib.file_digest(stream, algorithm).hexdigest()
        if found != expected:
            part.unlink()
            raise DatasetError(
                f"{release.name}: the archive's {algorithm} is {found}, the published one is {expected}. The file was "
                "deleted; run the same command again to fetch it anew."
            )


def _unpack(release: Release, archive: Path, target: Path) -> None:
    """Unpack the files of the layout beside the target, then rename.

    Only members named `<folder of the release>/<known file>` are unpacked, and the path that they are written to is
    made here, so that no member can be written outside.
    """
    prefix = f".{release.name}.unpack-"
    for left_over in archive.parent.glob(prefix + "*"):  # of a process that was killed; we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=archive.parent))
    try:
        with zipfile.ZipFile(archive) as source:
            for member in source.infolist():
                directory, _, name = member.filename.rpartition("/")
                if directory == (release.folder or release.name) and name in _MEMBERS:
                    with source.open(member) as packed, (temporary / name).open("wb") as out:
                        shutil.copyfileobj(packed, out, 1 << 20)
        find(temporary)
        temporary.chmod(0o755)
        os.replace(temporary, target)
    # Of damage, zipfile raises RuntimeError for a password, and its subclass NotImplementedError for a compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, DatasetError) as error:
        archive.unlink()
        raise DatasetError(
            f"{release.name}: the archive cannot be unpacked ({error}). It was deleted; run the same command again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
