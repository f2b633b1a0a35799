"""Why few users can be scored: equal times are not too few ratings."""

from __future__ import annotations

import re

import numpy as np
import pytest

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.experiment import run
from movierec_assets.recsys.few_users import nobody_returns, why_few
from movierec_assets.recsys.search import Budget, SearchObjective
from movierec_assets.recsys.split import ProtocolName, as_matrix, leave_latest_out

USERS, LIKES = np.repeat(np.arange(1, 13), 6), np.tile(np.arange(1, 7), 12)


def _split(rated_at: np.ndarray) -> RatingColumns:
    return RatingColumns.cast(USERS, LIKES, np.full(len(USERS), 4.0), rated_at)


def test_equal_times_are_named_as_the_reason_and_more_ratings_not_as_the_remedy() -> None:
    split, _ = leave_latest_out(_split(np.full(len(USERS), 10**9)))
    found = why_few(split.before("test"), split.test)
    assert found.startswith(
        "12 of 12 users have 5 likes or more. 12 of them have fewer than 4 likes before their latest"
    )
    assert "12 have all their likes at one time" in found
    assert "with the time at which each was made" in found
    assert "more ratings" not in found


def test_likes_of_which_many_are_of_the_latest_time_are_counted_apart() -> None:
    split, _ = leave_latest_out(_split(np.where(LIKES <= 3, 10**9 + LIKES, 10**9 + 50)))
    assert "12 of them have fewer" in why_few(split.before("test"), split.test)
    assert "; 0 have all their likes at one time" in why_few(split.before("test"), split.test)


def test_few_likes_ask_for_more() -> None:
    few = LIKES <= 4
    split, _ = leave_latest_out(_split(10**9 + LIKES).chosen(few))
    found = why_few(split.before("test"), split.test)
    assert found == "0 of 12 users have 5 likes or more. Load more ratings, or lower MOVIEREC_POSITIVE_THRESHOLD."


SIGNAL = r"The next-movie signal is off: of the likes to learn from, no user has any at two different times"


@pytest.mark.parametrize("per_user", [False, True])
@pytest.mark.parametrize("protocol", ["leave-latest-out", "time-split"])
def test_equal_times_are_said_to_switch_the_signal_off_under_every_protocol_that_needs_times(
    protocol: ProtocolName, per_user: bool
) -> None:
    times = np.full(len(USERS), 10**9) + (USERS if per_user else 0)
    with pytest.raises(RecsysError, match=SIGNAL) as raised:
        run(_split(times), fit=als.engine(), protocol=protocol)
    assert str(raised.value).count("Load ratings with the time at which each was made") == 1


@pytest.mark.parametrize("chosen", [LIKES <= 6, LIKES <= 4])
def test_the_signal_is_named_only_where_the_likes_to_learn_from_have_no_order(chosen: np.ndarray) -> None:
    for times, off in ((np.full(len(USERS), 10**9), True), (10**9 + LIKES, False)):
        split, _ = leave_latest_out(_split(times).chosen(chosen))
        assert bool(re.search(SIGNAL, why_few(split.before("test"), split.test))) is off
    few = as_matrix(_split(10**9 + LIKES).chosen(LIKES <= 3))[0]
    assert not re.search(SIGNAL, str(nobody_returns(few)))


def test_an_experiment_and_a_search_on_equal_times_say_so() -> None:
    columns = _split(np.full(len(USERS), 10**9))
    with pytest.raises(RecsysError, match=r"No user can be scored.*nothing is earlier than anything"):
        run(columns, fit=als.engine())
    with pytest.raises(RecsysError, match=r"No user can be scored.*nothing is earlier than anything"):
        run(columns, fit=als.engine(), budget=Budget(1, 1.0))
    equal = leave_latest_out(columns)[0]
    with pytest.raises(RecsysError, match=r"nothing to choose a recipe on.*No user has likes at two different times"):
        SearchObjective.latest(equal.train, equal.validation)
    late = leave_latest_out(_split(np.where(LIKES == 6, 10**9 + 90, 10**9 + 50)))[0]
    with pytest.raises(RecsysError, match=r"12 of 12 users have 5 likes or more\. 12 of them"):
        SearchObjective.latest(late.train, late.validation)
