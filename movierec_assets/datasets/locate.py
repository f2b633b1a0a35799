"""Deciding which dataset is meant, and saying why.

What belongs here: the order in which places are tried. What does not: reading settings, fetching (`download`) and
generating (`demo`); both are handed in as functions.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .errors import DatasetError
from .layout import MovieLensFiles
from .releases import DEFAULT_RELEASE, RELEASES, Release

DEMO = "demo"


@dataclass(frozen=True)
class Located:
    """The dataset to use.

    Attributes
    ----------
    files : MovieLensFiles
        Its files.
    name : str
        Name of the release, `demo`, or name of the directory.
    reason : str
        One sentence: which dataset, and why this one.
    """

    files: MovieLensFiles
    name: str
    reason: str


def locate_dataset(
    choice: str | None,
    data_dir: Path,
    make_demo: Callable[[], Path],
    download: Callable[[Release], Path] | None,
) -> Located:
    """Find the dataset that was chosen, or choose one.

    Parameters
    ----------
    choice : str or None
        A directory in MovieLens layout, the name of a release or of a directory in `data_dir`, `demo`, or nothing.
        Nothing means: a dataset in `data_dir` (the largest of several), else the default release by download, else
        the demo set.
    data_dir : Path
        Where datasets are kept.
    make_demo : callable
        Makes the demo set if need be and returns its directory.
    download : callable or None
        Fetches a release and returns its directory; None in commands that only look at what is there.

    Raises
    ------
    DatasetError
        If the choice names nothing that exists, or its files are incomplete, or it cannot be fetched.
    """
    if choice is None or not choice.strip():
        return _without_choice(data_dir, make_demo, download)
    name = choice.strip()
    if name == DEMO:
        return Located(MovieLensFiles.at(make_demo()), DEMO, "demo: chosen by name, the embedded demo set.")
    if name in RELEASES:
        return _release(RELEASES[name], data_dir, download)
    path = Path(name).expanduser()
    if path.is_dir():
        path = path.resolve()
        return Located(MovieLensFiles.at(path), path.name, f"{path.name}: chosen by path, {path}.")
    if os.sep not in name and (data_dir / name).is_dir():
        found = data_dir / name
        return Located(MovieLensFiles.at(found), name, f"{name}: chosen by name, {found}.")
    raise _nothing_named(name, path, data_dir)


def _release(release: Release, data_dir: Path, download: Callable[[Release], Path] | None) -> Located:
    place = data_dir / release.name
    if MovieLensFiles.present_in(place):
        return Located(
            MovieLensFiles.at(place), release.name, f"{release.name}: chosen by name, already in {data_dir}."
        )
    if download is None:
        raise DatasetError(
            f"{release.name}: not in {data_dir}, and this command downloads nothing. Get it with "
            f"`movierec data download {release.name}`, or unpack {release.url} into {place}, or choose "
            f"--dataset {DEMO}."
        )
    return Located(MovieLensFiles.at(download(release)), release.name, f"{release.name}: chosen by name, downloaded.")


def _without_choice(
    data_dir: Path, make_demo: Callable[[], Path], download: Callable[[Release], Path] | None
) -> Located:
    present = _datasets_in(data_dir)
    if present:
        files, *others = present
        name = files.directory.name
        reason = f"{name}: no dataset was chosen, and it is in {data_dir}."
        if others:
            names = ", ".join(sorted(other.directory.name for other in others))
            reason = f"{name}: no dataset was chosen, and of those in {data_dir} it is the largest (others: {names})."
        return Located(files, name, reason)
    release = DEFAULT_RELEASE
    why_not = f"this command downloads nothing, `movierec data download {release.name}` does"
    if download is not None:
        try:
            files = MovieLensFiles.at(download(release))
        except DatasetError as error:
            why_not = str(error).rstrip(".")
        else:
            reason = f"{release.name}: no dataset was chosen and {data_dir} holds none, so it was downloaded."
            return Located(files, release.name, reason)
    reason = f"{DEMO}: no dataset was chosen, {data_dir} holds none, and {release.name} was not fetched: {why_not}."
    return Located(MovieLensFiles.at(make_demo()), DEMO, reason)


def _datasets_in(data_dir: Path) -> list[MovieLensFiles]:
    """List the datasets in a directory, the one with the largest ratings.csv first; the demo set does not count."""
    if not data_dir.is_dir():
        return []
    places = [place for place in data_dir.iterdir() if place.name != DEMO and not place.name.startswith(".")]
    found = [MovieLensFiles.at(place) for place in [data_dir, *places] if MovieLensFiles.present_in(place)]
    return sorted(found, key=lambda files: (-files.ratings.stat().st_size, files.directory.name))


def _nothing_named(name: str, path: Path, data_dir: Path) -> DatasetError:
    if path.is_file():
        return DatasetError(f"{name}: a file. Name the directory that holds ratings.csv and movies.csv: {path.parent}.")
    if os.sep in name or name.startswith((".", "~")):
        return DatasetError(f"{name}: no such directory. Name one that holds ratings.csv and movies.csv.")
    options = sorted({*RELEASES, DEMO, *(files.directory.name for files in _datasets_in(data_dir))})
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]}?" if close else ""
    return DatasetError(
        f"{name}: no such dataset.{hint} Choose one of {', '.join(options)}, or the path of a directory that holds "
        "ratings.csv and movies.csv."
    )
