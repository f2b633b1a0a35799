"""Journeys: one platform over several days and datasets, and what is served after each step.

Belongs here: running the platform day after day, and a second computation of the served lists. Does not: claims.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movierec_assets.datasets.generator import generate
from movierec_assets.datasets.generator.size import Size
from movierec_assets.models.decisions import Promotions, Record
from movierec_assets.models.version import CHAMPION, Version
from movierec_assets.tables.database import SCHEMA
from movierec_tests.defs.harness import Platform, failures_of, metadata_of, run
from movierec_tests.first_day import FirstDay

DAY = 86_400
LISTED = 20


@dataclass
class Traveller:
    """Runs jobs of one platform on several datasets."""

    platform: Platform
    monkeypatch: pytest.MonkeyPatch
    days: list[dict[str, dict[str, Any]]] = field(default_factory=list)

    def run(self, dataset: Path, job: str = "everything", *, succeeds: bool = True) -> dict[str, dict[str, Any]]:
        """Metadata of the assets after a run on a dataset."""
        self.monkeypatch.setenv("MOVIEREC_DATASET", str(dataset))
        result = run(job)
        assert result.success is succeeds, failures_of(result)
        self.days.append(metadata_of(result))
        return self.days[-1]

    @property
    def champion(self) -> Version:
        found = self.platform.registry.by_alias(CHAMPION)
        assert found is not None
        return found

    def latest(self) -> Record:
        """The last decision."""
        return Promotions(self.platform.registry, self.platform.database).history(1)[0]

    def served(self, user_id: int) -> list[int]:
        """Movies in the table of recommendations, best first."""
        rows = self.platform.database.rows(
            f"SELECT movie_id FROM {SCHEMA}.user_recommendations WHERE user_id = %s ORDER BY rank", [user_id]
        )
        return [movie_id for (movie_id,) in rows]

    def require_right_lists(self, dataset: Path) -> None:
        """Compare the served lists with lists that are computed a second time.

        Only movie factors and the recipe come from the champion. Ratings come from the dataset's files, not from
        tables, and each user's vector is solved exactly.
        """
        ratings = _ratings_of(dataset)
        titles = dict(self.platform.database.rows(f"SELECT movie_id, title FROM {SCHEMA}.movies"))
        model = self.platform.registry.load(self.champion)
        recipe = model.recipe
        assert recipe.confidence == "binary"
        ids = model.ids.movie_ids
        assert [titles[int(movie_id)] for movie_id in ids] == list(model.titles)
        factors = model.movie_factors.astype(np.float64)
        gram = factors.T @ factors + recipe.regularization * np.eye(factors.shape[1])
        for user_id in sorted(ratings)[:: max(1, len(ratings) // 15)]:
            rows = sorted(ratings[user_id], key=lambda row: (-row[2], row[0]))
            liked = [(movie_id, at) for movie_id, stars, at in rows if stars >= 4 and movie_id in set(ids.tolist())]
            if not liked or len({at for _, at in liked}) < len(liked):
                continue  # likes of equal time have no order
            columns = np.searchsorted(ids, [movie_id for movie_id, _ in liked])
            weights = recipe.alpha * (
                recipe.fold_in.floor + recipe.fold_in.boost * np.exp(-np.arange(len(liked)) / recipe.fold_in.tau)
            )
            mine = factors[columns]
            vector = np.linalg.solve(gram + (mine.T * (weights - 1)) @ mine, mine.T @ weights)
            scores = dict(zip(ids.tolist(), factors @ vector, strict=True))
            seen = {movie_id for movie_id, _, _ in rows}
            expected = sorted((score for movie_id, score in scores.items() if movie_id not in seen), reverse=True)
            served = self.served(user_id)
            assert len(served) == len(set(served)) == LISTED
            assert not set(served) & seen
            # Scores are compared, not movies, because near ties may swap.
            np.testing.assert_allclose([scores[movie_id] for movie_id in served], expected[:LISTED], atol=2e-3)


def _ratings_of(dataset: Path) -> dict[int, list[tuple[int, float, int]]]:
    found: dict[int, list[tuple[int, float, int]]] = {}
    for line in (dataset / "ratings.csv").read_text(encoding="utf-8").splitlines()[1:]:
        user_id, movie_id, stars, at = line.split(",")
        found.setdefault(int(user_id), []).append((int(movie_id), float(stars), int(at)))
    return found


@pytest.fixture(scope="session")
def other_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films and users with ids of the demo set; the films have other titles."""
    directory = tmp_path_factory.mktemp("other") / "other"
    generate(directory, Size(users=250, movies=300, ratings=20_000), seed=3)
    return directory


@pytest.fixture
def demo_copy(demo_files: Path, tmp_path: Path) -> Path:
    """A copy of the demo set that a test may change."""
    return Path(shutil.copytree(demo_files, tmp_path / "mine"))


@pytest.fixture
def traveller(first_day: FirstDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traveller]:
    """A traveller after the first run on the demo set, whose metadata is the first of `days`."""
    with first_day.copied(tmp_path) as platform:
        yield Traveller(platform, monkeypatch, [metadata_of(first_day.result)])


def rewrite(dataset: Path, change: Any) -> None:
    """Replace the lines of ratings.csv by the result of a function of them."""
    path = dataset / "ratings.csv"
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *change(lines)]) + "\n", encoding="utf-8")


def latest_time(dataset: Path) -> int:
    """Time of the latest rating."""
    return max(int(line.rsplit(",", 1)[1]) for line in (dataset / "ratings.csv").read_text().splitlines()[1:])


def new_ratings(dataset: Path, count: int, *, day: int, seed: int = 0) -> list[str]:
    """New pairs of users and films, rated at least a day after all other ratings."""
    random = np.random.default_rng((seed, day))
    lines = (dataset / "ratings.csv").read_text().splitlines()[1:]
    rated = {tuple(line.split(",")[:2]) for line in lines}
    users, films = ({line.split(",")[column] for line in lines} for column in (0, 1))
    start = latest_time(dataset) + DAY
    found: list[str] = []
    while len(found) < count:
        pair = (str(random.choice(sorted(users))), str(random.choice(sorted(films))))
        if pair not in rated:
            rated.add(pair)
            found.append(f"{pair[0]},{pair[1]},{random.choice([3.0, 4.0, 4.5, 5.0])},{start + 60 * len(found)}")
    return found
