"""Which dataset ratings belong to, told from what is in them.

Belongs here: a small sample of what a dataset holds, and the comparison of two samples. Names, paths and hashes of
files do not count. A dataset stays the same when it is appended, corrected or downloaded again; another dataset stays
another when it numbers its movies alike. Samples are kept by `tables.known_datasets`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

SAMPLE_SIZE = 65_536
"""Pairs in a sample: enough for a dataset and one that is a thousand times as large to share some."""
SAME_TITLES = 0.5
"""Least share of the movie ids that two catalogues share which must have the same title."""
SAME_PAIRS = 0.5
"""Least share of the smaller dataset's pairs of user and movie that the other must have. By chance, with the same
users' and movies' numbers, it is about the density of the ratings: a few percent, up to a quarter of small sets."""
_COMPLETE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Catalogue:
    """Movies of a dataset.

    Attributes
    ----------
    movie_ids : int64 array, shape (n,)
        Ascending.
    titles : int64 array, shape (n,)
        A hash of each title.
    """

    movie_ids: IntArray
    titles: IntArray

    @classmethod
    def of(cls, movie_ids: npt.ArrayLike, titles: Sequence[str]) -> Self:
        """From ids and titles in any order; case and spaces of a title do not count."""
        ids = np.asarray(movie_ids, dtype=np.int64)
        hashes = np.array([_hash_of_title(title) for title in titles], dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], hashes[order])

    def agrees_with(self, other: Catalogue) -> bool:
        """Whether the ids that both have mostly name the same movies.

        Catalogues that share no id, or hardly any of the smaller one's, do not agree.
        """
        common, ours, theirs = np.intersect1d(self.movie_ids, other.movie_ids, assume_unique=True, return_indices=True)
        if len(common) < SAME_TITLES * min(len(self.movie_ids), len(other.movie_ids)) or len(common) == 0:
            return False
        return float((self.titles[ours] == other.titles[theirs]).mean()) >= SAME_TITLES


class PairSketch:
    """The pairs of user and movie with the smallest hashes: the same ones whatever the order and size of the whole.

    Attributes
    ----------
    hashes : int64 array, shape (<= SAMPLE_SIZE,)
        Ascending, none twice.

    References
    ----------
    Beyer et al. (2007), On synopses for distinct-value estimation under multiset operations.
    """

    def __init__(self, hashes: npt.ArrayLike = ()) -> None:
        self.hashes: IntArray = np.unique(np.asarray(hashes, dtype=np.int64))[:SAMPLE_SIZE]

    def add(self, keys: IntArray) -> None:
        """Take in pairs, as keys of `duplicates.pair_key`, shape (n,)."""
        hashes = _hash_of_pairs(keys)
        hashes = hashes[hashes <= self._covers_until]
        if len(hashes):
            self.hashes = np.unique(np.concatenate([self.hashes, hashes]))[:SAMPLE_SIZE]

    @property
    def _covers_until(self) -> int:
        """Largest hash up to which no pair is missing."""
        return int(self.hashes[-1]) if len(self.hashes) == SAMPLE_SIZE else _COMPLETE

    def share_of_smaller(self, other: PairSketch) -> float:
        """Estimate which share of the smaller set of pairs the other set has, in [0, 1]; 0 when one is empty."""
        until = min(self._covers_until, other._covers_until)
        ours = self.hashes[: np.searchsorted(self.hashes, until, side="right")]
        theirs = other.hashes[: np.searchsorted(other.hashes, until, side="right")]
        smaller = min(len(ours), len(theirs))
        return len(np.intersect1d(ours, theirs, assume_unique=True)) / smaller if smaller else 0.0


@dataclass(frozen=True)
class Contents:
    """What tells a dataset from others."""

    catalogue: Catalogue
    pairs: PairSketch

    def likeness(self, other: Contents) -> float:
        """Share of the smaller dataset's pairs that the other has; 0 where the catalogues do not agree."""
        return self.pairs.share_of_smaller(other.pairs) if self.catalogue.agrees_with(other.catalogue) else 0.0


def most_alike(contents: Contents, known: Sequence[Contents]) -> int | None:
    """Index of the known dataset that these contents are a state of; None when they are another dataset.

    Of several that are equally alike, the last one.
    """
    shares = [contents.likeness(each) for each in known]
    best = max(range(len(shares)), key=lambda at: (shares[at], at), default=None)
    return best if best is not None and shares[best] >= SAME_PAIRS else None


def _hash_of_title(title: str) -> int:
    text = " ".join(title.casefold().split())
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _hash_of_pairs(keys: IntArray) -> IntArray:
    """SplitMix64 of keys, as non-negative numbers."""
    mixed = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)
