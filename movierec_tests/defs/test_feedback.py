"""The asset `served_feedback` in a run: figures and picture, and the end of old days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.day_partitions import days_of
from movierec_assets.tables.feedback import drop_old
from movierec_assets.tables.insights import read_insight
from movierec_assets.tables.recommendation_ids import new_id
from movierec_assets.tables.shown import ShownEvent, ShownList, make_days_of, write
from movierec_tests.defs.conftest import Ran
from movierec_tests.defs.harness import failures_of, metadata_of, run


@pytest.mark.slow
def test_a_run_sums_up_each_day_and_days_that_are_too_old_are_dropped_but_not_their_figures(ran: Ran) -> None:
    now, version = datetime.now(UTC), ran.platform.champion().number
    old = now - timedelta(days=get_settings().served_days + 1)
    lists = [
        ShownList(new_id(int(at.timestamp() * 1000)), user, None, version, "model", "start page", [1, 2, 3])
        for at in (now, old)
        for user in range(1, 13)
    ]
    events = [ShownEvent(each.recommendation_id, now, each.user_id, 2, 2, "click") for each in lists[:5]]
    with ran.database.transaction() as cursor:
        make_days_of(cursor, lists, events)
        write(cursor, lists, events)
    result = run("feedback")
    assert result.success, failures_of(result)
    found = metadata_of(result)["served_feedback"]
    assert (found["days"], found["dagster/row_count"]) == (2, 6)
    assert f"| model | {version} | 12 | 36 | 13.89% (" in " ".join(found["report"].split())
    assert found["clicks_by_position"].startswith("![plot](data:image/png;base64,")
    told = read_insight(ran.database, "feedback")
    assert told is not None
    (all_of_version,) = told.document["by_version"]
    assert (all_of_version["source"], all_of_version["version"]) == ("model", version)
    assert (all_of_version["shown"], all_of_version["clicked"]) == (36, 5)
    assert [(row["position"], row["clicked"]) for row in told.document["by_position"]] == [(1, 0), (2, 5), (3, 0)]
    second = told.document["by_position"][1]["click"]
    assert second["mean"] == pytest.approx(5 / 12)
    assert second["low"] < second["mean"] < second["high"]
    rows = ran.database.rows(
        f"""SELECT day, source, model_version, position, shown, users, clicked FROM {SCHEMA}.served_feedback
            ORDER BY day, position"""
    )
    assert rows == [
        *((old.date(), "model", version, position, 12, 12, 0) for position in (1, 2, 3)),
        *((now.date(), "model", version, position, 12, 12, 5 * (position == 2)) for position in (1, 2, 3)),
    ]

    def dropped() -> list[date]:
        return drop_old(ran.database, get_settings().served_days, 4.0, now, said.append)

    said: list[str] = []

    with ran.database.transaction() as cursor:  # a night on which the job failed
        cursor.execute(f"DELETE FROM {SCHEMA}.served_feedback WHERE day = %s", [old.date()])
    assert dropped() == [old.date()]
    assert dropped() == []
    assert days_of(ran.database) == [now.date()]
    figures = ran.database.rows(f"SELECT day, sum(shown) FROM {SCHEMA}.served_feedback GROUP BY day ORDER BY day")
    assert figures == [(old.date(), 36), (now.date(), 36)]
    assert metadata_of(run("feedback"))["served_feedback"]["days"] == 1
