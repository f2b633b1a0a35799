"""Parts of a dataset, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_tests.benchmarks import datasets
from movierec_tests.datasets.sources.written import plain


def test_a_share_of_the_users_keeps_all_of_their_ratings(tmp_path: Path) -> None:
    whole = MovieLensFiles.at(make_demo(tmp_path / "demo", users=40))
    half = datasets.share_of_users(whole, 1 / 2, tmp_path / "half")
    quarter = datasets.share_of_users(whole, 1 / 4, tmp_path / "quarter")
    lines = {
        name: files.ratings.read_text().splitlines() for name, files in (("w", whole), ("h", half), ("q", quarter))
    }
    users = {name: {line.split(",")[0] for line in each[1:]} for name, each in lines.items()}
    assert (len(users["w"]), len(users["h"]), len(users["q"])) == (40, 20, 10)
    assert users["q"] < users["h"] < users["w"]
    assert lines["h"] == [lines["w"][0], *(line for line in lines["w"][1:] if line.split(",")[0] in users["h"])]
    assert half.movies.read_bytes() == whole.movies.read_bytes()


def test_the_latest_ratings_come_in_parts_and_none_is_lost(tmp_path: Path) -> None:
    whole = MovieLensFiles.at(make_demo(tmp_path / "demo", users=40))
    rest, tails = datasets.without_latest(whole, 0.05, 2, tmp_path / "growing")
    header, *all_lines = whole.ratings.read_text().splitlines()
    begin, *parts = rest.ratings.read_text().splitlines(), *(tail.read_text().splitlines() for tail in tails)
    assert begin[0] == header
    assert sorted([*begin[1:], *parts[0], *parts[1]]) == sorted(all_lines)
    times = [[int(line.rsplit(",", 1)[1]) for line in lines] for lines in (begin[1:], *parts)]
    assert max(times[0]) < min(times[1]) <= max(times[1]) < min(times[2])
    assert [len(part) for part in parts] == pytest.approx([0.05 * len(all_lines)] * 2, rel=0.2)


def test_a_benchmark_refuses_files_that_the_original_recipe_cannot_read(tmp_path: Path) -> None:
    plain(tmp_path, [(1, 1, 4.0, 978562356)])
    assert datasets.require_plain(MovieLensFiles.at(tmp_path)).directory == tmp_path
    text = (tmp_path / "ratings.csv").read_text()
    (tmp_path / "ratings.csv").write_text(text.replace(",", ";"))
    with pytest.raises(DatasetError, match=r"a benchmark needs MovieLens CSV as it is unpacked"):
        datasets.require_plain(MovieLensFiles.at(tmp_path))
