"""Typing errors between a query and titles, against a plain implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from movierec_assets.serving.online.typing_errors import (
    LATER_START,
    MAX_LETTERS,
    OTHER_ORDER,
    WITHIN_WORD,
    WORDS_LEFT,
    Texts,
)

words = st.text("abé千", min_size=1, max_size=5)
texts = st.lists(words, min_size=1, max_size=4).map(" ".join)


def plain(query: str, text: str) -> dict[int, int]:
    """Fewest errors between a query and each beginning of a text, by its length."""
    table = [[0] * (len(text) + 1) for _ in range(len(query) + 1)]
    for i in range(len(query) + 1):
        for j in range(len(text) + 1):
            if i == 0 or j == 0:
                table[i][j] = i + j
                continue
            same = query[i - 1] == text[j - 1]
            best = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (not same))
            if i > 1 and j > 1 and query[i - 1] == text[j - 2] and query[i - 2] == text[j - 1]:
                best = min(best, table[i - 2][j - 2] + 1)
            table[i][j] = best
    return {place: table[len(query)][place] for place in range(len(text) + 1)}


def least(query: str, text: str, *, in_order: bool) -> float:
    """Fewest errors from a beginning of a word to any place, with what is added for where they are."""
    starts = [0] + [place + 1 for place, letter in enumerate(text) if letter == " "]
    found = []
    for start in starts:
        for length, errors in plain(query, text[start:]).items():
            end = start + length
            at_end, at_word = end == len(text), end < len(text) and text[end] == " "
            left = 0.0 if at_end else (WORDS_LEFT if in_order else 0.0) if at_word else WITHIN_WORD
            later = LATER_START if in_order and start else 0.0
            found.append(errors + left + later)
    return min(found)


def expected(query: str, text: str) -> float:
    errors = least(query, text, in_order=True)
    if " " in query:
        apart = sum(least(word, text, in_order=False) for word in query.split())
        longer = WORDS_LEFT if len(text) > len(query) + 1 else 0.0
        errors = min(errors, apart + longer + OTHER_ORDER)
    return errors


@example("ab ab", ["b ab"], 1.0)  # two words of the query may be found in one of the text
@given(texts, st.lists(texts, min_size=1, max_size=6), st.floats(0.0, 10.0))
def test_errors_are_those_of_the_plain_implementation(query: str, titles: list[str], most: float) -> None:
    index, everything = Texts.of(titles), np.arange(len(titles))
    wanted = np.array([expected(query, title) for title in titles])
    assert index.errors(query, everything).tolist() == pytest.approx(wanted.tolist(), abs=1e-4)
    limited = index.errors(query, everything, most)
    assert limited[wanted <= most].tolist() == pytest.approx(wanted[wanted <= most].tolist(), abs=1e-4)
    assert (limited >= wanted - 1e-4).all()


def test_only_chosen_texts_are_compared_in_their_order() -> None:
    index = Texts.of(["heat", "alien", "toy story"])
    assert index.errors("alien", np.array([2, 1])).tolist()[1] == 0
    assert index.errors("alien", np.array([], np.int64)).tolist() == []


def test_long_texts_are_compared_by_their_beginning() -> None:
    long = "word " * 40
    assert Texts.of([long.strip()]).errors(long.strip(), np.array([0])).tolist() == pytest.approx([0])
    assert Texts.of([long.strip()]).letters.shape == (1, MAX_LETTERS)
