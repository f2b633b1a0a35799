"""Keeping the loaded dataset until a person chooses another one.

Belongs here: which dataset is meant while one is loaded, also when its files are gone or another dataset has their
place. Does not: the choice while nothing is loaded (`locate`), what is loaded (`tables.known_datasets`), telling
datasets apart (`same_content`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.loaded_from import LoadedFrom
from movierec_assets.datasets.locate import Located, datasets_in, locate, unpacked_copies
from movierec_assets.datasets.releases import Release
from movierec_assets.datasets.same_content import holds_another
from movierec_assets.datasets.sources.find import Found, present
from movierec_assets.settings import Settings

KEPT = "{}: no dataset was chosen, and it is the one that is loaded."


@dataclass(frozen=True)
class AbsentDataset:
    """The loaded dataset, whose files are not on this machine any more.

    Attributes
    ----------
    name : str
    source : Path
        Where they were.
    reason : str
        What is used instead, and how a person chooses.
    replaced : bool
        Whether files of another dataset are in their place.
    """

    name: str
    source: Path
    reason: str
    replaced: bool = False


def locate_or_keep(
    settings: Settings,
    loaded: LoadedFrom | None,
    fetch: Callable[[Release], Path] | None,
    *,
    by_hand: bool = False,
) -> Located | AbsentDataset:
    """The dataset that the settings name; without one the loaded dataset.

    Another one takes its place without a choice in two cases: the demo is loaded and `data/` holds a dataset, or a
    person starts a run and `data/` holds a dataset.

    Parameters
    ----------
    settings : Settings
    loaded : LoadedFrom or None
    fetch : callable or None
        Downloads a release; None forbids it. Nothing is downloaded without a choice while something is loaded.
    by_hand : bool
        Whether a person starts the run.

    Raises
    ------
    DatasetError
        As `locate`.
    """
    if loaded is None or _is_chosen(settings) or (by_hand and datasets_in(settings.data)):
        return locate(settings, fetch)
    if loaded.is_demo:
        return locate(settings, fetch if by_hand else None)
    found = _files_of(loaded, settings.data)
    if found is None:
        return _absent(loaded, settings.data)
    files = found.open(unpacked_copies(settings))
    if not by_hand and holds_another(files, loaded):
        return _replaced(loaded, found)
    return Located(files, found.name, KEPT.format(found.name))


def absent_dataset(settings: Settings, loaded: LoadedFrom | None) -> AbsentDataset | None:
    """The loaded dataset, when its files are gone or are another one and no other is chosen; None otherwise."""
    if loaded is None or loaded.is_demo or _is_chosen(settings):
        return None
    try:
        found = locate_or_keep(settings, loaded, None)
    except DatasetError:  # files that cannot be read are there
        return None
    return found if isinstance(found, AbsentDataset) else None


def _is_chosen(settings: Settings) -> bool:
    return bool(settings.dataset and settings.dataset.strip())


def _files_of(loaded: LoadedFrom, data_dir: Path) -> Found | None:
    """The files of a loaded dataset: where they were, or a dataset of its name in `data/`; None without them."""
    there = present(loaded.source)
    if there is not None and there.source == loaded.source:  # not another one in a directory below
        return there
    return next((found for found in datasets_in(data_dir) if found.name == loaded.name), None)


def _replaced(loaded: LoadedFrom, found: Found) -> AbsentDataset:
    reason = (
        f"{loaded.name} is loaded, and {found.source} holds another dataset now: other movies, or ratings of other "
        f"users. It is not loaded without a choice. Put the files of {loaded.name} back, or load it with `movierec run "
        f"--dataset {found.source}`. Until then the loaded ratings are used as they are."
    )
    return AbsentDataset(loaded.name, loaded.source, reason, replaced=True)


def _absent(loaded: LoadedFrom, data_dir: Path) -> AbsentDataset:
    others = ", ".join(found.name for found in datasets_in(data_dir))
    beside = f" {data_dir} holds {others}, which is not loaded without a choice." if others else ""
    reason = (
        f"{loaded.name} is loaded, and its files are not on this machine: neither {loaded.source} nor {loaded.name} in "
        f"{data_dir}.{beside} Put the files back, or choose a dataset with MOVIEREC_DATASET or --dataset. Until then "
        "the loaded ratings are used as they are."
    )
    return AbsentDataset(loaded.name, loaded.source, reason)
