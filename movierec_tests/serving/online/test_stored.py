"""The snapshot on the disk: what is written is read back, and nothing that is damaged is served."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from scipy.sparse import csr_matrix, random_array

from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.interactions import NEVER, IdMaps
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import NextMovie, Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.online import parts_on_disk, stored
from movierec_assets.serving.online.current import CurrentSnapshot
from movierec_assets.serving.online.parts_on_disk import DamagedError
from movierec_assets.serving.online.snapshot import NOTHING, Catalogue, Champion, ReturnLists, Snapshot, UserStates
from movierec_assets.serving.online.stored import Pointer
from movierec_tests.mapped_files import LISTED, mapped_files

FACTORS, MOVIES, USERS = 4, 30, 12


def catalogue(seed: int = 1) -> Catalogue:
    ids = np.arange(1, MOVIES + 1, dtype=np.int32) * 3
    titles = tuple(f'Les "Amélie" {number} \n({1950 + seed})' for number in ids)
    genres = tuple(("Drama", "Film-Noir")[: number % 3] for number in range(MOVIES))
    return Catalogue(seed, f"set-{seed}", ids, titles, genres, np.full(MOVIES, 1999, np.int16), ids * seed)


def champion(version: int = 1, *, signal: bool = True) -> Champion:
    random = np.random.default_rng(version)
    next_movie = NextMovie() if signal else NextMovie(weight=0.0)
    recipe = Recipe(factors=FACTORS, next_movie=next_movie)
    nobody = csr_matrix((0, MOVIES), dtype=np.float32)
    followers = csr_matrix(random_array((MOVIES, MOVIES), density=0.2, rng=random, dtype=np.float32))
    recommender = Recommender(
        IdMaps(np.empty(0, np.int32), catalogue().movie_ids),
        np.empty((0, FACTORS), np.float32),
        random.normal(size=(MOVIES, FACTORS)).astype(np.float32),
        nobody,
        recipe,
        Confidence("binary", np.ones(MOVIES, np.float32), 3.5),
        catalogue().titles,
        NextMovies(followers) if signal else None,
        nobody if signal else None,
        np.empty(0, np.int64) if signal else None,
    )
    return Champion(version, "run", 12.5, 4.0, recommender, np.arange(MOVIES, dtype=np.int64))


def states(version: int = 1, *, signal: bool = True, users: int = USERS) -> UserStates:
    random = np.random.default_rng(version)
    rated = csr_matrix(random_array((users, MOVIES), density=0.3, rng=random, dtype=np.float32))
    rated.sort_indices()
    return UserStates(
        version,
        "run",
        "ratings-1",
        7,
        np.arange(users, dtype=np.int32) * 2 + 1,
        random.normal(size=(users, FACTORS)).astype(np.float32),
        rated,
        np.full(users, NEVER),
        rated * np.float32(0.5) if signal else None,
        ReturnLists(random.integers(1, 9, (users, 4), dtype=np.int32), random.normal(size=(users, 4))),
    )


def write(directory: Path, *, version: int = 1, dataset: int = 1, users: bool = True) -> Pointer:
    pointer = Pointer(
        stored.write_catalogue(directory, catalogue(dataset), ["key"]),
        stored.write_champion(directory, champion(version), ["key"], dataset),
        None,
        stored.write_users(directory, states(version), 1.0) if users else None,
    )
    stored.publish(directory, pointer)
    return pointer


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal, with all arrays in them."""
    if hasattr(left, "indptr"):
        return bool(left.shape == right.shape and (left != right).nnz == 0)
    if isinstance(left, np.ndarray):
        return bool(left.dtype == right.dtype and np.array_equal(left, right))
    if isinstance(left, ReturnLists):
        return same(left.movie_ids, right.movie_ids) and same(left.scores, right.scores)
    if hasattr(left, "to_arrays"):
        ours, theirs = left.to_arrays(), right.to_arrays()
        return bool(ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours))
    return bool(left == right)


