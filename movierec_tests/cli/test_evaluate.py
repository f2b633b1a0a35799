"""`movierec evaluate`: the printed metrics can be recomputed from the exported files."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.host.evaluation import read_positives
from movierec_assets.recsys.rankers import WITHOUT_SIGNAL
from movierec_tests.conftest import Dataset


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo(tmp_path_factory.mktemp("demo") / "demo", users=100)


def evaluate(*arguments: str, state: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "movierec_assets.cli", "evaluate", "--json", *arguments],
        env=os.environ | {"MOVIEREC_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def plain_ndcg(directory: Path, k: int) -> float:
    held_out = pd.read_parquet(directory / "heldout.parquet")
    of_list = [name for name in ("cut", "user_id") if name in held_out]
    lists = pd.read_parquet(directory / "topk.parquet").sort_values([*of_list, "rank"]).groupby(of_list)
    gains = []
    for key, own in held_out.groupby(of_list):
        wanted = set(own["movie_id"].tolist())
        listed = lists.get_group(key)["movie_id"].tolist()[:k]
        gain = math.fsum(1 / math.log2(index + 2) for index, movie in enumerate(listed) if movie in wanted)
        gains.append(gain / math.fsum(1 / math.log2(index + 2) for index in range(min(k, len(wanted)))))
    return math.fsum(gains) / len(gains)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "k"), [("leave-latest-out", 10), ("time-split", 10), ("strong-generalization", 100)]
)
def test_the_printed_ndcg_is_that_of_the_exported_lists(demo: Path, tmp_path: Path, protocol: str, k: int) -> None:
    exported = tmp_path / "export"
    answer = evaluate(
        *(
            "--dataset",
            str(demo),
            "--protocol",
            protocol,
            "--search-trials",
            "2",
            "--search-seconds",
            "1e9",
            "--seed",
            "4",
        ),
        *("--export", str(exported)),
        state=tmp_path / "state",
    )
    assert answer["metrics"]["als"][f"ndcg_at_{k}"] == pytest.approx(plain_ndcg(exported, k), abs=1e-9)
    assert answer["search"]["trials"] == 2
    assert "next-movie signal" in answer["notes"][0]
    assert ("The search may have seen" in answer["notes"][-1]) == (protocol != "strong-generalization")
    signal = answer["recipe"]["next_movie_weight"] > 0
    without = {WITHOUT_SIGNAL} if signal else set()
    rankers = {"als", "original recipe", "popularity", "item-kNN", "EASE"} | without
    assert set(answer["metrics"]) == rankers
    lists = pd.read_parquet(exported / "topk.parquet")
    known = pd.read_parquet(exported / "train.parquet")
    held_out = pd.read_parquet(exported / "heldout.parquet")
    cut = ["cut"] if protocol == "time-split" else []
    assert list(lists) == [*cut, "user_id", "rank", "movie_id", "score"]
    assert list(held_out) == list(known) == [*cut, "user_id", "movie_id"]
    for other in (lists, held_out):
        assert len(other.merge(known, on=[*cut, "user_id", "movie_id"])) == 0
    for pairs in (lists, held_out, known):
        assert not pairs.duplicated([*cut, "user_id", "movie_id"]).any()
    assert answer["protocol"] == protocol
    assert answer["users"] == held_out["user_id"].nunique()
    assert "popularity_of_the_held_out_movies" in answer["slices"]
    assert ("time_since_the_like_before" in answer["slices"]) == (protocol != "strong-generalization")
    if protocol == "strong-generalization":
        assert answer["moments"] == {}
    else:
        moments = answer["moments"]
        own = moments["on_return" if cut else "in_the_sitting"]
        assert all(set(each["ndcg_at_10"]) == rankers for each in moments.values())
        assert own["ndcg_at_10"]["als"]["mean"] == pytest.approx(answer["metrics"]["als"]["ndcg_at_10"], abs=1e-9)
        assert moments["on_return"]["windows"] > 1
    if cut:
        rows = held_out.drop_duplicates(["cut", "user_id"])
        assert answer["user_windows"] == len(rows)
        assert {each["cut"]: each["users"] for each in answer["windows"]} == rows.groupby("cut").size().to_dict()
    assert not (tmp_path / "state" / "postgres").exists()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures(demo: Path, tmp_path: Path) -> None:
    arguments = ("--dataset", str(demo), "--search-trials", "0", "--seed", "7")
    one, again = (evaluate(*arguments, state=tmp_path) for _ in range(2))
    figures, figures_again = one.pop("metrics"), again.pop("metrics")
    assert again == one
    assert list(figures_again) == list(figures)
    for ranker, values in figures.items():
        # A swap of near ties in one list may change the metrics of 100 users by this much.
        near_ties = {name: (0.1 if name.startswith("novelty") else 0.01) for name in values}
        assert figures_again[ranker].keys() == values.keys()
        for name, tolerance in near_ties.items():
            assert figures_again[ranker][name] == pytest.approx(values[name], abs=tolerance), (ranker, name)


def test_rows_that_do_not_load_are_logged(make_dataset: Dataset) -> None:
    lines = [f"1,{movie},4.5,{10**9 + movie}" for movie in range(1, 9)]
    files = MovieLensFiles.at(make_dataset([*lines, "1,20,NaN,1000000000"]))
    logged: list[str] = []
    assert len(read_positives(files, 4.0, lambda *_: None, logged.append)) == 8
    assert "1 rows of" in logged[0]
    assert "line 10" in logged[0]
