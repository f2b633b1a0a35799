"""The snapshot as files: a directory for each part, and a pointer to the parts that belong together.

Belongs here: the layout of STATE/serving, and the parts as arrays. Does not: making the parts (`keeper`,
`user_states`), noticing a new pointer (`current`), files of arrays in general (`parts_on_disk`).

Parts never change: a new one gets a new directory. The pointer is replaced by a rename, and the directories that it no
longer names are removed. A process that has mapped their files keeps them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import Arrays, IdMaps, IntArray
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.online import parts_on_disk
from movierec_assets.serving.online.parts_on_disk import DamagedError
from movierec_assets.serving.online.snapshot import NOTHING, Catalogue, Champion, ReturnLists, Snapshot, UserStates

CATALOGUE, CHAMPION, USERS = "catalogue", "champion", "users"
POINTER = "current.json"
KEEPER = "keeper.json"
"""What the keeper saw when it last looked; see `keeper`."""
UNREADABLE = "unreadable"
"""Written by a worker that could not read a part; the keeper then writes the damaged parts again."""

_Part = TypeVar("_Part")
_CSR = ("data", "indices", "indptr")


def directory_of(state: Path) -> Path:
    """The directory of snapshots in a state directory."""
    return state / "serving"


@dataclass(frozen=True)
class Pointer:
    """The parts that belong together.

    Attributes
    ----------
    catalogue : str or None
        Name of its directory; None before the first.
    champion : str or None
    why_none : str or None
        Why there is no champion.
    users : str or None
        None while the states of the champion's users are not made.
    """

    catalogue: str | None = None
    champion: str | None = None
    why_none: str | None = None
    users: str | None = None

    @property
    def names(self) -> set[str]:
        """Directories that it names."""
        return {name for name in (self.catalogue, self.champion, self.users) if name is not None}


def read_pointer(directory: Path) -> Pointer | None:
    """The pointer; None without one that this release can read."""
    found = read_json(directory / POINTER)
    try:
        return None if found is None else Pointer(**found)
    except TypeError:
        return None


def publish(directory: Path, pointer: Pointer) -> None:
    """Replace the pointer."""
    write_json(directory / POINTER, asdict(pointer))


def remove(directory: Path, names: set[str]) -> None:
    """Remove directories of parts."""
    for name in names:
        shutil.rmtree(directory / name, ignore_errors=True)


def names_in(directory: Path) -> set[str]:
    """Directories of parts that there are, whether or not the pointer names them; others belong to somebody else."""
    return {path.name for kind in (CATALOGUE, CHAMPION, USERS) for path in directory.glob(f"{kind}-*") if path.is_dir()}


def write_json(path: Path, value: Any) -> None:
    """Replace a file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """An object from a file; None where there is none, or it is damaged."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else None
    return None


def write_catalogue(directory: Path, catalogue: Catalogue, key: list[Any]) -> str:
    """Write a catalogue; returns its name.

    Parameters
    ----------
    key : list
        Of JSON: what decides the contents; see `facts_of`.
    """
    arrays = {
        "movie_ids": catalogue.movie_ids,
        "titles": _text(catalogue.titles),
        "genres": _text(catalogue.genres),
        "years": catalogue.years,
        "ratings": catalogue.ratings,
    }
    facts = {"dataset_id": catalogue.dataset_id, "dataset": catalogue.dataset, "key": key}
    return parts_on_disk.write(directory, CATALOGUE, facts, arrays)


def write_champion(directory: Path, champion: Champion, key: list[Any], dataset_id: int | None) -> str:
    """Write a champion; returns its name. Parameters as for `write_catalogue`."""
    arrays = champion.recommender.to_arrays() | {"likes": champion.likes}
    facts = {
        "version": champion.version,
        "run_id": champion.run_id,
        "promoted_at": champion.promoted_at,
        "positive_threshold": champion.positive_threshold,
        "dataset_id": dataset_id,
        "key": key,
    }
    return parts_on_disk.write(directory, CHAMPION, facts, arrays)


def write_users(directory: Path, users: UserStates, made_at: float) -> str:
    """Write states of users; returns their name."""
    arrays: Arrays = {
        "user_ids": users.user_ids,
        "vectors": users.vectors,
        "rated_indices": _int32(users.rated.indices),
        "rated_indptr": _int32(users.rated.indptr),
        "latest_at": users.latest_at,
    }
    if users.recent is not None:
        arrays |= {"recent_data": users.recent.data} | {
            f"recent_{name}": _int32(getattr(users.recent, name)) for name in _CSR[1:]
        }
    if users.lists is not None:
        arrays |= {"listed_movies": users.lists.movie_ids, "listed_scores": users.lists.scores}
    facts = {
        "version": users.version,
        "run_id": users.run_id,
        "ratings_version": users.ratings_version,
        "watermark": users.watermark,
        "movies": users.rated.shape[1],
        "made_at": made_at,
    }
    return parts_on_disk.write(directory, USERS, facts, arrays)


def facts_of(directory: Path, name: str | None) -> dict[str, Any]:
    """Facts in the manifest of a part, without looking at its arrays; empty where they cannot be read."""
    manifest = None if name is None else read_json(directory / name / parts_on_disk.MANIFEST)
    facts = (manifest or {}).get("facts")
    return facts if isinstance(facts, dict) else {}


def is_sound(directory: Path, name: str, kind: str) -> bool:
    """Whether all files of a part are as they were written."""
    try:
        parts_on_disk.read(directory, name, kind)
    except DamagedError:
        return False
    return True


def read_catalogue(directory: Path, name: str) -> Catalogue:
    """Read a catalogue back; raises DamagedError."""
    part = parts_on_disk.read(directory, name, CATALOGUE)
    with _explained(directory / name):
        return Catalogue(
            part.facts["dataset_id"],
            part.facts["dataset"],
            part.arrays["movie_ids"],
            tuple(json.loads(part.arrays["titles"].tobytes())),
            tuple(map(tuple, json.loads(part.arrays["genres"].tobytes()))),
            part.arrays["years"],
            part.arrays["ratings"],
        )


def read_champion(directory: Path, name: str) -> Champion:
    """Read a champion back; raises DamagedError."""
    part = parts_on_disk.read(directory, name, CHAMPION)
    with _explained(directory / name):
        return Champion(
            part.facts["version"],
            part.facts["run_id"],
            part.facts["promoted_at"],
            part.facts["positive_threshold"],
            Recommender.from_arrays(part.arrays),
            part.arrays["likes"],
        )


def read_users(directory: Path, name: str) -> UserStates:
    """Read states of users back; raises DamagedError."""
    part = parts_on_disk.read(directory, name, USERS)
    with _explained(directory / name):
        facts, arrays = part.facts, part.arrays
        shape = (len(arrays["user_ids"]), facts["movies"])
        # Nobody reads these values, and zeros that nobody reads take no memory.
        unread = np.zeros(len(arrays["rated_indices"]), dtype=np.int8)
        rated = csr_matrix((unread, arrays["rated_indices"], arrays["rated_indptr"]), shape=shape)
        recent = None
        if "recent_data" in arrays:
            recent = csr_matrix(tuple(arrays[f"recent_{each}"] for each in _CSR), shape=shape)
        lists = None
        if "listed_movies" in arrays:
            lists = ReturnLists(arrays["listed_movies"], arrays["listed_scores"])
        return UserStates(
            facts["version"],
            facts["run_id"],
            facts["ratings_version"],
            facts["watermark"],
            arrays["user_ids"],
            arrays["vectors"],
            rated,
            arrays["latest_at"],
            recent,
            lists,
        )


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn an error about contents into a DamagedError that names the directory."""
    try:
        yield
    except (KeyError, ValueError, TypeError, IndexError, RecsysError) as error:
        raise DamagedError(f"{directory} has other contents than its manifest says ({error})") from error


