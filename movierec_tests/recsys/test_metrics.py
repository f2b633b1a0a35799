"""Claims about the metrics: each is its definition, and the same number as the original recipe prints."""

from __future__ import annotations

import doctest
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from movierec_assets.recsys import metrics
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import IntArray

N_ITEMS = 12
METRICS = ("precision", "recall", "truncated_recall", "map", "ndcg", "hit_rate")


@dataclass(frozen=True)
class Case:
    """Lists of some users, -1 at the end of the short ones, and the held-out items of each."""

    lists: list[list[int]]
    wanted: list[set[int]]

    @property
    def ranked(self) -> IntArray:
        return np.array(self.lists, dtype=np.int32)

    @property
    def held_out(self) -> csr_matrix:
        pairs = [(user, item) for user, items in enumerate(self.wanted) for item in items]
        rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
        return csr_matrix((np.full(len(pairs), 4.5), (rows, columns)), shape=(len(self.wanted), N_ITEMS))


@st.composite
def cases(draw: st.DrawFn, min_held_out: int = 0, min_width: int = 1) -> Case:
    users = draw(st.integers(1, 5))
    width = draw(st.integers(min_width, N_ITEMS))
    items = list(range(N_ITEMS))
    lists = []
    for _ in range(users):
        filled = draw(st.integers(0, width))
        lists.append(draw(st.permutations(items))[:filled] + [-1] * (width - filled))
    wanted = [draw(st.sets(st.sampled_from(items), min_size=min_held_out)) for _ in range(users)]
    return Case(lists, wanted)


def plain_score(ranked: list[int], wanted: set[int], k: int) -> dict[str, float]:
    if not wanted:
        return dict.fromkeys(METRICS, math.nan)
    count, precisions, gain = 0, 0.0, 0.0
    for rank, item in enumerate(ranked[:k], start=1):
        if item in wanted:
            count += 1
            precisions += count / rank
            gain += 1 / math.log2(rank + 1)
    ideal = min(k, len(wanted))
    return {
        "precision": count / k,
        "recall": count / len(wanted),
        "truncated_recall": count / ideal,
        "map": precisions / ideal,
        "ndcg": gain / sum(1 / math.log2(rank + 1) for rank in range(1, ideal + 1)),
        "hit_rate": float(count > 0),
    }


@settings(deadline=None)
@given(cases())
def test_every_metric_is_its_definition_at_every_cutoff(case: Case) -> None:
    for k in range(1, len(case.lists[0]) + 1):
        found = dict(metrics.score(case.ranked, case.held_out, k).items())
        assert tuple(found) == METRICS
        for user, (ranked, wanted) in enumerate(zip(case.lists, case.wanted, strict=True)):
            expected = plain_score(ranked, wanted, k)
            assert {name: found[name][user] for name in METRICS} == pytest.approx(expected, abs=1e-12, nan_ok=True)


