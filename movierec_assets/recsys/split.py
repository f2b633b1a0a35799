"""What is held out, and who is scored: each user's latest likes, or whole users.

Belongs here: dividing interactions into train, validation and test without leaking what is to be found. Matrices are
built in `interactions`; scoring is in `metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IdMaps, IntArray, Interactions

MIN_TRAIN_TO_EVALUATE = 4
"""A user with fewer earlier positives is not scored, as in the original recipe."""

MIN_POSITIVES_TO_HOLD_OUT = 5
"""A user with fewer positives is never held out as a whole: a fifth of them would be less than one."""

Protocol = Literal["leave-latest-out", "strong-generalization"]
Part = Literal["validation", "test"]
_TRAIN, _VALIDATION, _TEST = range(3)


@dataclass(frozen=True)
class Task:
    """What a ranker is given, and what its lists should hold; all over the same movies.

    Attributes
    ----------
    train : Interactions, shape (all users, n_movies)
        To fit on.
    users : int array, shape (n_users,)
        Rows of `train` that are scored; empty rows when the users are wholly held out.
    histories : Interactions, shape (n_users, n_movies)
        What is known of the scored users; never to be listed.
    held_out : Interactions, shape (n_users, n_movies)
        What is to be found, at least one entry for each user.
    """

    train: Interactions
    users: IntArray
    histories: Interactions
    held_out: Interactions

    def without(self, marked: BoolArray) -> Task:
        """The task without some users, marked by rows of `train`; all of it is still there to fit on."""
        kept = np.flatnonzero(~marked[self.users])
        if len(kept) == len(self.users):
            return self
        return Task(self.train, self.users[kept], self.histories.rows(kept), self.held_out.rows(kept))


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of one matrix, in time order for each user.

    Attributes
    ----------
    train, validation, test : Interactions
        All of the same shape. For every user each part is later than the one before it.
    """

    train: Interactions
    validation: Interactions
    test: Interactions

    def before(self, part: Part) -> Interactions:
        """What a model that is scored on `part` may have seen: everything earlier."""
        return self.train if part == "validation" else self.train.union(self.validation)

    def evaluated_users(self, part: Part, history: Interactions | None = None) -> IntArray:
        """Rows of the users scored on `part`.

        Parameters
        ----------
        part : {"validation", "test"}
        history : Interactions, optional
            `before(part)` when it is at hand.

        Returns
        -------
        int array
            Users with something held out and at least `MIN_TRAIN_TO_EVALUATE` earlier positives.
        """
        seen = (history or self.before(part)).per_user
        held_out = (self.validation if part == "validation" else self.test).per_user
        return np.flatnonzero((held_out > 0) & (seen >= MIN_TRAIN_TO_EVALUATE))

    def task(self, part: Part) -> Task:
        """The evaluated users of one part, with their earlier positives as histories."""
        train = self.before(part)
        users = self.evaluated_users(part, train)
        held_out = self.validation if part == "validation" else self.test
        return Task(train, users, train.rows(users), held_out.rows(users))


@dataclass(frozen=True)
class StrongSplit:
    """Five disjoint parts of one matrix; no user is in more than one of train, validation and test.

    Attributes
    ----------
    train : Interactions
        All positives of the users who are not held out; the rows of those who are held out are empty. A movie that
        only they rated keeps its column, on which nobody is trained.
    validation_fold_in, validation_target, test_fold_in, test_target : Interactions
        Positives of the held-out users: what a ranker is told about them, and what it should find. All of the shape
        of `train`, with the rows of everybody else empty.
    """

    train: Interactions
    validation_fold_in: Interactions
    validation_target: Interactions
    test_fold_in: Interactions
    test_target: Interactions

    def before(self, part: Part) -> Interactions:
        """What a model that is scored on `part` may be fitted on: nothing of its users.

        For test that includes all positives of the validation users, whose work is done.
        """
        if part == "validation":
            return self.train
        return self.train.union(self.validation_fold_in, self.validation_target)

    def evaluated_users(self, part: Part) -> IntArray:
        """Rows of the users held out for `part`; each has something folded in and something to find."""
        return np.flatnonzero((self.validation_target if part == "validation" else self.test_target).per_user)

    def task(self, part: Part) -> Task:
        """The users held out for one part, with what is folded in as histories."""
        users = self.evaluated_users(part)
        fold_in, target = (
            (self.validation_fold_in, self.validation_target)
            if part == "validation"
            else (self.test_fold_in, self.test_target)
        )
        return Task(self.before(part), users, fold_in.rows(users), target.rows(users))


