"""Quality of the recipe and of the baselines, over several seeds.

Belongs here: running `movierec evaluate`, and means of its metrics. Does not: evaluation, which is in
`recsys.experiment`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from movierec_assets.host import CommandError
from movierec_assets.progress import Log
from movierec_assets.recsys.experiment import HEADLINES_OF
from movierec_assets.recsys.rankers import EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY

SEEDS = (1, 2, 3)
METRICS = HEADLINES_OF
"""Metrics that are reported for each protocol."""
RANKERS = (MODEL, ORIGINAL, EASE, ITEM_KNN, POPULARITY)


@dataclass(frozen=True)
class MetricRow:
    """Means of one metric for one protocol.

    Attributes
    ----------
    means : dict of float
        Over the seeds, by ranker. A ranker that was not run, such as EASE on many movies, is missing.
    """

    protocol: str
    metric: str
    means: dict[str, float]

    def times_original(self, ranker: str) -> float | None:
        """Ratio to the original recipe; None where one of the two was not run."""
        theirs = self.means.get(ORIGINAL)
        return self.means[ranker] / theirs if theirs and ranker in self.means else None


@dataclass(frozen=True)
class Quality:
    """All metrics, and the commands that measured them.

    Attributes
    ----------
    commands : list of str
    rows : list of MetricRow
    """

    seeds: list[int]
    commands: list[str]
    rows: list[MetricRow]


def compare(
    directory: Path,
    dataset: str,
    log: Log,
    *,
    seeds: Sequence[int] = SEEDS,
    trials: int | None = None,
) -> Quality:
    """Run `movierec evaluate` for both protocols and every seed.

    Parameters
    ----------
    directory : Path
        Of the dataset.
    dataset : str
        Its name, for the commands in the report.
    log : callable
    seeds : sequence of int
    trials : int, optional
        Of each search [default: that of the command].

    Raises
    ------
    CommandError
        When a command fails.
    """
    extra = [] if trials is None else ["--search-trials", str(trials)]
    commands: list[str] = []
    answers: dict[str, list[Mapping[str, Any]]] = {protocol: [] for protocol in METRICS}
    for protocol, found in answers.items():
        for seed in seeds:
            options = ["--protocol", protocol, "--seed", str(seed), *extra, "--json"]
            commands.append(" ".join(["movierec evaluate --dataset", dataset, *options]))
            log(commands[-1])
            arguments = ["evaluate", "--dataset", str(directory), *options]
            found.append(_answer([sys.executable, "-m", "movierec_assets.cli", *arguments])["metrics"])
    return Quality(list(seeds), commands, summarize(answers))


def summarize(answers: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]) -> list[MetricRow]:
    """Means over seeds.

    Parameters
    ----------
    answers : mapping
        By protocol; for each seed, the metrics of each ranker.
    """
    return [
        MetricRow(
            protocol,
            metric,
            {
                ranker: mean(each[ranker][metric] for each in answers[protocol])
                for ranker in RANKERS
                if all(ranker in each for each in answers[protocol])
            },
        )
        for protocol, names in METRICS.items()
        for metric in names
        if answers.get(protocol)
    ]


def _answer(command: Sequence[str]) -> Any:
    done = subprocess.run(
        command, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"`movierec evaluate` ended with exit status {done.returncode}; its output above says why.")
    return json.loads(done.stdout)
