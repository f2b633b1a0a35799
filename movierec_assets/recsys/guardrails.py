"""What must hold of a challenger's lists whatever its score is.

Belongs here: figures of lists that no ranking metric sees. What happens when one is out of bounds is decided where the
challenger is.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.ranking import TopK


def full_lists(lists: TopK, histories: Interactions) -> float:
    """Share of the users whose list is as long as it can be.

    Parameters
    ----------
    lists : TopK, shape (n_users, k)
    histories : Interactions, shape (n_users, n_movies)
        What may not be listed.

    Returns
    -------
    float
        In [0, 1]. A list can be no longer than the movies outside the history; NaN without users.
    """
    n_users, k = lists.items.shape
    if n_users == 0:
        return float("nan")
    possible = np.minimum(k, histories.shape[1] - histories.per_user)
    return float(((lists.items >= 0).sum(axis=1) >= possible).mean())


def seen_items(lists: TopK, histories: Interactions) -> int:
    """Number of places in lists that are taken by something of the user's history.

    Parameters
    ----------
    lists : TopK, shape (n_users, k)
    histories : Interactions, shape (n_users, n_movies)
    """
    users, places = np.nonzero(lists.items >= 0)
    listed = csr_matrix((np.ones(len(users)), (users, lists.items[users, places])), shape=histories.shape)
    return int(listed.multiply(histories.weighted()).sum())
