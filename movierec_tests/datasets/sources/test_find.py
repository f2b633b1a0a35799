"""The dataset at a path, and the errors where there is none."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.sources.find import find, present
from movierec_tests.datasets.sources.written import FORMATS, plain, zipped

ROWS = [(1, 1, 4.0, 978562356)]
DAT = next(each for each in FORMATS if each.name == "ml-1m")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with two datasets below: `csv` and `dat`."""
    for name, write in (("csv", plain), ("dat", DAT.write)):
        (tmp_path / "home" / name).mkdir(parents=True)
        write(tmp_path / "home" / name, ROWS)
    return tmp_path / "home"


def test_a_directory_a_file_of_it_and_what_holds_it_are_the_same_dataset(home: Path) -> None:
    outer = home / "csv"
    (home / "only").mkdir()
    outer.rename(home / "only" / "csv")
    place = home / "only" / "csv"
    for named in (place, place / "ratings.csv", place / "movies.csv", home / "only"):
        found = find(named)
        assert (found.source, found.name, found.format.name) == (place, "csv", "MovieLens CSV")


def test_of_two_formats_in_a_directory_the_named_file_chooses(home: Path) -> None:
    DAT.write(home / "csv", ROWS)
    assert find(home / "csv").ratings[1] == "ratings.csv"
    chosen = find(home / "csv" / "ratings.dat")
    assert (chosen.ratings[1], chosen.source) == ("ratings.dat", home / "csv" / "ratings.dat")
    assert find(chosen.source) == chosen


def test_several_datasets_are_listed(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"holds 2 datasets\. Choose one.*{home}/csv, {home}/dat"):
        find(home)
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(home.rglob("*.*")):
            out.write(path, path.relative_to(home))
    with pytest.raises(DatasetError, match=rf"holds 2 datasets\. Choose one.*{archive}/csv, {archive}/dat"):
        find(archive)
    for named in (archive / "dat", archive / "dat" / "ratings.dat"):
        found = find(named)
        assert (found.name, found.source, found.format.name) == ("dat", archive / "dat", "MovieLens 1M and 10M")
    with pytest.raises(DatasetError, match=r"the archive all\.zip holds no nothing"):
        find(archive / "nothing")