@given(
    found=st.dictionaries(
        st.text("abcdef_", min_size=1, max_size=8),
        arrays_of.arrays(
            st.sampled_from([np.int16, np.int32, np.int64, np.float32, np.uint8]), arrays_of.array_shapes(min_side=0)
        ),
        max_size=4,
    ),
    facts=st.dictionaries(st.text(max_size=8), st.none() | st.integers(-(2**60), 2**60) | st.text(max_size=8)),
)
def test_arrays_of_any_shape_and_facts_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, found: dict[str, Any], facts: dict[str, Any]
) -> None:
    directory = tmp_path_factory.mktemp("part")
    name = parts_on_disk.write(directory, "thing", facts, found)
    part = parts_on_disk.read(directory, name, "thing")
    assert part.facts == facts
    assert part.arrays.keys() == found.keys()
    for each, array in found.items():
        assert part.arrays[each].dtype == array.dtype
        assert part.arrays[each].shape == array.shape
        assert part.arrays[each].tobytes() == array.tobytes()


@pytest.mark.parametrize("signal", [True, False])
def test_catalogue_champion_and_users_are_read_back(tmp_path: Path, signal: bool) -> None:
    for written, name, read in (
        (catalogue(), stored.write_catalogue(tmp_path, catalogue(), []), stored.read_catalogue),
        (
            champion(signal=signal),
            stored.write_champion(tmp_path, champion(signal=signal), [], 1),
            stored.read_champion,
        ),
        (states(signal=signal), stored.write_users(tmp_path, states(signal=signal), 1.0), stored.read_users),
    ):
        found = read(tmp_path, name)
        assert type(found) is type(written)
        for field, value in vars(written).items():
            read_back = getattr(found, field)
            if field == "rated":  # its values are not stored
                assert same(read_back.indices, value.indices.astype(np.int32))
                assert same(read_back.indptr, value.indptr.astype(np.int32))
            else:
                assert same(read_back, value), field


def test_states_of_an_earlier_release_have_no_lists(tmp_path: Path) -> None:
    found = stored.read_users(tmp_path, stored.write_users(tmp_path, replace(states(), lists=None), 1.0))
    assert found.lists is None
    assert same(found.vectors, states().vectors)


def test_states_of_nobody_are_read_back(tmp_path: Path) -> None:
    found = stored.read_users(tmp_path, stored.write_users(tmp_path, states(users=0), 1.0))
    assert found.rated.shape == (0, MOVIES)


@LISTED
def test_arrays_are_mapped_from_the_files_and_can_be_written_to_without_changing_them(tmp_path: Path) -> None:
    name = stored.write_champion(tmp_path, champion(), [], 1)
    found = stored.read_champion(tmp_path, name)
    factors = found.recommender.movie_factors
    assert type(factors) is np.ndarray
    assert f"{tmp_path / name / 'movie_factors.npy'}" in mapped_files()
    factors[:] = 0
    assert stored.is_sound(tmp_path, name, stored.CHAMPION)


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "gone":
        file.unlink()
    elif how == "cut short":
        file.write_bytes(content[:-8])
    elif how == "changed inside":
        file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif how == "empty":
        file.write_bytes(b"")


DAMAGES = ("gone", "cut short", "changed inside", "empty")


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("file", ["movie_factors.npy", "likes.npy", "recipe.npy", parts_on_disk.MANIFEST])
def test_a_damaged_file_is_refused_and_the_error_names_the_directory(tmp_path: Path, file: str, how: str) -> None:
    name = stored.write_champion(tmp_path, champion(), [], 1)
    damage(tmp_path / name / file, how)
    if (file, how) == (parts_on_disk.MANIFEST, "changed inside"):
        (tmp_path / name / file).write_text("{}")
    with pytest.raises(DamagedError, match=name):
        stored.read_champion(tmp_path, name)


def test_files_of_another_release_are_refused(tmp_path: Path) -> None:
    name = stored.write_champion(tmp_path, champion(), [], 1)
    manifest = tmp_path / name / parts_on_disk.MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": parts_on_disk.FORMAT + 1}))
    with pytest.raises(DamagedError, match="another release"):
        stored.read_champion(tmp_path, name)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    broken = replace(champion(), likes=np.array([object()]))
    with pytest.raises((ValueError, TypeError)):
        stored.write_champion(tmp_path, broken, [], 1)
    assert list(tmp_path.iterdir()) == []


def test_parts_that_stay_are_not_read_again(tmp_path: Path) -> None:
    first = write(tmp_path)
    reading = stored.read_snapshot(tmp_path, first)
    second = replace(first, champion=stored.write_champion(tmp_path, champion(2), [], 1), users=None)
    after = stored.read_snapshot(tmp_path, second, reading)
    assert after.snapshot.catalogue is reading.snapshot.catalogue
    assert after.snapshot.champion is not None
    assert (after.snapshot.champion.version, after.snapshot.users) == (2, None)


