"""Dividing interactions into train, validation and test: by each user's latest likes, by time, or by whole users.

Belongs here: the three ways to divide, and which users are scored. Does not: building matrices (`interactions`) and
scoring (`metrics`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IdMaps, IntArray, Interactions

MIN_TRAIN_TO_EVALUATE = 4
"""A user with fewer earlier positives is not scored, as in the original recipe."""

MIN_POSITIVES_TO_HOLD_OUT = 5
"""A user with fewer positives is never held out as a whole: a fifth of them would be less than one."""

MIN_LIKES_BEFORE_CUT = 5
"""A user with fewer likes before a cut is not scored in the window after it."""

WINDOWS = 10
FIRST_CUT = 0.5
"""Share of all likes that lie before the first cut in time."""

ProtocolName = Literal["leave-latest-out", "time-split", "strong-generalization"]
Part = Literal["validation", "test"]
_TRAIN, _VALIDATION, _TEST = range(3)


@dataclass(frozen=True)
class Task:
    """The input of a ranker, and the likes that its lists should hold; all over the same movies.

    Attributes
    ----------
    train : Interactions, shape (all users, n_movies)
        To fit on.
    users : int array, shape (n_users,)
        Rows of `train` that are scored; empty rows when the users are wholly held out.
    histories : Interactions, shape (n_users, n_movies)
        Likes of the scored users that the ranker knows; never listed.
    held_out : Interactions, shape (n_users, n_movies)
        Likes to find, at least one for each user.
    in_time : bool
        Whether the likes to find are later than the histories. If not, their times say nothing about a request.
    """

    train: Interactions
    users: IntArray
    histories: Interactions
    held_out: Interactions
    in_time: bool = True

    @property
    def elapsed(self) -> IntArray:
        """Seconds between each user's latest known like and the first like to find, shape (n_users,).

        The first like to find is the time of the request, so it is known when lists are made. 0 for users without a
        known like or without one to find, and for all users of a task that is not in time.
        """
        if not self.in_time:
            return np.zeros(len(self.users), dtype=np.int64)
        return elapsed_seconds(self.histories, self.held_out)

    def without(self, users: BoolArray) -> Task:
        """The task without the users that are true in an array over the rows of `train`; `train` stays whole."""
        kept = np.flatnonzero(~users[self.users])
        if len(kept) == len(self.users):
            return self
        return Task(self.train, self.users[kept], self.histories.rows(kept), self.held_out.rows(kept), self.in_time)


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

    def __len__(self) -> int:
        return len(self.train) + len(self.validation) + len(self.test)

    @property
    def shape(self) -> tuple[int, int]:
        """Users and movies."""
        return self.train.shape

    def of_users(self, users: IntArray) -> Split:
        """The rows of some users, in the order given."""
        return Split(self.train.rows(users), self.validation.rows(users), self.test.rows(users))

    @property
    def per_user(self) -> IntArray:
        """Interactions of each user in all parts, shape (n_users,)."""
        counts: IntArray = self.train.per_user + self.validation.per_user + self.test.per_user
        return counts

    @property
    def per_movie(self) -> IntArray:
        """Interactions with each movie in all parts, shape (n_movies,)."""
        counts: IntArray = self.train.per_movie + self.validation.per_movie + self.test.per_movie
        return counts

    @property
    def history(self) -> Interactions:
        """Everything before the test part; made anew for each who asks, because few need it and it is large."""
        return self.train.union(self.validation)

    @cached_property
    def positives(self) -> Interactions:
        """Everything."""
        return self.together()

    def together(self) -> Interactions:
        """Everything, as `positives`, but not kept for the next one who asks."""
        return self.train.union(self.validation.union(self.test))

    def before(self, part: Part) -> Interactions:
        """Everything earlier than `part`: the data for a fit that is scored on it."""
        return self.train if part == "validation" else self.history

    def evaluated_users(self, part: Part) -> IntArray:
        """Rows of the users with held-out positives in `part` and at least `MIN_TRAIN_TO_EVALUATE` earlier ones."""
        held_out = self.validation if part == "validation" else self.test
        earlier = self.train.per_user if part == "validation" else self.train.per_user + self.validation.per_user
        return np.flatnonzero((held_out.per_user > 0) & (earlier >= MIN_TRAIN_TO_EVALUATE))

    def task(self, part: Part) -> Task:
        """The evaluated users of one part, with their earlier positives as histories."""
        train, users = self.before(part), self.evaluated_users(part)
        held_out = self.validation if part == "validation" else self.test
        return Task(train, users, train.rows(users), held_out.rows(users))


@dataclass(frozen=True)
class Window:
    """A cut in time, and the likes of the time after it.

    Attributes
    ----------
    cut, end : int
        Unix seconds. The likes to find are from `cut` on and before `end`.
    task : Task
        Nothing that it trains on, of anybody, is as late as the cut.
    """

    cut: int
    end: int
    task: Task


def pooled(tasks: Sequence[Task]) -> Task:
    """Several tasks over the same users and movies as one, with a row for each user of each task.

    A user of several tasks is scored several times. `train` is that of the last task: where tasks are cut in time, it
    holds the training data of all.
    """
    return Task(
        tasks[-1].train,
        np.concatenate([task.users for task in tasks]),
        Interactions.stacked([task.histories for task in tasks]),
        Interactions.stacked([task.held_out for task in tasks]),
        tasks[-1].in_time,
    )


def time_windows(positives: Interactions, *, windows: int = WINDOWS, first_cut: float = FIRST_CUT) -> Iterator[Window]:
    """Cut likes at several points in time, and find the likes of the window after each cut.

    Cuts lie between equal shares of the likes; each window ends where the next one begins, and the last one with the
    latest like. Users are scored who have `MIN_LIKES_BEFORE_CUT` likes before the cut, and any in the window. Windows
    without such a user are left out.

    Parameters
    ----------
    positives : Interactions
    windows : int
        Number of cuts.
    first_cut : float
        Share of the likes before the first cut; the windows divide the rest.
    """
    yield from _with_users(positives, _spans(positives, windows, first_cut))


def last_time_window(positives: Interactions) -> Window | None:
    """The last window of `time_windows`, whose training data holds that of all others; None where there is none."""
    return next(_with_users(positives, _spans(positives, WINDOWS, FIRST_CUT)[::-1]), None)


def _spans(positives: Interactions, windows: int, first_cut: float) -> list[tuple[int, int]]:
    """The cut and the end of each window, in Unix seconds."""
    if len(positives) == 0:
        return []
    shares = np.linspace(first_cut, 1.0, windows + 1)
    cuts = np.quantile(positives.rated_at, shares, method="inverted_cdf")
    cuts[-1] += 1
    return list(pairwise(cuts.tolist()))


def _with_users(positives: Interactions, spans: Iterable[tuple[int, int]]) -> Iterator[Window]:
    for cut, end in spans:
        window = time_window(positives, cut, end)
        if len(window.task.users):
            yield window


def time_window(positives: Interactions, cut: int, end: int) -> Window:
    """The window from a cut to an end, in Unix seconds; its task has no users where nobody came back in it."""
    train = positives.only(positives.rated_at < cut)
    later = positives.only((positives.rated_at >= cut) & (positives.rated_at < end))
    users = np.flatnonzero((train.per_user >= MIN_LIKES_BEFORE_CUT) & (later.per_user > 0))
    return Window(cut, end, Task(train, users, train.rows(users), later.rows(users)))


@dataclass(frozen=True)
class StrongSplit:
    """Five disjoint parts of one matrix; no user is in more than one of train, validation and test.

    Attributes
    ----------
    train : Interactions
        All positives of the users who are not held out; rows of held-out users are empty. A movie that only held-out
        users rated keeps its column.
    validation_fold_in, validation_target, test_fold_in, test_target : Interactions
        Positives of the held-out users: those that a ranker knows, and those that it should find. All of the shape of
        `train`, with the rows of all other users empty.
    """

    train: Interactions
    validation_fold_in: Interactions
    validation_target: Interactions
    test_fold_in: Interactions
    test_target: Interactions

    def before(self, part: Part) -> Interactions:
        """The data for a fit that is scored on `part`; for test, all positives of the validation users belong to it."""
        if part == "validation":
            return self.train
        return self.train.union(self.validation_fold_in, self.validation_target)

    def evaluated_users(self, part: Part) -> IntArray:
        """Rows of the users held out for `part`; each has likes to fold in and likes to find."""
        return np.flatnonzero((self.validation_target if part == "validation" else self.test_target).per_user)

    def task(self, part: Part) -> Task:
        """The users held out for one part, with the likes to fold in as histories."""
        users = self.evaluated_users(part)
        fold_in, target = (
            (self.validation_fold_in, self.validation_target)
            if part == "validation"
            else (self.test_fold_in, self.test_target)
        )
        return Task(self.before(part), users, fold_in.rows(users), target.rows(users), in_time=False)


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
        When there is no interaction, or a pair repeats.
    """
    together, ids = as_matrix(positives)
    return latest_split(together), ids


