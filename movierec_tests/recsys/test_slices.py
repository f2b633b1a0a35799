"""Claims about scores by slice, the Gini coefficient, and how the report shows them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from movierec_assets.recsys import metrics
from movierec_assets.recsys.comparison import mean_interval, mean_intervals
from movierec_assets.recsys.evaluation import (
    WITH_INTERVALS,
    Evaluation,
    by_activity,
    by_elapsed,
    by_popularity,
    evaluate,
    popularity_groups,
    with_intervals,
)
from movierec_assets.recsys.interactions import IntArray, Interactions
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.report import as_markdown
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings

LISTS = arrays(np.int32, st.tuples(st.integers(0, 6), st.integers(1, 5)), elements=st.integers(-1, 6))
COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=12)
N_USERS, N_MOVIES = 9, 40


def plain_gini(counts: list[int]) -> float:
    """Half the relative mean absolute difference, scaled so that one item for everybody is 1."""
    n, total = len(counts), sum(counts)
    if n < 2 or total == 0:
        return math.nan
    differences = sum(abs(one - other) for one in counts for other in counts)
    return differences / (2 * n * total) * n / (n - 1)


@given(LISTS, st.integers(7, 12), st.integers(1, 5))
def test_gini_is_half_the_relative_mean_difference(ranked: IntArray, n_items: int, k: int) -> None:
    listed = ranked[:, :k].ravel().tolist()
    expected = plain_gini([listed.count(item) for item in range(n_items)])
    assert metrics.gini(ranked, n_items, k) == pytest.approx(expected, nan_ok=True)


def test_gini_is_zero_when_all_are_listed_alike_and_one_when_only_one_is() -> None:
    assert metrics.gini(np.array([[0, 1], [2, 3]]), 4, 2) == 0
    assert metrics.gini(np.array([[3], [3], [3]]), 4, 1) == 1


def test_gini_of_nothing_listed_or_nothing_to_list_is_not_a_number() -> None:
    assert math.isnan(metrics.gini(np.array([[-1, -1]]), 4, 2))
    assert math.isnan(metrics.gini(np.array([[0, -1]]), 1, 2))
    assert math.isnan(metrics.gini(np.empty((0, 2), dtype=np.int32), 0, 2))


@given(COUNTS)
def test_the_head_is_the_fewest_most_liked_movies_with_a_third_of_all_likes(counts: list[int]) -> None:
    group = popularity_groups(np.array(counts))
    total, before = sum(counts), 0
    for movie in sorted(range(len(counts)), key=lambda each: (-counts[each], each)):
        expected = 2 if counts[movie] == 0 or 3 * before >= 2 * total else 1 if 3 * before >= total else 0
        assert group[movie] == expected
        before += counts[movie]


def random_lists(users: int, movies: int, seed: int) -> TopK:
    random = np.random.default_rng(seed)
    items = np.full((users, 20), -1, dtype=np.int32)
    for user in range(users):
        own = random.permutation(movies)[:20]
        items[user, : len(own)] = own
    return TopK(items, np.zeros(items.shape, dtype=np.float32))


@settings(deadline=None)
@given(ratings(min_size=1, max_users=12), ratings(max_users=12), st.integers(0, 99))
def test_activity_slices_part_the_users_by_likes_and_keep_their_scores(held: Ratings, past: Ratings, seed: int) -> None:
    held_out = held.interactions().rows(np.flatnonzero(held.interactions().per_user))
    users, movies = held_out.shape
    rows = [row for row in past.rows if row[0] < users and row[1] < movies]
    histories, lists = interactions_of(rows, (users, movies)), random_lists(users, movies, seed)
    scores = metrics.score(lists.items, held_out.stars, 10)
    slices = by_activity(lists, held_out, histories)
    likes = sorted(histories.per_user.tolist())
    bounds = [likes[math.ceil(users / 3) - 1], likes[math.ceil(2 * users / 3) - 1]]
    expected = {
        name: [user for user in range(users) if low < histories.per_user[user] <= high]
        for name, low, high in (
            ("few", -1, bounds[0]),
            ("medium", bounds[0], bounds[1]),
            ("many", bounds[1], math.inf),
        )
    }
    assert [each.name.split(",")[0] for each in slices] == [name for name, own in expected.items() if own]
    assert sum(each.users for each in slices) == users
    for each in slices:
        own = expected[each.name.split(",")[0]]
        assert tuple(each.per_user) == WITH_INTERVALS
        assert each.per_user["ndcg_at_10"] == pytest.approx(scores.ndcg[own], abs=1e-12)
        assert each.per_user["map_at_10"] == pytest.approx(scores.map[own], abs=1e-12)
        low, high = min(histories.per_user[own]), max(histories.per_user[own])
        assert each.name.endswith(f", {low} to {high}")


@settings(deadline=None)
@given(ratings(min_size=1), st.lists(st.integers(0, 9), min_size=8, max_size=8), st.integers(0, 99))
def test_popularity_slices_count_only_their_own_movies_for_the_users_who_have_any(
    held: Ratings, many: list[int], seed: int
) -> None:
    held_out = held.interactions()
    counts = np.array(many[: held.shape[1]])
    lists = random_lists(*held.shape, seed)
    group = popularity_groups(counts)
    found = {each.name.split(",")[0]: each for each in by_popularity(lists, held_out, counts)}
    for number, name in enumerate(("head", "torso", "tail")):
        rows = [row for row in held.rows if group[row[1]] == number]
        users = sorted({row[0] for row in rows})
        assert (name in found) == bool(users)
        if users:
            scores = metrics.score(lists.items, interactions_of(rows, held.shape).stars, 10)
            assert found[name].per_user["ndcg_at_10"] == pytest.approx(scores.ndcg[users], abs=1e-12)
            assert found[name].per_user["map_at_10"] == pytest.approx(scores.map[users], abs=1e-12)
            assert found[name].name == f"{name}, {(group == number).sum()} movies"


def test_a_hit_in_the_head_is_none_in_the_tail() -> None:
    counts = np.array([30, 20, 10, 10, 10, 10])
    held_out = interactions_of([(0, 0, 4.0, 1), (0, 5, 4.0, 1), (1, 5, 4.0, 1)], (2, 6))
    items = np.full((2, 10), -1)
    items[0, 0], items[1, :2] = 0, [3, 5]
    slices = by_popularity(TopK(items, np.zeros(items.shape)), held_out, counts)
    assert [(each.name, each.users) for each in slices] == [("head, 1 movies", 1), ("tail, 3 movies", 2)]
    assert slices[0].per_user["ndcg_at_10"].tolist() == pytest.approx([1.0])
    assert slices[1].per_user["map_at_10"].tolist() == pytest.approx([0.0, 0.5])


ELAPSED = {"under a minute": (0, 60), "a minute to an hour": (60, 3600), "an hour to a day": (3600, 86400)}
EDGES = st.sampled_from([0, 1, 59, 60, 61, 3599, 3600, 86399, 86400, 10**8])


@settings(deadline=None)
@given(st.lists(EDGES, min_size=1, max_size=9), st.integers(0, 99))
def test_elapsed_slices_part_the_users_by_the_time_since_their_like_before(elapsed: list[int], seed: int) -> None:
    held_out, lists = likes(1, len(elapsed), 6), random_lists(len(elapsed), N_MOVIES, seed)
    scores = metrics.score(lists.items, held_out.stars, 10)
    found = {each.name: each for each in by_elapsed(lists, held_out, np.array(elapsed))}
    for name, (low, high) in (ELAPSED | {"a day or more": (86400, 10**9)}).items():
        users = [user for user, seconds in enumerate(elapsed) if low <= seconds < high]
        assert (name in found) == bool(users)
        if users:
            assert found[name].rows.tolist() == users
            assert found[name].per_user["ndcg_at_10"] == pytest.approx(scores.ndcg[users], abs=1e-12)


def test_elapsed_slices_come_from_the_times_of_likes_and_only_where_likes_are_divided_by_time() -> None:
    histories = interactions_of([(0, 0, 4.0, 1000), (0, 1, 4.0, 5000), (1, 0, 4.0, 1000)], (2, 20))
    held_out = interactions_of([(0, 2, 4.0, 5059), (0, 3, 4.0, 9999), (1, 5, 4.0, 100_000)], (2, 20))
    lists = random_lists(2, 20, 1)
    found = evaluate("als", lists, held_out, histories, (10,), histories).slices
    by_time = [(each.name, each.rows.tolist()) for each in found if each.by == "time since the like before"]
    assert by_time == [("under a minute", [0]), ("a day or more", [1])]
    without = evaluate("als", lists, held_out, histories, (10,), histories, in_time=False).slices
    assert [each.by for each in without] == [each.by for each in found[:-2]]


def test_intervals_of_slices_draw_all_scores_of_a_user_together() -> None:
    scores, users = evaluation("als", 3), np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    (found,) = with_intervals([scores], groups=users)
    (alone,) = with_intervals([scores])
    expected = mean_interval(scores.per_user["ndcg_at_10"], groups=users)
    assert (found.interval().low, found.interval().high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    for part, single in zip(found.slices, alone.slices, strict=True):
        expected = mean_intervals(part.column("ndcg_at_10")[:, None], groups=users)[0]
        assert (part.interval().low, part.interval().high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert part.interval().mean == pytest.approx(single.interval().mean, abs=1e-12)


def test_nobody_scored_has_no_slices() -> None:
    nobody = interactions_of([], (0, 4))
    lists = TopK(np.empty((0, 10), dtype=np.int32), np.empty((0, 10)))
    assert by_activity(lists, nobody, nobody) == ()
    assert by_popularity(lists, nobody, np.ones(4, dtype=int)) == ()
    assert by_elapsed(lists, nobody, np.empty(0, dtype=int)) == ()


def likes(seed: int, users: int, per_user: int) -> Interactions:
    random = np.random.default_rng(seed)
    rows: list[Row] = [
        (user, movie, 4.0, 1)
        for user in range(users)
        for movie in random.choice(N_MOVIES, per_user + user, replace=False).tolist()
    ]
    return interactions_of(rows, (users, N_MOVIES))


def evaluation(ranker: str, seed: int, *, sliced: bool = True, cutoffs: tuple[int, ...] = (5, 10, 20)) -> Evaluation:
    history = likes(2, 12, 5)
    histories = history.rows(np.arange(N_USERS)) if sliced else None
    lists = random_lists(N_USERS, N_MOVIES, seed)
    return evaluate(ranker, lists, likes(1, N_USERS, 6), history, cutoffs, histories)


def test_slices_are_only_there_when_histories_are_given_and_change_nothing_else() -> None:
    plain, sliced = evaluation("als", 3, sliced=False), evaluation("als", 3)
    assert plain.slices == ()
    names = ["few", "medium", "many", "head", "torso", "tail", "under a minute"]
    assert [each.name.split(",")[0] for each in sliced.slices] == names
    assert plain.means() == pytest.approx(sliced.means())
    assert "likes in the history" not in as_markdown([plain], users=9, held_out=50)


def test_gini_is_among_the_overall_metrics_at_every_cutoff() -> None:
    found = evaluation("als", 3).overall
    for k in (5, 10, 20):
        expected = metrics.gini(random_lists(N_USERS, N_MOVIES, 3).items, N_MOVIES, k)
        assert found[f"gini_at_{k}"] == pytest.approx(expected)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def tables_of(report: str) -> dict[str, list[list[str]]]:
    """Rows by heading, the heading's own first."""
    tables = {}
    for block in report.split("\n\n"):
        if block.startswith("| "):
            head, _, *body = (cells(line) for line in block.strip().splitlines())
            tables[head[0]] = [head, *body]
    return tables


