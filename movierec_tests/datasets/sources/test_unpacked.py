"""Copies of packed files: made once, made again when the original changes, and never outside the cache."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import zipfile
from pathlib import Path

import polars as pl
import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.ratings import read_ratings
from movierec_assets.datasets.sources import unpacked
from movierec_tests.datasets.sources.written import TITLES, opened, plain, zipped

ROWS = [(user, 1, 4.0, 978562356 + user) for user in range(1, 400)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "plain").mkdir()
    return plain(tmp_path / "plain", ROWS)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "state" / "datasets" / "unpacked"


def files_below(place: Path) -> set[str]:
    return {path.name for path in place.rglob("*") if path.is_file()}


def test_an_archive_is_unpacked_once_and_again_when_it_changes(directory: Path, cache: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "films.zip", directory)
    first = opened(archive, cache)
    assert (first.name, first.source) == ("ml-made-up", archive / "ml-made-up")
    assert first.rating_file.shown == archive / "ml-made-up" / "ratings.csv"
    before = first.ratings.stat()
    again = opened(archive, cache).ratings.stat()
    assert (again.st_ino, again.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    plain(directory, [*ROWS, (1000, 1, 5.0, 978562356)])
    zipped(archive, directory)
    os.utime(archive, ns=(1, 1))
    with first.ratings.open("rb") as reader:  # whoever reads the old copy keeps it
        changed = opened(archive, cache)
        assert len(reader.read().splitlines()) == len(ROWS) + 1
    assert len(read_ratings(changed, list(TITLES))) == len(ROWS) + 1
    assert len(list(cache.iterdir())) == 1


def test_only_what_a_dataset_needs_is_unpacked(directory: Path, cache: Path, tmp_path: Path) -> None:
    (directory / "genome-scores.csv").write_text("large")
    opened(zipped(tmp_path / "films.zip", directory), cache)
    assert files_below(cache) == {"ratings.csv", "movies.csv", "copied-from.json"}


def test_compressed_files_in_an_archive_are_read(directory: Path, cache: Path, tmp_path: Path) -> None:
    (directory / "ratings.csv.gz").write_bytes(gzip.compress((directory / "ratings.csv").read_bytes()))
    (directory / "ratings.csv").unlink()
    files = opened(zipped(tmp_path / "films.zip", directory), cache)
    assert len(read_ratings(files, list(TITLES))) == len(ROWS)
    assert files.rating_file.shown == tmp_path / "films.zip" / "ml-made-up" / "ratings.csv.gz"


def test_nothing_in_an_archive_can_name_a_place_outside(directory: Path, cache: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "films.zip", directory)
    link = zipfile.ZipInfo("ml-made-up/links.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as out:
        for name in ("../ratings.csv", "/tmp/movierec-evil/ratings.csv", "__MACOSX/ml-made-up/._ratings.csv"):
            out.writestr(name, "evil")
        out.writestr("..\\movies.csv", "evil")
        out.writestr(link, "/etc/passwd")
    before = files_below(tmp_path)
    files = opened(archive, cache)
    assert (len(read_ratings(files, list(TITLES))), files.links) == (len(ROWS), None)
    assert files_below(tmp_path) - before == {"copied-from.json"}
    assert not Path("/tmp/movierec-evil").exists()


def test_archives_made_on_windows_are_read(directory: Path, cache: Path, tmp_path: Path) -> None:
    archive = tmp_path / "films.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name in ("ratings.csv", "movies.csv"):
            out.writestr(f"ml\\inner\\{name}", (directory / name).read_bytes())
    assert opened(archive, cache).name == "inner"


@pytest.mark.parametrize("kind", ["zip", "gz", "zst"])
def test_what_does_not_fit_on_the_disk_is_refused_and_nothing_is_left(
    kind: str, directory: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _packed(directory, tmp_path, kind)
    monkeypatch.setattr(unpacked, "KEPT_FREE", shutil.disk_usage(tmp_path).total)
    with pytest.raises(DatasetError, match=r"does not fit into .*unpacked.* must stay free.*MOVIEREC_STATE_DIR"):
        opened(place, cache)
    assert files_below(cache) == set()


@pytest.mark.parametrize("kind", ["zip", "gz", "zst", "parquet"])
def test_a_damaged_file_is_named_and_the_copy_before_stays(
    kind: str, directory: Path, cache: Path, tmp_path: Path
) -> None:
    place = _packed(directory, tmp_path, kind)
    files = opened(place, cache)
    copy = files.ratings.read_bytes()
    packed = place if kind == "zip" else files.rating_file.shown
    content = packed.read_bytes()
    spoilt = content[:100] + bytes(20) + content[120:] if kind == "zip" else content[: len(content) // 2]
    packed.write_bytes(spoilt)
    with pytest.raises(DatasetError, match=rf"{packed.name}: (the archive )?cannot be (unpacked|read as Parquet)"):
        opened(place, cache)
    assert files.ratings.read_bytes() == copy
    assert not list(cache.glob(".*"))


def _packed(directory: Path, tmp_path: Path, kind: str) -> Path:
    """Pack the ratings of the dataset in one way; returns the path to read it by."""
    import pyarrow as pa

    if kind == "zip":
        return zipped(tmp_path / "films.zip", directory)
    content = (directory / "ratings.csv").read_bytes()
    if kind == "gz":
        (directory / "ratings.csv.gz").write_bytes(gzip.compress(content))
    elif kind == "zst":
        with pa.output_stream(str(directory / "ratings.csv.zst"), compression="zstd") as out:
            out.write(content)
    else:
        pl.read_csv(directory / "ratings.csv").write_parquet(directory / "ratings.parquet")
    (directory / "ratings.csv").unlink()
    return directory


def test_an_archive_with_a_password_is_named(directory: Path, cache: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "films.zip", directory)
    _patch(archive, "ml-made-up/ratings.csv", {6: 1}, {8: 1})
    with pytest.raises(
        DatasetError, match=r"films\.zip: the archive is protected by a password\. Unpack it, then name"
    ):
        opened(archive, cache)
    assert not files_below(cache)


def test_a_password_of_a_file_that_is_not_needed_is_not_asked_for(directory: Path, cache: Path, tmp_path: Path) -> None:
    (directory / "tags.csv").write_text("userId,movieId,tag,timestamp\n")
    archive = zipped(tmp_path / "films.zip", directory)
    _patch(archive, "ml-made-up/tags.csv", {6: 1}, {8: 1})
    assert len(read_ratings(opened(archive, cache), list(TITLES))) == len(ROWS)


def test_an_archive_compressed_in_an_unknown_way_is_not_fetched_again(
    directory: Path, cache: Path, tmp_path: Path
) -> None:
    archive = zipped(tmp_path / "films.zip", directory)
    _patch(archive, "ml-made-up/ratings.csv", {8: 9}, {10: 9})  # Deflate64, as Windows writes large files
    with pytest.raises(
        DatasetError, match=r"films\.zip: the archive cannot be unpacked \(.*\)\. Unpack it with another"
    ):
        opened(archive, cache)


def _patch(archive: Path, member: str, local: dict[int, int], central: dict[int, int]) -> None:
    """Set bytes of a member's two headers, by their offsets in those."""
    content = bytearray(archive.read_bytes())
    name = member.encode()
    for start, size, values in ((content.find(name), 30, local), (content.rfind(name), 46, central)):
        for offset, value in values.items():
            content[start - size + offset] = value
    archive.write_bytes(content)


