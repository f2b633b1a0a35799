"""What people did with movies that were shown to them: shares of what was shown, with intervals over people.

Belongs here: the uncertainty of the shares. Does not: counting (`sql/feedback.sql`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from movierec_assets.recsys.comparison import Interval, mean_intervals
from movierec_assets.recsys.interactions import IntArray

MIN_PEOPLE = 10
"""Smallest number of people for an interval."""
_CONFIDENCE = 0.95


def share_intervals(shown: IntArray, happened: Sequence[IntArray], people: IntArray) -> list[Interval | None]:
    """Shares of what was shown that something happened to, with 95 % intervals over people.

    All that one person was shown is drawn together, because people differ in how much they click. Where something
    happened never, or always, no draw tells how sure that is: the end of the interval is then that of as many people
    who each were shown one movie.

    Parameters
    ----------
    shown : int array, shape (n,)
        Movies that a person was shown, for each combination of counts.
    happened : sequence of int array, each of shape (n,)
        How many of these were clicked, for instance.
    people : int array, shape (n,)
        People with these counts.

    Returns
    -------
    list of Interval or None
        One for each of `happened`, within 0 and 1; None for fewer than `MIN_PEOPLE` people.

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the binomial.
    """
    n_people = int(people.sum())
    if n_people < MIN_PEOPLE:
        return [None] * len(happened)
    of_person = np.repeat(shown, people)
    person = np.repeat(np.arange(n_people), of_person)
    number = np.arange(len(person)) - np.repeat(np.cumsum(of_person) - of_person, of_person)
    columns = np.stack([number < np.repeat(each, people)[person] for each in happened], axis=1).astype(np.float64)
    found = mean_intervals(columns, confidence=_CONFIDENCE, groups=person)
    tail = ((1 - _CONFIDENCE) / 2) ** (1 / n_people)
    return [
        Interval(0.0, 0.0, 1 - tail)
        if each.mean == 0
        else Interval(1.0, tail, 1.0)
        if each.mean == 1
        else Interval(each.mean, max(0.0, each.low), min(1.0, each.high))  # differences from the mean are rounded
        for each in found
    ]