def test_the_report_shows_intervals_of_every_ranker_and_every_slice() -> None:
    rankers = [evaluation("als", 3), evaluation("popularity", 4)]
    tables = tables_of(as_markdown(rankers, users=N_USERS, held_out=90))

    def shown(each: Evaluation, number: int | None, name: str) -> str:
        interval = each.interval(name) if number is None else each.slices[number].interval(name)
        return f"{interval.mean:z.4f} ({interval.low:z.4f} to {interval.high:z.4f})"

    labels = {"NDCG@10": "ndcg_at_10", "MAP@10": "map_at_10"}
    header, *rows = tables["mean, 95 % interval"]
    assert header[1:] == ["als", "popularity"]
    assert rows == [[label, *(shown(each, None, name) for each in rankers)] for label, name in labels.items()]
    for label, name in labels.items():
        for by, numbers in (("likes in the history", range(3)), ("popularity of the held-out movies", range(3, 6))):
            assert tables[f"{label} by {by}"][1:] == [
                [
                    f"{rankers[0].slices[number].name} ({rankers[0].slices[number].users} users)",
                    *(shown(each, number, name) for each in rankers),
                ]
                for number in numbers
            ]


def test_intervals_found_together_are_those_found_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rankers = [evaluation("als", 3), evaluation("popularity", 4), evaluation("unsliced", 5, sliced=False)]
    alone = intervals_of(rankers)
    known = with_intervals(rankers)
    monkeypatch.setattr("movierec_assets.recsys.evaluation.mean_intervals", None)  # nothing is left to be found
    assert intervals_of(known) == pytest.approx(alone, abs=1e-12)
    assert with_intervals(known) == known
    assert "als" in as_markdown(known, users=N_USERS, held_out=90)
    assert [each.slices for each in known][2] == ()


