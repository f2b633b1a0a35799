"""Claims about an evaluation and its report: every metric at every cutoff, and the page shows those numbers."""

from __future__ import annotations

import numpy as np
import pytest

from movierec_assets.recsys import metrics
from movierec_assets.recsys.comparison import mean_interval
from movierec_assets.recsys.evaluation import HEADLINE, Evaluation, evaluate
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.report import as_markdown
from movierec_tests.recsys.strategies import Row, interactions_of

N_USERS, N_MOVIES = 8, 40
PER_USER = ("precision", "recall", "truncated_recall", "map", "ndcg", "hit_rate")
OVERALL = ("coverage", "gini", "novelty", "popularity_share")


def random_rows(seed: int, users: int, per_user: int) -> list[Row]:
    random = np.random.default_rng(seed)
    return [
        (user, movie, 4.0, 1)
        for user in range(users)
        for movie in random.choice(N_MOVIES, per_user, replace=False).tolist()
    ]


def random_lists(seed: int) -> TopK:
    random = np.random.default_rng(seed)
    items = np.array([random.permutation(N_MOVIES)[:20] for _ in range(N_USERS)], dtype=np.int32)
    items[0, 7:] = -1
    return TopK(items, np.zeros(items.shape, dtype=np.float32))


@pytest.fixture
def held_out() -> Interactions:
    return interactions_of(random_rows(1, N_USERS, 6), (N_USERS, N_MOVIES))


@pytest.fixture
def history() -> Interactions:
    """Twelve users, the last two of them without a single entry."""
    return interactions_of(random_rows(2, 10, 5), (12, N_MOVIES))


@pytest.fixture
def evaluation(held_out: Interactions, history: Interactions) -> Evaluation:
    return evaluate("als", random_lists(3), held_out, history)


def test_every_metric_is_there_at_every_cutoff_and_nothing_else(evaluation: Evaluation) -> None:
    assert set(evaluation.per_user) == {f"{name}_at_{k}" for name in PER_USER for k in CUTOFFS}
    assert set(evaluation.overall) == {f"{name}_at_{k}" for name in OVERALL for k in CUTOFFS}
    assert set(evaluation.means()) == set(evaluation.per_user) | set(evaluation.overall)
    assert HEADLINE in evaluation.per_user


def test_names_hold_the_scores_of_their_metric_at_their_cutoff(evaluation: Evaluation, held_out: Interactions) -> None:
    for k in CUTOFFS:
        scores = metrics.score(random_lists(3).items, held_out.stars, k)
        for name, values in scores.items():
            assert evaluation.per_user[f"{name}_at_{k}"] == pytest.approx(values, abs=1e-12)


def test_overall_metrics_are_measured_against_the_history(evaluation: Evaluation, history: Interactions) -> None:
    items, counts = random_lists(3).items, history.per_movie
    for k in CUTOFFS:
        found = [evaluation.overall[f"{name}_at_{k}"] for name in ("coverage", "novelty", "popularity_share")]
        assert found == pytest.approx(
            [
                metrics.coverage(items, N_MOVIES, k),
                metrics.novelty(items, counts, 10, k),
                metrics.popularity_share(items, counts, k),
            ]
        )


def test_means_are_over_users_and_overall_values_stay(evaluation: Evaluation) -> None:
    means = evaluation.means()
    for name, values in evaluation.per_user.items():
        assert len(values) == N_USERS
        assert means[name] == pytest.approx(sum(values.tolist()) / N_USERS)
    assert {name: means[name] for name in evaluation.overall} == evaluation.overall