def latest_split(positives: Interactions) -> Split:
    """The parts of `leave_latest_out`, of a matrix."""
    earlier, test = latest_of_each_user(positives)
    train, validation = latest_of_each_user(earlier)
    return Split(train, validation, test)


def strong_generalization(
    positives: RatingColumns,
    *,
    held_out_share: float = 0.1,
    fold_in_share: float = 0.8,
    seed: int,
) -> tuple[StrongSplit, IdMaps]:
    """Hold out whole users, some for validation and as many others for test, and fold a part of their likes in.

    Parameters
    ----------
    positives : RatingColumns
        In any order, every pair once.
    held_out_share : float
        Of the users with at least `MIN_POSITIVES_TO_HOLD_OUT` positives, the share that is held out for test, and
        again for validation; at least one user each.
    fold_in_share : float
        Of the positives of a held-out user, the share to fold in, to the nearest whole number; at least one is left to
        find. The choice is random: time plays no part in this protocol.
    seed : int
        Decides which users and likes are held out. The order of the interactions does not matter.

    Returns
    -------
    StrongSplit, IdMaps
        Parts over the same users and movies, and the ids of their rows and columns.

    Raises
    ------
    RecsysError
        When there is no interaction, a pair repeats, a share is not strictly between 0 and 1, or too few users are left
        to train on.

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara (2018), Variational autoencoders for collaborative filtering.
    """
    for name, share in (("held_out_share", held_out_share), ("fold_in_share", fold_in_share)):
        if not 0 < share < 1:
            raise RecsysError(f"{name} is {share:g}; it must be more than 0 and less than 1.")
    together, ids = as_matrix(positives)
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
    random_order = random.random(len(together))

    def divided(part: int) -> tuple[Interactions, Interactions]:
        own = together.only(role_of == part)
        is_target = _is_target(own, random_order[role_of == part], fold_in_share)
        return own.only(~is_target), own.only(is_target)

    return StrongSplit(together.only(role_of == _TRAIN), *divided(_VALIDATION), *divided(_TEST)), ids


