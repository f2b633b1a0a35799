"""Over many days, no fit is scored on likes that it, or a fit that it continued, was fitted to."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import warm_start
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import EnoughIterations, Factors, Iteration, OnIteration
from movierec_assets.recsys.interactions import FloatArray, IdMaps, Interactions
from movierec_assets.recsys.leakage import leaking_users, withdrawn
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import Task, leave_latest_out
from movierec_assets.recsys.training_state import KnownLikes, Predecessor, TrainingState
from movierec_assets.recsys.warm_start import (
    train,
)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_withdrawn_likes_are_those_that_a_predecessor_had_and_nobody_has_now(seed: int) -> None:
    random = np.random.default_rng(seed)

    def some() -> tuple[Interactions, IdMaps]:
        ids = IdMaps(*(np.sort(random.choice(12, random.integers(1, 9), replace=False)) for _ in range(2)))
        users, movies = np.nonzero(random.random(ids.shape) < 0.4)
        return Interactions.from_triplets(users, movies, np.ones(len(users)), np.ones_like(users), ids.shape), ids

    def pairs(positives: Interactions, ids: IdMaps) -> set[tuple[int, int]]:
        users, movies, _, _ = positives.triplets()
        return set(zip(ids.user_ids[users].tolist(), ids.movie_ids[movies].tolist(), strict=True))

    (had, ids_then), (has, ids) = some(), some()
    nobody = np.empty(0, dtype=np.int64)
    before = random.integers(20, 30, (3, 2))
    known = KnownLikes(before[:0], nobody)
    state = TrainingState(
        *(nobody, np.empty((0, 2)), np.empty((0, 2)), None, nobody, known, known),
        withdrawn=before,
        cold_curve=None,
        warm_in_a_row=1,
    )
    found = withdrawn(Predecessor(Recipe(), ids_then, had.stars, state), has, ids)
    assert {(user, movie) for user, movie in found.tolist()} == (
        pairs(had, ids_then) - pairs(has, ids) | set(map(tuple, before.tolist()))
    )
    assert len(found) == len(np.unique(found, axis=0))


class _Fit:
    """An engine whose factors are the number of the fit, and which keeps what each fit and those it continued saw."""

    def __init__(self) -> None:
        self.pairs: list[set[tuple[int, int]]] = [set()]
        self.latest: list[dict[int, int]] = [{}]
        self.ids = IdMaps(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))
        self.validated: list[tuple[int, Task]] = []

    def __call__(
        self,
        positives: Interactions,
        recipe: Recipe,
        progress: OnIteration | None = None,
        *,
        loss_every: int = 0,
        start: FloatArray | None = None,
    ) -> Factors:
        before = 0 if start is None else round(float(start.max()))
        pairs, latest = set(self.pairs[before]), dict(self.latest[before])
        for user, movie, _, at in zip(*(each.tolist() for each in positives.triplets()), strict=True):
            owner = int(self.ids.user_ids[user])
            pairs.add((owner, int(self.ids.movie_ids[movie])))
            latest[owner] = max(latest.get(owner, at), at)
        self.pairs.append(pairs)
        self.latest.append(latest)
        factors = np.full((positives.shape[1], recipe.factors), len(self.pairs) - 1, dtype=np.float32)
        with contextlib.suppress(EnoughIterations):
            for number in range(recipe.iterations):
                if progress is None:
                    break
                progress(Iteration(number + 1, recipe.iterations, 0.0, None, factors))
        return Factors.of_movies(factors, Confidence.of(positives, recipe.confidence))

    def ndcg(self, factors: Factors, task: Task, *_: object) -> float:
        self.validated.append((round(float(factors.movies.max())), task))
        return 0.5

    def knows(self, number: int, task: Task) -> int:
        """Held-out likes that a fit knows, or that are not later than what it knows of their user."""
        users, movies, _, rated_at = task.held_out.triplets()
        found = 0
        for user, movie, at in zip(users.tolist(), movies.tolist(), rated_at.tolist(), strict=True):
            owner = int(self.ids.user_ids[task.users[user]])
            found += (owner, int(self.ids.movie_ids[movie])) in self.pairs[number]
            found += at <= self.latest[number].get(owner, at - 1)
        return found


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_happens_no_fit_is_scored_on_what_it_or_an_earlier_one_was_fitted_to(seed: int) -> None:
    """Days of new likes, old favourites, withdrawals and returns; challengers are promoted, kept, or lost."""
    random = np.random.default_rng(seed)
    recipe, stand_in = Recipe(factors=2, iterations=3), _Fit()
    likes = {(int(u), int(m)): int(t) for u, m, t in zip(*random.integers(1, [[9], [15], [40]], (3, 70)), strict=True)}
    gone: dict[tuple[int, int], int] = {}
    champion: Predecessor | None = None
    left = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm_start, "validation_ndcg", stand_in.ndcg)
        patch.setattr(warm_start, "MAX_LEFT_OUT", float(random.choice([0.3, 1.0])))
        for day in range(6):
            now = 50 + 10 * day
            for movie in random.integers(1, 16, 8):  # who left comes back with what they liked long ago
                if left:
                    likes.setdefault((left, int(movie)), int(random.integers(20, now)))
            left, corrected, reviver = (int(user) for user in random.integers(1, [18, 9, 9]))
            middle = int(np.median([at for (user, _), at in likes.items() if user == corrected] or [now]))
            for pair in [
                pair for pair, at in likes.items() if pair[0] == left or (pair[0] == corrected and at > middle)
            ]:
                gone[pair] = likes.pop(pair)
            likes.setdefault((corrected, int(random.integers(1, 16))), middle + 1)
            for pair in [pair for pair in gone if pair[0] == reviver and random.random() < 0.5]:
                likes[pair] = gone.pop(pair) if random.random() < 0.5 else now + int(random.integers(10))
            for pair in [pair for pair in likes if random.random() < 0.06]:
                likes[pair] = now + int(random.integers(10))
            for user, movie, at in random.integers([1, 1, now], [9, 16, now + 10], (4, 3)).tolist():
                likes.setdefault((user, movie), at)
            pairs = np.array(list(likes), dtype=np.int32)
            split, ids = leave_latest_out(
                RatingColumns.cast(pairs[:, 0], pairs[:, 1], np.full(len(likes), 4.0), np.array(list(likes.values())))
            )
            stand_in.ids, stand_in.validated = ids, []
            fits = train(split, ids, recipe, champion, stand_in)
            scored = split.task("test").without(fits.left_out)
            assert stand_in.knows(round(float(fits.scored.movies.max())), scored) == 0
            assert all(stand_in.knows(number, task) == 0 for number, task in stand_in.validated)
            if champion is not None:  # which is scored beside the challenger
                known = leaking_users(champion, split.test, ids)
                beside = round(float(champion.state.scored.max()))
                assert stand_in.knows(beside, split.task("test").without(known)) == 0
                assert not fits.warm or (known == fits.left_out).all()
            made = Predecessor(recipe, ids, split.positives.stars, fits.state)
            chance = random.random()
            if champion is None or chance < 0.4:
                champion = made
            elif chance < 0.8:
                champion = replace(champion, kept=made)
