"""Which dataset ratings belong to, by their content.

A dataset stays the same when rows are appended or corrected, or when it is downloaded again. Two datasets that number
their movies alike stay different. Names, paths and hashes of files do not count.

Belongs here: a small sketch of the content of a dataset, and comparing two sketches. Does not: storing them
(`tables.known_datasets`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

SKETCH_SIZE = 65_536
"""Pairs in a sketch: enough that the sketches of a dataset and of one a thousand times as large overlap."""
SAME_TITLES = 0.5
"""Share of the common movie ids of two catalogues that must have the same title."""
SAME_PAIRS = 0.5
"""Share of the smaller dataset's pairs of user and movie that the other one must have. Of unrelated datasets with the
same ids, it is about the density of the ratings: a few percent, in small sets up to a quarter."""
FEWEST_PAIRS = 100
"""Pairs from which a share is estimated: its standard error is then at most 5 %."""
_COMPLETE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Catalogue:
    """Movies of a dataset.

    Attributes
    ----------
    movie_ids : int64 array, shape (n,)
        Ascending.
    titles : int64 array, shape (n,)
        Hash of each title.
    """

    movie_ids: IntArray
    titles: IntArray

    @classmethod
    def of(cls, movie_ids: npt.ArrayLike, titles: Sequence[str]) -> Self:
        """From ids and titles in any order; case and spaces of titles do not count."""
        ids = np.asarray(movie_ids, dtype=np.int64)
        hashes = np.array([_hash_of_title(title) for title in titles], dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], hashes[order])

    def agrees_with(self, other: Catalogue) -> bool:
        """Whether most ids of the smaller catalogue are in both, and most of these name the same movies."""
        common, ours, theirs = np.intersect1d(self.movie_ids, other.movie_ids, assume_unique=True, return_indices=True)
        if len(common) < SAME_TITLES * min(len(self.movie_ids), len(other.movie_ids)) or len(common) == 0:
            return False
        return float((self.titles[ours] == other.titles[theirs]).mean()) >= SAME_TITLES


class PairSketch:
    """The pairs of user and movie with the smallest hashes, a bottom-k sketch: the order of the pairs does not matter.

    Attributes
    ----------
    hashes : int64 array, shape (<= SKETCH_SIZE,)
        Ascending and distinct.

    References
    ----------
    Beyer et al. (2007), On synopses for distinct-value estimation under multiset operations.
    """

    def __init__(self, hashes: npt.ArrayLike = ()) -> None:
        self.hashes: IntArray = _distinct(np.asarray(hashes, dtype=np.int64))[:SKETCH_SIZE]

    def add(self, keys: IntArray) -> None:
        """Add pairs, as keys of `duplicates.pair_key`, shape (n,)."""
        hashes = _hash_of_pairs(keys)
        hashes = hashes[hashes <= self._covers_until]
        if len(hashes):
            self.hashes = _distinct(np.concatenate([self.hashes, hashes]))[:SKETCH_SIZE]

    @property
    def _covers_until(self) -> int:
        """Largest hash up to which the sketch has every pair."""
        return int(self.hashes[-1]) if len(self.hashes) == SKETCH_SIZE else _COMPLETE

    def share_of(self, keys: IntArray) -> float | None:
        """Estimated share of some pairs, keys of shape (n,), that this set has; None with too few to tell."""
        hashes = np.unique(_hash_of_pairs(keys))
        hashes = hashes[hashes <= self._covers_until]
        if len(hashes) < FEWEST_PAIRS or len(self.hashes) < FEWEST_PAIRS:
            return None
        return float(np.isin(hashes, self.hashes, assume_unique=True).mean())

    def share_of_smaller(self, other: PairSketch) -> float:
        """Estimated share of the smaller set of pairs that the other set has, in [0, 1]; 0 when one is empty."""
        until = min(self._covers_until, other._covers_until)
        ours = self.hashes[: np.searchsorted(self.hashes, until, side="right")]
        theirs = other.hashes[: np.searchsorted(other.hashes, until, side="right")]
        smaller = min(len(ours), len(theirs))
        return len(np.intersect1d(ours, theirs, assume_unique=True)) / smaller if smaller else 0.0


@dataclass(frozen=True)
class Contents:
    """The content by which a dataset is recognized."""

    catalogue: Catalogue
    pairs: PairSketch

    def similarity(self, other: Contents) -> float:
        """Share of the smaller dataset's pairs that the other one has; 0 where the catalogues do not agree."""
        return self.pairs.share_of_smaller(other.pairs) if self.catalogue.agrees_with(other.catalogue) else 0.0


def most_similar(contents: Contents, known: Sequence[Contents]) -> int | None:
    """Index of the known dataset with the same identity as these contents; None for a new dataset.

    Of several that are equally similar, the last one.
    """
    shares = [contents.similarity(each) for each in known]
    best = max(range(len(shares)), key=lambda at: (shares[at], at), default=None)
    return best if best is not None and shares[best] >= SAME_PAIRS else None


def _distinct(hashes: IntArray) -> IntArray:
    """Distinct hashes, ascending; `numpy.unique` hashes them first, and does not see that most are in order."""
    ordered = np.sort(hashes, kind="stable")
    first = np.ones(len(ordered), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def _hash_of_title(title: str) -> int:
    text = " ".join(title.casefold().split())
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _hash_of_pairs(keys: IntArray) -> IntArray:
    """SplitMix64 of keys, as non-negative numbers."""
    mixed = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)