def _is_target(interactions: Interactions, random_order: FloatArray, fold_in_share: float) -> BoolArray:
    """Choose a share of each user's interactions, lowest in the random order: at least one, and not all."""
    users, _, _, _ = interactions.triplets()
    order = np.lexsort((random_order, users))
    rank = np.empty(len(users), dtype=np.int64)
    rank[order] = np.arange(len(users)) - interactions.stars.indptr[:-1][users]
    wanted = np.clip(np.rint((1 - fold_in_share) * interactions.per_user), 1, interactions.per_user - 1)
    chosen: BoolArray = rank < wanted[users]
    return chosen


def as_matrix(positives: RatingColumns) -> tuple[Interactions, IdMaps]:
    """All positives in one matrix, in which no pair repeats unnoticed, and the ids of its rows and columns.

    Raises
    ------
    RecsysError
        When there is no interaction, or a pair repeats.
    """
    if len(positives) == 0:
        raise RecsysError("There is no positive rating to split; load ratings or lower MOVIEREC_POSITIVE_THRESHOLD.")
    ids = IdMaps.of(positives.user_id, positives.movie_id)
    rows, columns = ids.users_at(positives.user_id), ids.movies_at(positives.movie_id)
    return Interactions.from_triplets(rows, columns, positives.rating, positives.rated_at, ids.shape), ids


def elapsed_seconds(histories: Interactions, held_out: Interactions) -> IntArray:
    """Seconds between the latest like of each row of one matrix and the first of the other, see `Task.elapsed`."""
    both = (histories.per_user > 0) & (held_out.per_user > 0)
    seconds = _of_each_user(np.minimum, held_out) - _of_each_user(np.maximum, histories)
    return np.where(both, np.maximum(seconds, 0), 0)


def latest_of_each_user(interactions: Interactions) -> tuple[Interactions, Interactions]:
    """Divide interactions into those before each user's latest time, and those at it; both of the same shape."""
    is_latest = interactions.rated_at == np.repeat(_of_each_user(np.maximum, interactions), interactions.per_user)
    return interactions.only(~is_latest), interactions.only(is_latest)


def _of_each_user(extreme: np.ufunc, interactions: Interactions) -> IntArray:
    """The earliest or latest time of each user's interactions, shape (n_users,); 0 for users without any."""
    times = np.zeros(interactions.shape[0], dtype=np.int64)
    has_any = interactions.per_user > 0  # `reduceat` takes an empty row for the start of the next one
    if has_any.any():
        times[has_any] = extreme.reduceat(interactions.rated_at, interactions.stars.indptr[:-1][has_any])
    return times