def intervals_of(rankers: list[Evaluation]) -> list[float]:
    found = [each.interval(name) for each in rankers for name in WITH_INTERVALS]
    found += [part.interval(name) for each in rankers for part in each.slices for name in WITH_INTERVALS]
    return [value for each in found for value in (each.mean, each.low, each.high)]


def test_intervals_of_other_metrics_are_found_when_a_report_asks_for_them() -> None:
    found = evaluation("als", 3)
    (known,) = with_intervals([found], ["recall_at_5"])
    assert set(known.intervals) == {"recall_at_5"}
    (more,) = with_intervals([known], ["hit_rate_at_5"])
    interval = more.interval("hit_rate_at_5")
    assert (interval.low, interval.high) == pytest.approx(
        (found.interval("hit_rate_at_5").low, found.interval("hit_rate_at_5").high)
    )


def test_the_report_shows_the_gini_coefficient_and_the_cutoffs_asked_for() -> None:
    found = evaluation("als", 3, cutoffs=(10, 15))
    tables = tables_of(as_markdown([found], users=N_USERS, held_out=90, cutoffs=(10, 15)))
    assert [name for name in tables if name.startswith("at ")] == ["at 10", "at 15"]
    assert ["Gini coefficient of the listings", f"{found.overall['gini_at_15']:.4f}"] in tables["at 15"]


def test_the_report_says_how_the_users_were_held_out() -> None:
    found = [evaluation("als", 3)]
    assert "latest likes (1,234 in all)" in as_markdown(found, users=9, held_out=1234)
    strong = as_markdown(found, users=9, held_out=1234, protocol="strong-generalization")
    assert "9 users that no ranker was fitted on" in strong
    assert "latest" not in strong
