"""The rating that counts among several of one pair of user and movie.

Belongs here: the rule. Does not: where the ratings come from (`rating_scan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Superseded:
    """Ratings that another rating of the same pair replaces.

    Attributes
    ----------
    position : int64 array, shape (n,)
        Positions in the columns that were searched, ascending.
    line, winner : int64 array, shape (n,)
        Line of each, and of the rating that counts instead.
    """

    position: IntArray
    line: IntArray
    winner: IntArray

    def __len__(self) -> int:
        return len(self.position)

    def chosen(self, rows: npt.NDArray[np.bool_]) -> Superseded:
        """Some of the rows."""
        return Superseded(self.position[rows], self.line[rows], self.winner[rows])

    @classmethod
    def none(cls) -> Superseded:
        """No row."""
        empty = np.empty(0, np.int64)
        return cls(empty, empty, empty)


def rising(blocks: list[IntArray]) -> bool:
    """Whether every key is larger than the one before, across blocks too: in a sorted file no pair occurs twice."""
    filled = [keys for keys in blocks if len(keys)]
    within = all(bool((keys[1:] > keys[:-1]).all()) for keys in filled)
    return within and all(after[0] > before[-1] for before, after in pairwise(filled))


def find_superseded(key: IntArray, rated_at: IntArray, line: npt.NDArray[np.int32]) -> Superseded:
    """Find all but one rating of each pair: the later time wins, and the later line where times are equal.

    Parameters
    ----------
    key : int64 array, shape (n,)
        Made by `ratings.pair_key`.
    rated_at : int64 array, shape (n,)
    line : int array, shape (n,)
    """
    if len(key) < 2 or bool((key[1:] > key[:-1]).all()):
        return Superseded.none()
    ordered = np.sort(key)
    if not bool((ordered[1:] == ordered[:-1]).any()):
        return Superseded.none()
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
    superseded, winners = candidates[~last], winners[~last]
    order = np.argsort(superseded)
    superseded, winners = superseded[order], winners[order]
    return Superseded(superseded, line[superseded].astype(np.int64), line[winners].astype(np.int64))