def without_users(recommender: Recommender) -> Recommender:
    """The same model without the users of its fit, who are folded in when they are answered."""
    nobody = csr_matrix((0, len(recommender.ids.movie_ids)), dtype=np.float32)
    return replace(
        recommender,
        ids=IdMaps(np.empty(0, dtype=np.int32), recommender.ids.movie_ids),
        user_vectors=np.empty((0, recommender.movie_factors.shape[1]), dtype=np.float32),
        seen=nobody,
        recent=None if recommender.recent is None else nobody,
        latest_at=None if recommender.latest_at is None else np.empty(0, dtype=np.int64),
    )


@dataclass(frozen=True)
class Reading:
    """A pointer, and the snapshot that it led to.

    Attributes
    ----------
    pointer : Pointer
    snapshot : Snapshot
    problem : str or None
        About a part that could not be read, for people.
    """

    pointer: Pointer
    snapshot: Snapshot
    problem: str | None = None


FIRST = Reading(Pointer(), NOTHING)
"""Before anything was read."""


def read_snapshot(directory: Path, pointer: Pointer, before: Reading = FIRST) -> Reading:
    """Read the parts that a pointer names; those that were read before are taken from there.

    When catalogue or champion cannot be read, everything stays as before, if there was a champion; otherwise the rest
    is served. Without the states of users, each user's ratings are read and folded in.
    """
    old, was = before.pointer, before.snapshot
    problems: list[str] = []

    def part(
        name: str | None, old_name: str | None, old_part: _Part | None, read: Callable[[Path, str], _Part]
    ) -> _Part | None:
        if name is None or (name == old_name and old_part is not None):
            return None if name is None else old_part
        try:
            return read(directory, name)
        except DamagedError as error:
            problems.append(f"{error}.")
            return None

    catalogue = part(pointer.catalogue, old.catalogue, was.catalogue, read_catalogue)
    champion = part(pointer.champion, old.champion, was.champion, read_champion)
    why_none = pointer.why_none
    if problems:
        if was.champion is not None:
            return replace(before, problem=" ".join(problems))
        why_none = " ".join(problems)
    users = part(pointer.users, old.users, was.users, read_users)
    if users is not None and (champion is None or (users.version, users.run_id) != (champion.version, champion.run_id)):
        users = None
    snapshot = Snapshot(
        catalogue or NOTHING.catalogue, champion, None if champion else why_none or NOTHING.why_none, users
    )
    return Reading(pointer, snapshot, " ".join(problems) or None)


def _text(value: Sequence[Any]) -> IntArray:
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), dtype=np.uint8)


def _int32(values: IntArray) -> IntArray:
    return values.astype(np.int32, copy=False)
