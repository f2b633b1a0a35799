"""The months of `movierec run --job backtest`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from movierec_assets.cli.root import cli
from movierec_assets.host import CommandError, months
from movierec_assets.recsys.backtest import Month
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.defs.harness import RATING_COLUMNS, count_users, load_films

MAY = Month(2003, 5)


def rate(database: Database, times: list[int], stars: float = 5.0) -> None:
    """One user who rates films at these times."""
    load_films(database, range(1, len(times) + 1))
    with database.replace("ratings") as table:
        columns: dict[str, npt.NDArray[Any]] = {
            "user_id": np.ones(len(times), np.int32),
            "movie_id": np.arange(1, len(times) + 1, dtype=np.int32),
            "rating": np.full(len(times), stars, np.float32),
            "rated_at": np.array(times, dtype=np.int64),
        }
        table.write(columns, RATING_COLUMNS)
        count_users(table)
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")


@pytest.mark.parametrize(
    ("text", "last"), [("2003-05", MAY), ("2003-05:2003-05", MAY), ("2003-05:2004-01", Month(2004, 1))]
)
def test_months_are_a_range_or_one_month(text: str, last: Month) -> None:
    assert months.parsed(text) == (MAY, last)


def test_by_default_all_months_with_earlier_likes_are_backtested(database: Database) -> None:
    rate(database, [MAY.start + number for number in range(5)] + [MAY.later(9).end - 1])
    assert months.all_months(database, 4.0) == (MAY.later(1), MAY.later(9))


def test_likes_of_the_current_month_wait_until_it_is_over(database: Database) -> None:
    now = Month.last_complete().later(1)
    rate(database, [MAY.start + number for number in range(5)] + [now.start])
    assert months.all_months(database, 4.0) == (MAY.later(1), Month.last_complete())


def test_likes_of_a_single_month_or_none_leave_nothing_to_backtest(database: Database) -> None:
    rate(database, [MAY.start + number for number in range(6)])
    with pytest.raises(CommandError, match="all likes are from 2003-05 to 2003-05"):
        months.all_months(database, 4.0)
    rate(database, [MAY.start + number for number in range(6)], stars=3.0)
    with pytest.raises(CommandError, match="no eligible user has a rating of at least 4 stars"):
        months.all_months(database, 4.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2003-05:2003-04", "2003-05 is after 2003-04"),
        ("1994-12:2003-05", "from 1995-01 to"),
        (f"2003-05:{Month.last_complete().later(1)}", "the last complete month"),
    ],
)
def test_months_that_are_no_partitions_are_refused(text: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        months.parsed(text)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--job", "backtest", "--months", "May"], "expected one as in 2003-05"),
        (["--job", "backtest", "--months", "2003-05:"], "'' is no month"),
        (["--job", "backtest", "--months", "2003-05:2003-04"], "2003-05 is after 2003-04"),
        (["--job", "train", "--months", "2003-05"], "--months is for the job backtest; train makes no months."),
        (["--job", "backtest", "--retrain"], "backtest trains nothing"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_starts(arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(cli, ["run", *arguments])
    assert result.exit_code == 2
    assert reason in " ".join(result.output.replace("│", " ").split())
