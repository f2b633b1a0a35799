"""Which held-out likes a continued fit knows already, so that no fit is scored on likes it was fitted to.

Belongs here: comparing the likes held out today with those of earlier trainings. Does not: whether a training continues
an earlier one (`warm_start`).

A fit knows a like when the fit, or a fit it continued, was fitted to the pair of user and movie, or to a later like of
the same user. A like can be known although it is held out today: when a user rates an old favourite again, the old like
becomes the user's latest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.ratings import pair_key
from movierec_assets.recsys.interactions import NEVER, BoolArray, IdMaps, IntArray, Interactions, positions
from movierec_assets.recsys.training_state import KnownLikes, Predecessor


def users_who_leak(predecessor: Predecessor, known: KnownLikes, part: Interactions, ids: IdMaps) -> BoolArray:
    """Find the users with a like in a part held out today that a fit of the predecessor knows, shape (n_users,).

    `known` are the likes that this fit knows, and `ids` the ids of the part's rows and columns.
    """
    rows, _, _, rated_at = part.triplets()
    at = positions(predecessor.state.user_ids, ids.user_ids)[rows]
    leaks = (at >= 0) & (rated_at <= known.latest[at])
    leaks |= was_trained_on(predecessor, pairs_of(part, ids), known.held_out)
    users = np.zeros(part.shape[0], dtype=bool)
    users[rows[leaks]] = True
    return users


def leaking_users(predecessor: Predecessor, test: Interactions, ids: IdMaps) -> BoolArray:
    """Find the users on whom the predecessor's scored fit must not be scored now, shape (n_users,)."""
    return users_who_leak(predecessor, predecessor.state.known_to_scored, test, ids)


def was_trained_on(predecessor: Predecessor, pairs: IntArray, held_out: IntArray) -> BoolArray:
    """Whether the predecessor had each pair of user and movie id and did not hold it out, shape (n,).

    Also true for pairs that were withdrawn from the predecessor or a training before it.
    """
    users, movies = predecessor.ids.users_at(pairs[:, 0]), predecessor.ids.movies_at(pairs[:, 1])
    trained = (users >= 0) & (movies >= 0)
    known = np.flatnonzero(trained)
    if len(known):
        trained[known] = np.asarray(predecessor.positives[users[known], movies[known]]).ravel() != 0
    keys = pair_key(*pairs.T)
    trained &= ~np.isin(keys, pair_key(*held_out.T))
    trained |= np.isin(keys, pair_key(*predecessor.state.withdrawn.T))
    return trained


def known_after(
    fitted: Sequence[Interactions],
    held_out: Sequence[Interactions],
    ids: IdMaps,
    users: IntArray,
    continued: tuple[Predecessor, KnownLikes] | None,
) -> KnownLikes:
    """The likes that a new fit knows.

    Parameters
    ----------
    fitted : sequence of Interactions
        Parts that the fit was made to.
    held_out : sequence of Interactions
        Parts that are held out from it.
    ids : IdMaps
        Of all parts.
    users : int array
        Ids, increasing, with all those of `ids` among them; the order of `KnownLikes.latest`.
    continued : (Predecessor, KnownLikes) or None
        The training that is continued, and the likes that its fit knows.
    """
    pairs = np.concatenate([pairs_of(part, ids) for part in held_out])
    latest = np.full(len(users), NEVER)
    latest[positions(users, ids.user_ids)] = np.max([part.latest for part in fitted], axis=0)
    if continued is not None:
        predecessor, known = continued
        pairs = pairs[~was_trained_on(predecessor, pairs, known.held_out)]
        at = positions(predecessor.state.user_ids, users)
        latest[at >= 0] = np.maximum(latest[at >= 0], known.latest[at[at >= 0]])
    return KnownLikes(pairs, latest)


def only_removes(predecessor: Predecessor, positives: Interactions, ids: IdMaps) -> bool:
    """Whether no positive was added since the predecessor; some may have been removed."""
    had = predecessor.positives
    if len(positives) > had.nnz:
        return False
    rows, columns, _, _ = positives.triplets()
    users = predecessor.ids.users_at(ids.user_ids)[rows]
    movies = predecessor.ids.movies_at(ids.movie_ids)[columns]
    if (users < 0).any() or (movies < 0).any():
        return False
    return bool((np.asarray(had[users, movies]).ravel() != 0).all())


def withdrawn(predecessor: Predecessor, positives: Interactions, ids: IdMaps) -> IntArray:
    """User and movie ids of likes that the predecessor or a training before it had and that are gone, shape (n, 2)."""
    had = predecessor.positives
    before = np.repeat(np.arange(had.shape[0], dtype=np.int32), np.diff(had.indptr))
    users = ids.users_at(predecessor.ids.user_ids)[before]
    movies = ids.movies_at(predecessor.ids.movie_ids)[had.indices]
    known = (users >= 0) & (movies >= 0)
    # Ids increase with rows and columns in both, so known likes are in order already: merged, not sorted.
    ends = np.cumsum(np.bincount(users[known], minlength=ids.shape[0]))
    had_of_known = csr_matrix(
        (np.ones(int(known.sum())), movies[known], np.concatenate([[0], ends])), shape=positives.shape
    )
    lost_users, lost_movies = (had_of_known > positives.weighted()).nonzero()
    unknown = np.flatnonzero(~known)
    gone = np.concatenate(
        [
            predecessor.state.withdrawn,
            np.stack([ids.user_ids[lost_users], ids.movie_ids[lost_movies]], axis=1),
            np.stack(
                [predecessor.ids.user_ids[before[unknown]], predecessor.ids.movie_ids[had.indices[unknown]]], axis=1
            ),
        ]
    )
    return np.unique(gone, axis=0)


def pairs_of(part: Interactions, ids: IdMaps) -> IntArray:
    """User and movie ids of interactions, shape (n, 2)."""
    users, movies, _, _ = part.triplets()
    return np.stack([ids.user_ids[users], ids.movie_ids[movies]], axis=1)