def test_a_worked_example() -> None:
    held_out = interactions_of([(0, 3, 4.0, 1), (1, 0, 4.0, 1), (1, 1, 4.0, 1)], (2, 4))
    history = interactions_of([(0, 0, 4.0, 1), (1, 0, 4.0, 1), (1, 2, 4.0, 1), (3, 2, 4.0, 1)], (5, 4))
    lists = TopK(np.array([[2, 3], [1, -1]]), np.zeros((2, 2)))
    found = evaluate("als", lists, held_out, history, cutoffs=(2,))
    assert found.ranker == "als"
    assert found.means() == pytest.approx(
        {
            "precision_at_2": 0.5,
            "recall_at_2": 0.75,
            "truncated_recall_at_2": 0.75,
            "map_at_2": (1 / 2 + 1 / 2) / 2,
            "ndcg_at_2": (1 / np.log2(3) + 1 / (1 + 1 / np.log2(3))) / 2,
            "hit_rate_at_2": 1.0,
            "coverage_at_2": 3 / 4,
            "gini_at_2": 1 / 3,
            "novelty_at_2": (np.log2(3 / 2) + 2 * np.log2(3)) / 3,
            "popularity_share_at_2": 0.0,
        }
    )


def test_the_interval_is_that_of_the_headline_unless_another_metric_is_named(evaluation: Evaluation) -> None:
    assert evaluation.interval("recall_at_5") != evaluation.interval()
    for found, name in ((evaluation.interval(), "ndcg_at_10"), (evaluation.interval("recall_at_5"), "recall_at_5")):
        expected = mean_interval(evaluation.per_user[name])
        assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_report_shows_every_number_under_its_cutoff_and_ranker(
    evaluation: Evaluation, held_out: Interactions, history: Interactions
) -> None:
    other = evaluate("popularity", random_lists(4), held_out, history)
    report = as_markdown([evaluation, other], users=12_345, held_out=67_890)
    assert "12,345 users" in report
    assert "67,890 in all" in report
    labels = {
        "Precision": "precision",
        "Recall": "recall",
        "Recall, truncated": "truncated_recall",
        "MAP": "map",
        "NDCG": "ndcg",
        "Hit rate": "hit_rate",
        "Coverage": "coverage",
        "Gini coefficient of the listings": "gini",
        "Novelty, bits": "novelty",
        "Share of the top 1 % of movies": "popularity_share",
    }
    tables = {
        heading: [cells(line) for line in body.splitlines()[1:] if line.startswith("| ")]
        for part in report.split("\n\n")
        if part.startswith("| ")
        for heading, body in [(part.splitlines()[0], part)]
    }
    assert list(tables) == [
        f"| {title} | als | popularity |" for title in ("mean, 95 % interval", "at 5", "at 10", "at 20")
    ]
    for k in CUTOFFS:
        expected = [
            [label, *(f"{each.means()[f'{name}_at_{k}']:.4f}" for each in (evaluation, other))]
            for label, name in labels.items()
        ]
        assert [row for row in tables[f"| at {k} | als | popularity |"] if row[0] != "---"] == expected
    assert [row for row in tables["| mean, 95 % interval | als | popularity |"] if row[0] != "---"] == [
        [
            label,
            *(
                f"{interval.mean:z.4f} ({interval.low:z.4f} to {interval.high:z.4f})"
                for interval in (each.interval(name) for each in (evaluation, other))
            ),
        ]
        for label, name in (("NDCG@10", "ndcg_at_10"), ("MAP@10", "map_at_10"))
    ]


def test_the_report_ends_with_the_ratio_to_popularity_where_there_is_one(
    evaluation: Evaluation, held_out: Interactions, history: Interactions
) -> None:
    popularity = evaluate("popularity", random_lists(4), held_out, history)
    ratio = evaluation.means()[HEADLINE] / popularity.means()[HEADLINE]
    both = as_markdown([evaluation, popularity], users=8, held_out=48)
    assert both.endswith(f"als reaches {ratio:.2f} times popularity's NDCG@10.\n")
    assert "times" not in as_markdown([evaluation], users=8, held_out=48)


def test_the_report_of_a_popularity_without_a_hit_does_not_divide_by_it(
    evaluation: Evaluation, held_out: Interactions, history: Interactions
) -> None:
    nothing = TopK(np.full((N_USERS, 20), -1), np.full((N_USERS, 20), np.nan))
    never = evaluate("popularity", nothing, held_out, history)
    assert "times" not in as_markdown([evaluation, never], users=8, held_out=48)