def original_score(top: IntArray, users: IntArray, test: csr_matrix, k: int) -> dict[str, float]:
    """As the original recipe computes it, user by user."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    hits_all = ideal_all = 0.0
    totals = np.zeros(3)
    for row, user in zip(top, users, strict=True):
        wanted = test.indices[test.indptr[user] : test.indptr[user + 1]]
        hit = np.isin(row, wanted).astype(float)
        ideal = min(k, len(wanted))
        hits_all += hit.sum()
        ideal_all += ideal
        precision_at_rank = np.cumsum(hit) / np.arange(1, k + 1)
        totals += (
            (precision_at_rank * hit).sum() / ideal,
            (hit * discount).sum() / discount[:ideal].sum(),
            hit.sum() / ideal,
        )
    means = totals / max(len(users), 1)
    return {"precision_pooled": hits_all / ideal_all, "map": means[0], "ndcg": means[1], "recall": means[2]}


@settings(deadline=None)
@given(cases(min_held_out=1, min_width=10))
def test_means_are_the_original_recipes(case: Case) -> None:
    k = 10
    expected = original_score(case.ranked[:, :k], np.arange(len(case.lists)), case.held_out, k)
    found = metrics.score(case.ranked, case.held_out, k)
    ideal = sum(min(k, len(wanted)) for wanted in case.wanted)
    assert expected == pytest.approx(
        {
            "precision_pooled": (found.precision * k).sum() / ideal,
            "map": found.map.mean(),
            "ndcg": found.ndcg.mean(),
            "recall": found.truncated_recall.mean(),
        },
        abs=1e-9,
    )


def test_hits_at_the_second_and_third_of_four_places() -> None:
    case = Case([[5, 0, 1, 6]], [{0, 1, 2, 3, 4}])
    found = {name: float(values[0]) for name, values in metrics.score(case.ranked, case.held_out, 4).items()}
    second, third, fourth = 1 / math.log2(3), 0.5, 1 / math.log2(5)
    assert found == pytest.approx(
        {
            "precision": 2 / 4,
            "recall": 2 / 5,
            "truncated_recall": 2 / 4,
            "map": (1 / 2 + 2 / 3) / 4,
            "ndcg": (second + third) / (1 + second + third + fourth),
            "hit_rate": 1.0,
        }
    )


def test_a_perfect_list_scores_one_even_when_less_was_held_out_than_k() -> None:
    case = Case([[3, 7, 1, 2, 4]], [{3, 7}])
    found = metrics.score(case.ranked, case.held_out, 5)
    assert [found.recall[0], found.truncated_recall[0], found.map[0], found.ndcg[0]] == pytest.approx([1] * 4)
    assert found.precision[0] == pytest.approx(2 / 5)


def test_a_hit_beyond_k_does_not_count() -> None:
    case = Case([[1, 2, 3]], [{3}])
    assert all(values[0] == 0 for _, values in metrics.score(case.ranked, case.held_out, 2).items())


def test_an_empty_place_never_hits_the_last_item_of_the_user_before() -> None:
    case = Case([[0, 1], [-1, -1]], [{N_ITEMS - 1}, {3}])
    assert not metrics.hits(case.ranked, case.held_out).any()


def test_users_with_nothing_held_out_are_not_a_number_and_do_not_disturb_others() -> None:
    case = Case([[1, 2], [1, 2], [1, 2]], [set(), {1}, set()])
    for name, values in metrics.score(case.ranked, case.held_out, 2).items():
        assert np.isnan(values).tolist() == [True, False, True], name
    nobody = Case([[1, 2]], [set()])
    assert all(np.isnan(values).all() for _, values in metrics.score(nobody.ranked, nobody.held_out, 2).items())


def test_a_held_out_matrix_with_unsorted_columns_is_read_correctly_and_left_alone() -> None:
    unsorted = csr_matrix((np.ones(3), np.array([9, 2, 5]), np.array([0, 3])), shape=(1, N_ITEMS))
    assert metrics.hits(np.array([[5, 9, 1, 2]]), unsorted).tolist() == [[True, True, False, True]]
    assert unsorted.indices.tolist() == [9, 2, 5]


def test_lists_shorter_than_k_or_of_other_users_are_refused() -> None:
    case = Case([[1, 2], [3, 4]], [{1}, {2}])
    with pytest.raises(RecsysError, match=r"shape \(2, 2\) cannot be scored at 3 for 2 users"):
        metrics.score(case.ranked, case.held_out, 3)
    with pytest.raises(RecsysError, match=r"shape \(1, 2\) cannot be scored at 2 for 2 users"):
        metrics.score(case.ranked[:1], case.held_out, 2)


@settings(deadline=None)
@given(cases(), st.lists(st.integers(0, 9), min_size=N_ITEMS, max_size=N_ITEMS), st.integers(1, N_ITEMS))
def test_list_wide_metrics_are_their_definitions(case: Case, counts: list[int], k: int) -> None:
    listed = [item for ranked in case.lists for item in ranked[:k] if item >= 0]
    assert metrics.coverage(case.ranked, N_ITEMS, k) == pytest.approx(len(set(listed)) / N_ITEMS)
    bits = [-math.log2(max(counts[item], 1) / 9) for item in listed]
    novelty = sum(bits) / len(bits) if bits else math.nan
    assert metrics.novelty(case.ranked, np.array(counts), 9, k) == pytest.approx(novelty, nan_ok=True)
    most_popular = sorted(range(N_ITEMS), key=lambda item: (-counts[item], item))[:3]
    share = sum(item in most_popular for item in listed) / len(listed) if listed else math.nan
    found = metrics.popularity_share(case.ranked, np.array(counts), k, top=0.25)
    assert found == pytest.approx(share, nan_ok=True)


def test_coverage_is_the_share_of_the_catalogue_that_anybody_is_shown() -> None:
    assert metrics.coverage(np.array([[0, 1, 9], [1, 2, -1]]), 10, 2) == pytest.approx(0.3)
    assert metrics.coverage(np.array([[-1, -1]]), 10, 2) == 0
    assert metrics.coverage(np.empty((0, 2), dtype=np.int32), 0, 2) == 0


def test_novelty_is_the_mean_number_of_bits_of_the_listed_items() -> None:
    counts = np.array([8, 2, 0])
    assert metrics.novelty(np.array([[0, 1]]), counts, 8, 2) == pytest.approx((0 + 2) / 2)
    assert metrics.novelty(np.array([[0, 1]]), counts, 8, 1) == pytest.approx(0)
    assert metrics.novelty(np.array([[2, -1]]), counts, 8, 2) == pytest.approx(3)


def test_popularity_share_is_that_of_the_top_percent_and_of_one_item_at_least() -> None:
    counts = np.arange(300)
    lists = np.array([[299, 298, 297, 296], [297, 5, -1, -1]])
    assert metrics.popularity_share(lists, counts, 4) == pytest.approx(4 / 6)
    assert metrics.popularity_share(np.array([[3, 2]]), np.arange(4), 2) == pytest.approx(1 / 2)


def test_the_examples_in_the_documentation_are_true() -> None:
    result = doctest.testmod(metrics)
    assert result.attempted > 0
    assert result.failed == 0