def test_an_archive_in_a_directory_counts_where_nothing_is_unpacked(home: Path, tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    archive = zipped(downloads / "ml-1m.zip", home / "dat", "ml-1m")
    assert find(downloads).source == archive / "ml-1m"
    (home / "dat").rename(downloads / "ml-1m")
    assert find(downloads).source == downloads / "ml-1m"


def test_files_at_the_root_of_an_archive_are_called_after_it(home: Path, tmp_path: Path) -> None:
    found = find(zipped(tmp_path / "my films.zip", home / "csv", ""))
    assert (found.name, found.source) == ("my films", tmp_path / "my films.zip")


def test_the_compressed_and_parquet_files_of_a_dataset_may_stand_beside_plain_ones(tmp_path: Path) -> None:
    for name in ("ratings.parquet", "movie.csv.gz", "links.csv.zst"):
        (tmp_path / name).write_bytes(b"")
    found = find(tmp_path)
    assert found.links is not None
    assert (found.ratings[1], found.movies[1], found.links[1]) == ("ratings.parquet", "movie.csv.gz", "links.csv.zst")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ratings.csv"], r"movies\.csv missing.*here is only ratings\.csv"),
        (["movie.csv"], r"rating\.csv missing"),
        (["u.data"], r"u\.item missing"),
        (["ratings.dat.gz", "users.dat"], r"movies\.dat missing.*here is only ratings\.dat\.gz"),
        ([], r"no dataset there\. One holds the files of a format: ratings\.csv, movies\.csv"),
        (["notes.txt"], r"no dataset there"),
    ],
)
def test_a_directory_without_a_dataset_says_what_is_missing(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match=message):
        find(tmp_path)
    assert present(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("u.user", r"u\.user: not a file of ratings by its name\. Those are called ratings\.csv, "),
        ("all.tar.gz", r"all\.tar\.gz: an archive that is not a zip\. Unpack it"),
    ],
)
def test_another_file_is_called_what_it_is(home: Path, name: str, message: str) -> None:
    (home / "csv" / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match=message):
        find(home / "csv" / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("films.zip", b"", r"the archive is empty \(0 bytes\)\. Fetch it again"),
        ("films.zip", b"<!DOCTYPE html><title>Log in</title>", "this is a web page and not an archive"),
        ("films.ZIP", b"\xef\xbb\xbf\r\n <html></html>", "this is a web page and not an archive"),
        ("films.zip", None, r"the archive is damaged or cut off.*Fetch it again"),
        ("films.zip.part", None, r"the archive is damaged or cut off.*Fetch it again"),
        ("films.zip", b"7z\xbc\xaf", r"not a zip archive by its content"),
    ],
)
def test_a_zip_that_was_not_fetched_whole_is_called_what_it_is(
    home: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    place = tmp_path / "fetched" / name
    place.parent.mkdir()
    whole = zipped(tmp_path / "whole.zip", home / "csv").read_bytes()
    place.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for named in (place, place / "csv"):
        with pytest.raises(DatasetError, match=f"{place}: {message}"):
            find(named)


def test_a_directory_with_only_a_broken_archive_says_what_is_wrong_with_it(home: Path) -> None:
    (home / "alone").mkdir()
    (home / "alone" / "films.zip").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"alone/films\.zip: the archive is empty"):
        find(home / "alone")
    (home / "csv" / "films.zip").write_bytes(b"")
    assert find(home / "csv").name == "csv"


EXPORTS = {
    "Letterboxd": ("ratings.csv", "Date,Name,Year,Letterboxd URI,Rating", "films of one person.*lacks user ids"),
    "IMDb": ("ratings.csv", "Const,Your Rating,Date Rated,Title,URL,Title Type", "from 1 to 10.*links.csv"),
    "IMDb's": ("title.ratings.tsv", "tconst\taverageRating\tnumVotes", "lacks who gave which rating"),
    "Netflix": ("NetflixViewingHistory.csv", "Title,Date", "lacks ratings"),
    "Netflix ": ("Ratings.csv", "Profile Name,Title Name,Rating Type,Star Value,Thumbs Value,Event Utc Ts", "thumbs"),
    "Netflix Prize": ("combined_data_1.txt", "1:", "one row for each rating"),
    "Goodreads": ("goodreads_library_export.csv", "Book Id,Title,Author,My Rating,Date Read", "books.*lacks films"),
}


@pytest.mark.parametrize("service", EXPORTS)
def test_an_export_is_called_by_its_service_with_what_it_lacks(tmp_path: Path, service: str) -> None:
    name, header, lacks = EXPORTS[service]
    directory = tmp_path / "export"
    directory.mkdir()
    (directory / name).write_text(f"\ufeff{header}\r\nx\r\n", encoding="utf-8")
    archive = zipped(tmp_path / "export.zip", directory, "")
    inside = tmp_path / "inside"
    inside.mkdir()
    for place in (directory, directory / name, archive, zipped(inside / "export.zip", directory)):
        with pytest.raises(DatasetError, match=rf"{service.strip()}.*{lacks}.*movies\.csv"):
            find(place)


def test_an_export_beside_a_list_of_movies_is_still_known_by_its_header(home: Path, tmp_path: Path) -> None:
    from movierec_assets.datasets.ratings import read_ratings

    (home / "csv" / "ratings.csv").write_text("Date,Name,Year,Letterboxd URI,Rating\n2001-01-03,A,1990,x,3.5\n")
    with pytest.raises(DatasetError, match=r"ratings\.csv, line 1: this is an export of Letterboxd"):
        read_ratings(find(home / "csv").open(tmp_path), [1])
