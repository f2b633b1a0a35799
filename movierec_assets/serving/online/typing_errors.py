"""How many typing errors lie between a query and many texts at once.

Belongs here: the distance. Does not: which texts are compared (`title_index`).

References
----------
Damerau (1964), A technique for computer detection and correction of spelling errors.
Sellers (1980), The theory and computation of evolutionary distances: pattern recognition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from movierec_assets.recsys.interactions import FloatArray, IntArray

MAX_LETTERS = 60
"""Letters of a text that are compared."""

_KINDS = 32
"""Letters are counted in so many kinds; a kind of several letters leaves a text possible that is not."""
_UNIT = np.int16(20)
"""One error; distances are counted in small integers."""
LATER_START, WORDS_LEFT, WITHIN_WORD, OTHER_ORDER = 0.5, 0.25, 0.6, 0.5
"""Errors that are added when a query begins at a later word, ends before the last word, ends within a word, or has its
words in another order."""
_FAR = np.int16(10_000)
_FAR_OF_UNIT = np.int16(_FAR // _UNIT)

Small = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Texts:
    """Texts of words with one space between them.

    Attributes
    ----------
    letters : uint32 array, shape (n, MAX_LETTERS)
        Padded with 0.
    lengths : int64 array, shape (n,)
    counts : int8 array, shape (n, _KINDS)
        Letters of each kind; letters whose numbers are alike modulo `_KINDS` are of one kind.
    """

    letters: npt.NDArray[np.uint32]
    lengths: IntArray
    counts: npt.NDArray[np.int8]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Texts, cut to `MAX_LETTERS`."""
        padded = "".join(text[:MAX_LETTERS].ljust(MAX_LETTERS, "\0") for text in texts)
        letters = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        lengths = np.array([min(len(text), MAX_LETTERS) for text in texts], dtype=np.int64)
        kinds = np.repeat(np.arange(len(texts)) * _KINDS, MAX_LETTERS) + letters % _KINDS
        counts = np.bincount(kinds[letters != 0], minlength=len(texts) * _KINDS)
        return cls(
            letters.reshape(len(texts), MAX_LETTERS), lengths, counts.reshape(len(texts), _KINDS).astype(np.int8)
        )

    def errors(self, query: str, chosen: IntArray, most: float = MAX_LETTERS) -> FloatArray:
        """Errors between a query and each chosen text: letters left out, added, replaced, or swapped with the next.

        Parameters
        ----------
        query : str
            Words with one space between them.
        chosen : int array, shape (m,)
        most : float
            Texts with more errors may be given a higher number than theirs, or infinity; it takes less time.

        Returns
        -------
        float array, shape (m,)
            0 where they are equal. A query that is a part of the text has less than one error.
        """
        query = query[:MAX_LETTERS]
        possible = self._missing(query, chosen) <= most
        found = np.full(len(chosen), np.inf, np.float32)
        if possible.any():
            found[possible] = self._least(query, chosen[possible], most)
        return found

    def _missing(self, query: str, chosen: IntArray) -> IntArray:
        """Letters of each word that a text has not, or not so often, shape (m,): each is an error at least."""
        counts = self.counts[chosen]
        missing = np.zeros(len(chosen), np.int64)
        for word in query.split():
            letters = np.frombuffer(word.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
            wanted = np.bincount(letters % _KINDS, minlength=_KINDS).astype(np.int8)
            kinds = np.flatnonzero(wanted)
            missing += np.maximum(wanted[kinds] - counts[:, kinds], 0).sum(axis=1)
        return missing

    def _least(self, query: str, chosen: IntArray, most: float) -> FloatArray:
        lengths = self.lengths[chosen]
        compared = _Compared(self.letters[chosen, : int(lengths.max())].T, lengths, math.ceil(most))
        least = compared.least(query)
        words = query.split()
        if len(words) > 1:
            apart = np.sum([compared.least(word, in_order=False) for word in words], axis=0)
            left = np.where(lengths > len(query) + 1, WORDS_LEFT, 0.0)
            least = np.minimum(least, apart + left + OTHER_ORDER)
        return least.astype(np.float32)


class _Compared:
    """Texts of one comparison, a column each.

    Parameters
    ----------
    letters : uint32 array, shape (width, m)
    lengths : int array, shape (m,)
    longest_gap : int
        Letters of a text in a row that the query may leave out.
    """

    def __init__(self, letters: npt.NDArray[np.uint32], lengths: IntArray, longest_gap: int) -> None:
        self._longest_gap = longest_gap
        self._letters = np.ascontiguousarray(letters)
        self._lengths = lengths
        self._place = np.arange(len(letters) + 1, dtype=np.int16)[:, None]
        self._saved: dict[str, Small] = {}

    def least(self, query: str, *, in_order: bool = True) -> FloatArray:
        """Fewest errors of a query in each text, beginning at a word and ending anywhere.

        In order, a query costs more that does not begin and end with the text.
        """
        start, end = self._in_order if in_order else self._anywhere
        # Row i has the errors of the first i letters of the query up to each place of the text, less the place: then
        # letters that only the text has cost nothing more, and a running minimum covers them.
        row = _running_minimum(start - self._place * _UNIT, self._longest_gap)
        earlier, saved_before = row, None
        for letter in query:
            following = row + _UNIT
            saved = self._saved_by(letter)
            np.minimum(following[1:], row[:-1] - saved, out=following[1:])
            if saved_before is not None:
                swapped = np.minimum(saved[:-1], saved_before[1:])
                np.minimum(following[2:], earlier[:-2] + (_FAR - _UNIT) - swapped * _FAR_OF_UNIT, out=following[2:])
            earlier, row, saved_before = row, _running_minimum(following, self._longest_gap), saved
        least: FloatArray = (row + self._place * _UNIT + end).min(axis=0) / np.float32(_UNIT)
        return least

    def _saved_by(self, letter: str) -> Small:
        """What is saved where a letter of the query is that of the text."""
        if letter not in self._saved:
            self._saved[letter] = self._places_of(letter) * _UNIT
        return self._saved[letter]

    def _places_of(self, letter: str) -> npt.NDArray[np.bool_]:
        places: npt.NDArray[np.bool_] = self._letters == ord(letter)
        return places

    @cached_property
    def _word_starts(self) -> npt.NDArray[np.bool_]:
        starts: npt.NDArray[np.bool_] = np.pad(self._places_of(" "), ((1, 0), (0, 0))) | (self._place == 0)
        return starts

    @cached_property
    def _word_ends(self) -> npt.NDArray[np.bool_]:
        ends: npt.NDArray[np.bool_] = np.pad(self._places_of(" "), ((0, 1), (0, 0))) | (self._place == self._lengths)
        return ends

    @cached_property
    def _in_order(self) -> tuple[Small, Small]:
        """Costs of beginning and of ending before each letter."""
        start, end = self._anywhere
        start = start + np.where(self._place == 0, 0, _scaled(LATER_START))
        end = end + np.where(self._word_ends & (self._place < self._lengths), _scaled(WORDS_LEFT), 0)
        return start.astype(np.int16), end.astype(np.int16)

    @cached_property
    def _anywhere(self) -> tuple[Small, Small]:
        """The same where every word may be the first or the last."""
        start = np.where(self._word_starts, 0, _FAR)
        end = np.where(self._word_ends, 0, np.where(self._place <= self._lengths, _scaled(WITHIN_WORD), _FAR))
        return start.astype(np.int16), end.astype(np.int16)


def _running_minimum(rows: Small, reach: int) -> Small:
    """The least of each row and of `reach` rows before it at least, perhaps of more.

    Faster than `np.minimum.accumulate` where rows are long.
    """
    step = 1
    while step <= reach and step < len(rows):
        wider = np.empty_like(rows)
        wider[:step] = rows[:step]
        np.minimum(rows[step:], rows[:-step], out=wider[step:])
        rows, step = wider, 2 * step
    return rows


def _scaled(errors: float) -> int:
    return round(errors * int(_UNIT))