def test_copies_of_files_that_are_gone_and_of_killed_processes_are_removed(
    directory: Path, cache: Path, tmp_path: Path
) -> None:
    gone, kept = zipped(tmp_path / "gone.zip", directory), zipped(tmp_path / "kept.zip", directory)
    opened(gone, cache)
    opened(kept, cache)
    assert len(list(cache.iterdir())) == 2
    gone.unlink()
    (left,) = cache.glob("kept.zip-*")
    (cache / f".{left.name}.killed" / "new").mkdir(parents=True)
    os.utime(kept, ns=(5, 5))
    opened(kept, cache)
    assert [path.name for path in cache.iterdir()] == [left.name]


def test_rows_of_parquet_that_do_not_load_have_a_line_and_a_text(tmp_path: Path, cache: Path) -> None:
    columns = {"timestamp": [978562356, 1, None], "rating": [4.0, 9.0, 3.5], "movieId": [1, 1, 1], "userId": [1, 2, 3]}
    frame = pl.DataFrame(columns)
    frame.write_parquet(tmp_path / "ratings.parquet")
    films = pl.DataFrame({"movieId": [1], "title": ["Two\nlines (1990)"], "genres": ["Drama"], "other": [None]})
    films.write_parquet(tmp_path / "movies.parquet")
    files = opened(tmp_path, cache)
    ratings = read_ratings(files, [1])
    assert [(file, line, text) for file, line, text, _ in ratings.rejects.rows()] == [
        ("ratings.parquet", 3, "1,9.0,1,2"),
        ("ratings.parquet", 4, ",3.5,1,3"),
    ]
    assert read_movies(files).title == ["Two lines (1990)"]


def test_parquet_without_a_column_is_refused_by_its_name(tmp_path: Path, cache: Path) -> None:
    frame = pl.DataFrame({"movieId": [1], "userId": [1], "rating": [4.0], "when": [1]})
    frame.write_parquet(tmp_path / "ratings.parquet")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A,\n")
    with pytest.raises(DatasetError, match=r"ratings\.parquet, line 1: no column timestamp"):
        read_ratings(opened(tmp_path, cache), [1])
