"""Choosing the dataset, with the reason.

Belongs here: the order in which choices are tried. Does not: finding the files at a path (`sources.find`), fetching
(`download`) and generating (`demo`).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.generated import DEMO_NAME
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.releases import DEFAULT_RELEASE, RELEASES, Release
from movierec_assets.datasets.sources.find import Directory, Found, find, present, recognized
from movierec_assets.settings import Settings


@dataclass(frozen=True)
class Located:
    """The dataset to use.

    Attributes
    ----------
    files : MovieLensFiles
        Its files.
    name : str
        Name of the release, `demo`, or name of the directory or archive.
    reason : str
        One sentence: the dataset, and why this one.
    """

    files: MovieLensFiles
    name: str
    reason: str


def locate(settings: Settings, fetch: Callable[[Release], Path] | None) -> Located:
    """The dataset that the settings name; without one a dataset in data/, a download, or the demo.

    `fetch` downloads a release; None forbids it.
    """

    def demo() -> Path:
        from movierec_assets.datasets.demo import make_demo  # noqa: PLC0415 - the simulation takes time to import

        return make_demo(settings.state / "datasets" / DEMO_NAME)

    return locate_dataset(settings.dataset, settings.data, unpacked_copies(settings), demo, fetch)


def unpacked_copies(settings: Settings) -> Path:
    """Directory for unpacked copies of files that cannot be read in place."""
    return settings.state / "datasets" / "unpacked"


def locate_dataset(
    choice: str | None,
    data_dir: Path,
    cache: Path,
    make_demo: Callable[[], Path],
    download: Callable[[Release], Path] | None,
) -> Located:
    """Find the dataset that was chosen, or choose one.

    Parameters
    ----------
    choice : str or None
        A path at which `sources.find` finds a dataset, the name of a release or of a dataset in `data_dir`, `demo`, or
        nothing. Nothing means: a dataset in `data_dir` (the largest of several), else the default release by download,
        else the demo set.
    data_dir : Path
        Directory of datasets.
    cache : Path
        Directory for unpacked copies.
    make_demo : callable
        Makes the demo set if need be and returns its directory.
    download : callable or None
        Fetches a release and returns its directory; None in commands that download nothing.

    Raises
    ------
    DatasetError
        If the choice names nothing that exists, or its files are incomplete, or it cannot be fetched.
    """
    if choice is None or not choice.strip():
        return _without_choice(data_dir, cache, make_demo, download)
    name = choice.strip()
    if name == DEMO_NAME:
        return Located(MovieLensFiles.at(make_demo()), DEMO_NAME, "demo: chosen by name, the embedded demo set.")
    if name in RELEASES:
        return _release(RELEASES[name], data_dir, cache, download)
    path = Path(name).expanduser()
    if path.exists() or any(parent.is_file() for parent in path.parents):
        found = find(path.resolve())
        return _opened(found, cache, f"chosen by path, {found.source}.")
    kept = _kept(data_dir, name)
    if os.sep not in name and kept is not None:
        found = find(kept)
        return _opened(found, cache, f"chosen by name, {found.source}.")
    raise _nothing_named(name, data_dir)


def _opened(found: Found, cache: Path, why: str) -> Located:
    return Located(found.open(cache), found.name, f"{found.name}: {why}")


def _kept(data_dir: Path, name: str) -> Path | None:
    """The directory of a dataset in `data_dir`, or the archive that it comes in; None without either."""
    return next((path for path in (data_dir / name, data_dir / f"{name}.zip") if path.exists()), None)


def _release(release: Release, data_dir: Path, cache: Path, download: Callable[[Release], Path] | None) -> Located:
    directory = data_dir / release.name
    for path in (directory, data_dir / release.archive):
        if (found := present(path)) is not None:
            reason = f"{release.name}: chosen by name, already in {data_dir}."
            return Located(found.open(cache), found.name, reason)
    if download is None:
        raise DatasetError(
            f"{release.name}: not in {data_dir}, and this command downloads nothing. Get it with "
            f"`movierec data download {release.name}`, or unpack {release.url} into {directory}, or choose "
            f"--dataset {DEMO_NAME}."
        )
    found = find(download(release))
    return Located(found.open(cache), found.name, f"{release.name}: chosen by name, downloaded.")


def _without_choice(
    data_dir: Path, cache: Path, make_demo: Callable[[], Path], download: Callable[[Release], Path] | None
) -> Located:
    kept = datasets_in(data_dir)
    if kept:
        found, *others = kept
        reason = f"no dataset was chosen, and it is in {data_dir}."
        if others:
            names = ", ".join(sorted(other.name for other in others))
            reason = f"no dataset was chosen, and of those in {data_dir} it is the largest (others: {names})."
        return _opened(found, cache, reason)
    release = DEFAULT_RELEASE
    why_not = f"this command downloads nothing, `movierec data download {release.name}` does"
    if download is not None:
        try:
            found = find(download(release))
        except DatasetError as error:
            why_not = str(error).rstrip(".")
        else:
            reason = f"{release.name}: no dataset was chosen and {data_dir} holds none, so it was downloaded."
            return Located(found.open(cache), found.name, reason)
    reason = (
        f"{DEMO_NAME}: no dataset was chosen, {data_dir} holds none, and {release.name} was not fetched: {why_not}."
    )
    return Located(MovieLensFiles.at(make_demo()), DEMO_NAME, reason)


def datasets_in(data_dir: Path) -> list[Found]:
    """List the datasets in a directory, the one with the largest file of ratings first; the demo set does not count.

    An archive does not count beside the directory that it was unpacked into.
    """
    if not data_dir.is_dir():
        return []
    paths = [
        path
        for path in data_dir.iterdir()
        if path.name != DEMO_NAME and not path.name.startswith(".") and (path.is_dir() or _is_only_an_archive(path))
    ]
    own = recognized(Directory(data_dir))
    found = [*([own] if own else []), *filter(None, map(present, paths))]
    return sorted(found, key=lambda each: (-each.rating_bytes, each.name))


def _is_only_an_archive(path: Path) -> bool:
    """Whether a file is an archive without an unpacked directory beside it."""
    return path.suffix == ".zip" and not path.with_suffix("").is_dir()


def _nothing_named(name: str, data_dir: Path) -> DatasetError:
    if os.sep in name or name.startswith((".", "~")):
        return DatasetError(
            f"{name}: no such directory or file. Name a directory or an archive that holds a dataset; `movierec data "
            "list` names the formats."
        )
    options = sorted({*RELEASES, DEMO_NAME, *(found.name for found in datasets_in(data_dir))})
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]}?" if close else ""
    return DatasetError(
        f"{name}: no such dataset.{hint} Choose one of {', '.join(options)}, or the path of a directory or archive "
        "that holds a dataset; `movierec data list` names the formats."
    )