def leave_latest_out(positives: RatingColumns) -> tuple[Split, IdMaps]:
    """Hold out each user's latest positives for test and the latest of the rest for validation.

    Parameters
    ----------
    positives : RatingColumns
        In any order, every pair once. Positives with equal times stay together.

    Returns
    -------
    Split, IdMaps
        Parts over the same users and movies, and the ids of their rows and columns.

    Raises
    ------
    RecsysError
        When there is no interaction at all, or a pair repeats.
    """
    together, ids = _together(positives)
    earlier, test = latest_of_each_user(together)
    train, validation = latest_of_each_user(earlier)
    return Split(train, validation, test), ids


def strong_generalization(
    positives: RatingColumns,
    *,
    held_out_share: float = 0.1,
    fold_in_share: float = 0.8,
    seed: int,
) -> tuple[StrongSplit, IdMaps]:
    """Hold out whole users, some for validation and as many others for test, and part of what each of them liked.

    Parameters
    ----------
    positives : RatingColumns
        In any order, every pair once.
    held_out_share : float
        Of the users with at least `MIN_POSITIVES_TO_HOLD_OUT` positives, the share that is held out for test, and
        again for validation; at least one user each.
    fold_in_share : float
        Of the positives of a held-out user, the share that a ranker is told, to the nearest whole number; at least
        one is left to find. Which ones is random: time plays no part in this protocol.
    seed : int
        Decides who and what is held out, together with the interactions but not with their order.

    Returns
    -------
    StrongSplit, IdMaps
        Parts over the same users and movies, and the ids of their rows and columns.

    Raises
    ------
    RecsysError
        When there is no interaction at all, a pair repeats, a share is not strictly between 0 and 1, or too few users
        are left to train on.

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara (2018), Variational autoencoders for collaborative filtering.
    """
    for name, share in (("held_out_share", held_out_share), ("fold_in_share", fold_in_share)):
        if not 0 < share < 1:
            raise RecsysError(f"{name} is {share:g}; it must be more than 0 and less than 1.")
    together, ids = _together(positives)
    random = np.random.default_rng(seed)
    candidates = random.permutation(np.flatnonzero(together.per_user >= MIN_POSITIVES_TO_HOLD_OUT))
    count = max(1, round(held_out_share * len(candidates)))
    if 2 * count > len(candidates) or 2 * count == ids.shape[0]:
        raise RecsysError(
            f"Two times {count} users cannot be held out of {ids.shape[0]}, of whom {len(candidates)} have at least "
            f"{MIN_POSITIVES_TO_HOLD_OUT} positives; load more ratings or lower held_out_share ({held_out_share:g})."
        )
    role = np.full(ids.shape[0], _TRAIN)
    role[candidates[:count]], role[candidates[count : 2 * count]] = _TEST, _VALIDATION
    role_of = np.repeat(role, together.per_user)
    luck = random.random(len(together))

    def divided(part: int) -> tuple[Interactions, Interactions]:
        own = together.only(role_of == part)
        is_target = _is_target(own, luck[role_of == part], fold_in_share)
        return own.only(~is_target), own.only(is_target)

    return StrongSplit(together.only(role_of == _TRAIN), *divided(_VALIDATION), *divided(_TEST)), ids


def _is_target(interactions: Interactions, luck: FloatArray, fold_in_share: float) -> BoolArray:
    """Mark the unluckiest interactions of each user, a share of them: at least one, and not all."""
    users, _, _, _ = interactions.triplets()
    order = np.lexsort((luck, users))
    place = np.empty(len(users), dtype=np.int64)
    place[order] = np.arange(len(users)) - interactions.stars.indptr[:-1][users]
    wanted = np.clip(np.rint((1 - fold_in_share) * interactions.per_user), 1, interactions.per_user - 1)
    marked: BoolArray = place < wanted[users]
    return marked


def _together(positives: RatingColumns) -> tuple[Interactions, IdMaps]:
    """All in one matrix first: a pair that repeats would land in two parts unnoticed."""
    if len(positives) == 0:
        raise RecsysError("There is no positive rating to split; load ratings or lower MOVIEREC_POSITIVE_THRESHOLD.")
    ids = IdMaps.of(positives.user_id, positives.movie_id)
    rows, columns = ids.users_at(positives.user_id), ids.movies_at(positives.movie_id)
    return Interactions.from_triplets(rows, columns, positives.rating, positives.rated_at, ids.shape), ids


def latest_of_each_user(interactions: Interactions) -> tuple[Interactions, Interactions]:
    """Divide interactions into those before each user's latest time, and those at it.

    Returns
    -------
    earlier, latest : Interactions
        Of the same shape; disjoint, and together the whole.
    """
    has_any = interactions.per_user > 0
    latest = np.zeros(interactions.shape[0], dtype=np.int64)
    if len(interactions):
        latest[has_any] = np.maximum.reduceat(interactions.rated_at, interactions.stars.indptr[:-1][has_any])
    is_latest = interactions.rated_at == np.repeat(latest, interactions.per_user)
    return interactions.only(~is_latest), interactions.only(is_latest)
