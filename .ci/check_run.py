"""Check the tables and the champion after `make run`, and compare its metrics with those of the original recipe.

python .ci/check_run.py DATASET ORIGINAL_RECIPE.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import mean

from rich.console import Console

from movierec_assets.host.environment import running_databases
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.settings import get_settings
from movierec_assets.sql import read_sql
from movierec_assets.tables.database import Database

MIN_RATIO = 1.8
LIST_LENGTH = 20


def original_ndcg(recipe: Path, directory: str) -> float:
    """NDCG@10 of the original recipe, mean of three seeds."""
    scores: list[float] = []
    for seed in ("1", "2", "3"):
        command = [sys.executable, str(recipe), "--ratings-dir", directory, "--seed", seed]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        scores.append(json.loads(answer.splitlines()[-1])["metrics"]["ndcg"])
    return mean(scores)


def main(dataset: str, recipe: str) -> None:
    """Raise AssertionError when a check fails."""
    console = Console(highlight=False)
    with running_databases(get_settings()) as settings:
        database = Database(settings.databases.ratings)
        found = database.rows(read_sql("unsound_recommendations"), {"watermark": 0})  # nothing was posted
        problems = {name: count for name, count in found if count}
        assert not problems, problems
        users, full = database.rows(
            """SELECT (SELECT count(DISTINCT user_id) FROM movierec.ratings),
                      (SELECT count(*) FROM (SELECT user_id FROM movierec.user_recommendations
                                             GROUP BY user_id HAVING count(*) = %s) u)""",
            [LIST_LENGTH],
        )[0]
        assert users == full, f"{full} of {users} users have {LIST_LENGTH} recommendations"
        registry = ModelRegistry.of(settings)
        champion = Promotions(registry, database).champion()
        run = registry.client.get_run(champion.run_id)
    assert run.info.status == "FINISHED", run.info.status
    ndcg, popularity = (run.data.metrics[name] for name in ("ndcg_at_10", "popularity_ndcg_at_10"))
    console.print(f"{users} users have {LIST_LENGTH} recommendations each, from version {champion.number}")
    console.print(f"NDCG@10 {ndcg:.4f}, popularity {popularity:.4f}")
    assert ndcg > popularity
    if dataset != "demo" and Path(recipe).is_file():
        original = original_ndcg(Path(recipe), dataset)
        console.print(f"The original recipe reaches {original:.4f}: {ndcg / original:.2f} times as good")
        assert ndcg >= MIN_RATIO * original


if __name__ == "__main__":
    main(*sys.argv[1:])
