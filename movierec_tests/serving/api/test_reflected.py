"""What the benchmark says of posted ratings and the lists after them."""

from __future__ import annotations

from dataclasses import replace

import httpx

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.live import LiveReader, LiveState
from movierec_assets.tables.database import Database
from movierec_tests.benchmarks.api.reflected import Reflected, measure
from movierec_tests.serving.api.small import USERS


def measured(client: httpx.Client) -> Reflected:
    return measure(client.base_url.port or 0, list(USERS)[:4], lambda text: None)


def test_ratings_are_reflected_by_a_list_without_the_movie_and_with_other_scores(client: httpx.Client) -> None:
    assert measured(client).reflected == 4


class Unmoved(LiveReader):
    """Sees that a movie was rated, and not that it is liked."""

    async def state(self, user_id: int, ratings_version: str | None, watermark: int) -> LiveState:
        found = await super().state(user_id, ratings_version, watermark)
        assert found.ratings is not None
        posted = found.ratings.rated_at > 1_500_000_000
        stars = found.ratings.stars.copy()
        stars[posted] = 1.0
        return replace(found, ratings=replace(found.ratings, stars=stars))


def test_a_list_that_hides_the_movie_but_ignores_the_like_is_not_reflected(
    worker: Worker, client: httpx.Client
) -> None:
    worker.live = Unmoved(Database(worker.settings.databases.ratings))
    found = measured(client)
    assert found.reflected == 2
    assert all("changed no score" in failure for failure in found.failures)