def test_states_of_another_champion_are_not_used(tmp_path: Path) -> None:
    pointer = replace(write(tmp_path, version=2), users=stored.write_users(tmp_path, states(1), 1.0))
    found = stored.read_snapshot(tmp_path, pointer)
    assert found.snapshot.champion is not None
    assert found.snapshot.users is None


@pytest.mark.parametrize("part", ["catalogue", "champion"])
def test_with_a_damaged_part_everything_stays_as_before(tmp_path: Path, part: str) -> None:
    before = stored.read_snapshot(tmp_path, write(tmp_path))
    pointer = write(tmp_path, version=2, dataset=2)
    shutil.rmtree(tmp_path / getattr(pointer, part))
    after = stored.read_snapshot(tmp_path, pointer, before)
    assert after.snapshot is before.snapshot
    assert after.problem
    assert getattr(pointer, part) in after.problem


def test_a_damaged_champion_at_the_start_leaves_the_catalogue(tmp_path: Path) -> None:
    pointer = write(tmp_path)
    shutil.rmtree(tmp_path / str(pointer.champion))
    found = stored.read_snapshot(tmp_path, pointer).snapshot
    assert len(found.catalogue.movie_ids) == MOVIES
    assert (found.champion, found.users) == (None, None)
    assert found.why_none
    assert str(pointer.champion) in found.why_none


def test_damaged_states_of_users_leave_the_champion(tmp_path: Path) -> None:
    pointer = write(tmp_path)
    damage(tmp_path / str(pointer.users) / "vectors.npy", "changed inside")
    found = stored.read_snapshot(tmp_path, pointer)
    assert found.snapshot.champion is not None
    assert found.snapshot.users is None
    assert found.problem


@LISTED
def test_a_worker_takes_up_each_snapshot_and_releases_the_one_before(tmp_path: Path) -> None:
    prepared: list[Snapshot] = []

    async def follow() -> None:
        current = CurrentSnapshot(prepared.append)
        assert not await current.look(tmp_path)
        assert (current.snapshot, current.found) == (NOTHING, False)
        first = write(tmp_path)
        assert await current.look(tmp_path)
        assert not await current.look(tmp_path)
        assert current.found
        assert current.snapshot is prepared[-1]
        second = write(tmp_path, version=2)
        assert await current.look(tmp_path)
        stored.remove(tmp_path, first.names)
        assert current.snapshot.champion is not None
        assert current.snapshot.champion.version == 2
        prepared.clear()
        gc.collect()
        maps = mapped_files()
        assert not [name for name in first.names if name in maps]
        assert str(second.champion) in maps

    asyncio.run(follow())


def test_a_worker_reports_damage_and_looks_again_until_it_is_mended(tmp_path: Path) -> None:
    async def follow() -> None:
        current = CurrentSnapshot()
        pointer = write(tmp_path)
        damage(tmp_path / str(pointer.champion) / "likes.npy", "changed inside")
        assert await current.look(tmp_path)
        assert current.problem
        assert current.snapshot.champion is None
        assert (tmp_path / stored.UNREADABLE).exists()
        mended = replace(pointer, champion=stored.write_champion(tmp_path, champion(), ["key"], 1))
        stored.publish(tmp_path, mended)
        assert await current.look(tmp_path)
        assert current.problem is None
        assert current.snapshot.champion is not None

    asyncio.run(follow())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"other": 1}'])
def test_a_pointer_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / stored.POINTER).write_text(content)
    assert stored.read_pointer(tmp_path) is None


def test_a_reader_sees_the_old_pointer_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write(tmp_path)

    def dump_half(_: object, file: IO[str]) -> None:
        file.write("{")
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(json, "dump", dump_half)
        with pytest.raises(OSError, match="no space"):
            stored.publish(tmp_path, Pointer())
    assert stored.read_pointer(tmp_path) == before
    assert not list(tmp_path.glob(".*"))


def test_only_directories_of_parts_are_left_over_parts(tmp_path: Path) -> None:
    assert stored.names_in(tmp_path / "missing") == set()
    (tmp_path / "metrics").mkdir()  # of workers that run
    name = stored.write_catalogue(tmp_path, catalogue(), [])
    (tmp_path / "users-unfinished").mkdir()
    assert stored.names_in(tmp_path) == {name, "users-unfinished"}
