"""Documents about a version, made from figures that are at hand."""

from __future__ import annotations

import json
from datetime import date

import numpy as np

from movierec_assets.defs.insights_of_model import feedback_document, likes_sample
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.tables.feedback import Feedback


def test_the_sample_holds_the_likes_of_its_users_and_movies_the_most_active_and_popular_first() -> None:
    random = np.random.default_rng(3)
    users, movies = np.divmod(random.choice(300 * 400, 3000, replace=False), 400)
    zeros = np.zeros(3000)
    positives = Interactions.from_triplets(users, movies, zeros + 4.0, zeros.astype(np.int64), (300, 400))
    sample = likes_sample(positives, 1)
    assert (sample["users"], sample["movies"]) == (120, 160)
    share = len(sample["likes"]) / (120 * 160)
    assert 0.015 < share < 0.035  # of all pairs it is 0.025
    assert json.loads(json.dumps(sample)) == sample
    small = likes_sample(positives.rows(np.arange(2)), 1)
    assert (small["users"], small["movies"]) == (2, 160)


def test_a_sample_of_everybody_has_every_like() -> None:
    positives = Interactions.from_triplets(
        np.array([0, 1, 1]), np.array([2, 2, 0]), np.full(3, 5.0), np.zeros(3, np.int64), (2, 3)
    )
    sample = likes_sample(positives, 1)
    # User 1 has two likes and comes first; movie 2 has two likes and comes first.
    assert sample["likes"] == [[0, 0], [0, 1], [1, 0]]


def test_lists_of_too_few_people_and_of_no_version_have_no_interval_and_no_version() -> None:
    row = Feedback("popular", 0, 3, 4, 9, 8, 1, 0, 2, None, None, None)
    document = feedback_document([row], [row], date(2030, 1, 1), date(2030, 1, 28))
    (of_version,), (of_position,) = document["by_version"], document["by_position"]
    assert (of_version["version"], of_version["click"], of_position["position"]) == (None, None, 3)
    assert (document["first"], document["last"]) == ("2030-01-01", "2030-01-28")
