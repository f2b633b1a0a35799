"""A dataset is a directory of files: which files it needs, and their content hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles, content_hash
from movierec_tests.datasets.small_files import HEADER, body, dataset


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
def test_a_directory_without_one_of_the_two_files_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    dataset(tmp_path, body("1,1,4.0,100"))
    (tmp_path / name).unlink()
    with pytest.raises(DatasetError, match=f"{name} missing.*unpack the archive again"):
        MovieLensFiles.at(tmp_path)


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        MovieLensFiles.at(tmp_path / "nowhere")
    file = tmp_path / "ratings.csv"
    file.write_text(HEADER)
    with pytest.raises(DatasetError, match="is a file"):
        MovieLensFiles.at(file)


def test_links_are_optional(tmp_path: Path) -> None:
    assert MovieLensFiles.at(dataset(tmp_path, HEADER)).links is None
    assert MovieLensFiles.at(dataset(tmp_path, HEADER, links="movieId,imdbId,tmdbId\n")).links == tmp_path / "links.csv"


def test_the_content_hash_follows_content_and_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"ab")
    two.write_bytes(b"c")
    first = content_hash(one, two)
    digests = hashlib.sha256(b"ab").digest() + hashlib.sha256(b"c").digest()
    assert first == hashlib.sha256(digests).hexdigest() == content_hash(one, two)
    assert content_hash(two, one) != first
    one.write_bytes(b"a")
    two.write_bytes(b"bc")
    assert content_hash(one, two) != first
