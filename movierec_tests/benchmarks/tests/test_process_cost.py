"""Watching processes, and cutting datasets to size."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from scipy.sparse import random as random_matrix

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.movielens import DatasetError, MovieLensFiles
from movierec_assets.host import CommandError
from movierec_assets.recsys.interactions import Interactions
from movierec_tests.benchmarks import bare_fit, datasets, process_cost
from movierec_tests.datasets.sources.written import plain
from movierec_tests.waiting import PATIENCE

HOLDING = f"""
import time
from pathlib import Path
held, deadline = b"x" * 400_000_000, time.monotonic() + {PATIENCE}
while not Path("measured").exists() and time.monotonic() < deadline:
    time.sleep(0.05)
"""


def test_memory_of_a_process_and_of_its_children_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, kind = 0, process_cost._kind

    def let_go_of_after_two_looks(process: psutil.Process) -> str:
        nonlocal seen
        seen += process.memory_info().rss > 200e6
        if seen > 1:  # the look before this one is written down
            (tmp_path / "measured").touch()
        return kind(process)

    monkeypatch.setattr(process_cost, "_kind", let_go_of_after_two_looks)
    monkeypatch.chdir(tmp_path)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDING!r}])"
    cost = process_cost.run([sys.executable, "-c", parent], os.environ, name="parent")
    (name,) = set(cost.peaks) - {"parent"}
    assert cost.peaks[name] > 200 > cost.peaks["parent"]
    assert cost.between(0, 1) == {}
    assert cost.between(cost.samples[0].at, cost.samples[-1].at)["parent"] <= cost.peaks["parent"]


def test_a_process_that_fails_stops_the_benchmark() -> None:
    with pytest.raises(CommandError, match="the graph ended with exit status 3"):
        process_cost.run([sys.executable, "-c", "raise SystemExit(3)"], os.environ, name="the graph")


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


@pytest.mark.parametrize(("seconds", "repeats"), [(1.0, 5), (4.0, 3), (60.0, 2)])
def test_the_bare_fit_is_of_what_the_graph_fitted_and_is_repeated_where_it_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, repeats: int
) -> None:
    everything = random_matrix(30, 20, 0.3, format="csr", dtype=np.float32, random_state=1)
    users, movies = everything.nonzero()
    part = np.arange(len(users)) % 3
    for place, name in enumerate(("train_matrix", "validation_matrix", "test_matrix")):
        chosen = part == place
        stars, times = np.full(chosen.sum(), 4.0, dtype=np.float32), np.arange(chosen.sum())
        matrix = Interactions.from_triplets(users[chosen], movies[chosen], stars, times, everything.shape)
        np.savez(tmp_path / f"{name}.npz", **matrix.to_arrays())  # type: ignore[arg-type]
    fitted = bare_fit.stored_split(tmp_path).before("test")
    assert len(fitted) == (part < 2).sum()
    # A clock that goes on by so many seconds at each look: one before a fit and one after it.
    monkeypatch.setattr(bare_fit, "time", SimpleNamespace(perf_counter=count(0.0, seconds).__next__))
    found = bare_fit.fit(fitted)
    assert (found.positives, found.fits, found.seconds) == (len(fitted), [seconds] * repeats, seconds)


def test_a_benchmark_refuses_files_that_the_original_recipe_cannot_read(tmp_path: Path) -> None:
    plain(tmp_path, [(1, 1, 4.0, 978562356)])
    assert datasets.require_plain(MovieLensFiles.at(tmp_path)).directory == tmp_path
    text = (tmp_path / "ratings.csv").read_text()
    (tmp_path / "ratings.csv").write_text(text.replace(",", ";"))
    with pytest.raises(DatasetError, match=r"a benchmark needs MovieLens CSV as it is unpacked"):
        datasets.require_plain(MovieLensFiles.at(tmp_path))
