"""`make bench`: what a run costs, and how good it is beside the original recipe.

python -m movierec_assets.bench [--dataset NAME|DIR] [--output DIR]
"""

from __future__ import annotations

import json
import os
import platform as machine
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import psutil
from rich.console import Console

from movierec_assets.bench import measure
from movierec_assets.command.environment import platform
from movierec_assets.recsys import als, ranking
from movierec_assets.recsys.als import Recipe
from movierec_assets.recsys.baselines import original_recipe
from movierec_assets.recsys.evaluation import evaluate
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.split import leave_latest_out
from movierec_assets.resources.configurable import locate
from movierec_assets.resources.database import Database
from movierec_assets.resources.embedded_postgres import EmbeddedPostgres
from movierec_assets.resources.histories import read_positives
from movierec_assets.settings import Settings, get_settings

SEEDS = (1, 2, 3)
_SHOWN = ("ndcg_at_10", "map_at_10", "recall_at_10", "hit_rate_at_10", "coverage_at_10")


@click.command()
@click.option("--dataset", help="As for `movierec run`; nothing is downloaded.")
@click.option("--output", type=click.Path(path_type=Path), default=Path(".movierec/bench"), show_default=True)
def main(dataset: str | None, output: Path) -> None:
    """Measure `movierec run`, cold and with nothing changed, and compare the recipe with the original's."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    settings = get_settings().model_copy(update={"dataset": dataset} if dataset else {})
    located = locate(settings, None)
    with ExitStack() as tidied:
        scratch = tidied.enter_context(tempfile.TemporaryDirectory(prefix="movierec-bench-"))
        # Run by root, the data is elsewhere: Postgres does not run as root, and only root may enter the directory.
        tidied.callback(EmbeddedPostgres(Path(scratch)).destroy, force=True)
        for name in list(os.environ):
            if name.startswith(("MOVIEREC_", "DAGSTER_", "MLFLOW_")):
                del os.environ[name]
        os.environ |= {"MOVIEREC_STATE_DIR": scratch, "MOVIEREC_DATASET": str(located.files.directory.resolve())}
        runs = {}
        command = [sys.executable, "-m", "movierec_assets.cli", "run"]
        for name in ("first run", "nothing changed"):
            console.print(f"{located.name}: {name}")
            runs[name] = measure.run(command, os.environ, servers=scratch)
        console.print("Comparing recipes")
        with platform(get_settings()) as ready:
            scores = compare(ready)
    report = as_markdown(located.name, runs, scores)
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.md").write_text(report, encoding="utf-8")
    figures = {"dataset": located.name, "runs": {k: asdict(v) for k, v in runs.items()}, "scores": scores}
    (output / "report.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    console.print(f"\n{report}\nAlso in {output}/report.md and report.json", soft_wrap=True)


def compare(settings: Settings) -> dict[str, dict[str, float]]:
    """Metrics of each recipe, mean over seeds, for the same users and their latest likes."""
    positives = read_positives(Database(settings.databases.ratings), settings.positive_threshold)
    split, _ = leave_latest_out(positives.user_id, positives.movie_id, positives.rating, positives.rated_at)
    history = split.before("test")
    users = split.evaluated_users("test", history)
    held_out, seen = split.test.rows(users), history.stars[users]

    def ours(seed: int) -> TopK:
        recipe = Recipe(seed=seed)
        movie_factors = als.fit(history, recipe).movies
        return ranking.recommend(als.fold_in(movie_factors, history.rows(users), recipe), movie_factors, seen, 20)

    rankers: dict[str, Callable[[int], TopK]] = {
        "this project": ours,
        "original recipe": lambda seed: original_recipe(history, history.rows(users), 20, seed, users),
        "popularity": lambda _: ranking.popular(history.per_movie, seen, 20),
    }
    scores = {}
    for name, lists_of in rankers.items():
        means = [evaluate(name, lists_of(seed), held_out, history).means() for seed in SEEDS]
        scores[name] = {metric: float(np.mean([each[metric] for each in means])) for metric in _SHOWN}
    return scores


def as_markdown(dataset: str, runs: dict[str, measure.Cost], scores: dict[str, dict[str, float]]) -> str:
    """The report, as it goes into the README."""
    original = scores["original recipe"]
    lines = [
        f"Dataset {dataset}; {psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"{machine.system()}, Python {machine.python_version()}.",
        "",
        f"| mean of seeds {', '.join(map(str, SEEDS))} | " + " | ".join(scores) + " | times the original |",
        "|" + " --- |" * (len(scores) + 2),
    ]
    for metric in _SHOWN:
        values = " | ".join(f"{each[metric]:.4f}" for each in scores.values())
        ratio = scores["this project"][metric] / original[metric]
        lines.append(f"| {metric.replace('_at_', '@').replace('_', ' ')} | {values} | {ratio:.2f} |")
    lines += ["", "| `movierec run` | seconds | largest process, MB | peak of each, MB |", "| --- | --- | --- | --- |"]
    for name, cost in runs.items():
        peaks = ", ".join(f"{kind} {peak:.0f}" for kind, peak in sorted(cost.peaks.items(), key=lambda each: -each[1]))
        lines.append(f"| {name} | {cost.seconds:.1f} | {cost.peak_mb:.0f} | {peaks} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
