"""Which of several ratings of one pair of user and movie counts.

Belongs here: the rule, over columns. Does not: where the rows come from (`rating_scan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Losers:
    """Rows that another row of the same pair outdoes.

    Attributes
    ----------
    position : int64 array, shape (n,)
        Places in the columns that were asked about, ascending.
    line, winner : int64 array, shape (n,)
        Line of each, and of the row that counts in its stead.
    """

    position: IntArray
    line: IntArray
    winner: IntArray

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def none(cls) -> Losers:
        """No row."""
        empty = np.empty(0, np.int64)
        return cls(empty, empty, empty)


def pair_key(user: npt.NDArray[np.int32], movie: npt.NDArray[np.int32]) -> IntArray:
    """One number for each pair, ordered as the pairs are."""
    key = user.astype(np.int64)
    key <<= 32
    key |= movie
    return key


def rising(keys: list[IntArray]) -> bool:
    """Whether every key is above the one before, from part to part too: in a sorted file no pair comes twice."""
    parts = [part for part in keys if len(part)]
    within = all(bool((part[1:] > part[:-1]).all()) for part in parts)
    return within and all(after[0] > before[-1] for before, after in pairwise(parts))


def find_losers(key: IntArray, rated_at: IntArray, line: npt.NDArray[np.int32]) -> Losers:
    """Find all but one row of each pair: the later timestamp wins, and the later line where timestamps are equal.

    Parameters
    ----------
    key : int64 array, shape (n,)
        As from `pair_key`.
    rated_at : int64 array, shape (n,)
    line : int array, shape (n,)
    """
    if len(key) < 2 or bool((key[1:] > key[:-1]).all()):
        return Losers.none()
    ordered = np.sort(key)
    if not bool((ordered[1:] == ordered[:-1]).any()):
        return Losers.none()
    del ordered
    order = np.argsort(key, kind="stable")
    in_order = key[order]
    same = in_order[1:] == in_order[:-1]
    del in_order
    shared = np.append(same, False) | np.append(False, same)
    candidates = order[shared]
    group = np.cumsum(np.append(True, ~same)[shared]) - 1
    del order, same, shared
    order = np.lexsort((line[candidates], rated_at[candidates], group))
    group, candidates = group[order], candidates[order]
    last = np.append(group[1:] != group[:-1], True)
    winners = candidates[last][group]
    losers, winners = candidates[~last], winners[~last]
    order = np.argsort(losers)
    losers, winners = losers[order], winners[order]
    return Losers(losers, line[losers].astype(np.int64), line[winners].astype(np.int64))
