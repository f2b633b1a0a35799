"""A cold start on the training part, scored on validation after each iteration: what a warm start is held against.

Belongs here: the yardstick for training that goes on.

python -m movierec_assets.bench.cold_course STORAGE_DIR RESULT_JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from movierec_assets.bench.bare_fit import stored_split
from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.warm_start import fit_and_watch


def main(storage: str, result: str) -> None:
    """Fit the built-in recipe and write its course."""
    place = Path(storage)
    ids = ids_from(pd.read_parquet(place / "id_maps.parquet"))
    _, course = fit_and_watch(stored_split(place).task("validation"), ids, Recipe(), None)
    Path(result).write_text(json.dumps(course.ndcg), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
