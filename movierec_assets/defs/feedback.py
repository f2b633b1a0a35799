"""What people did with the lists that the API answered, day by day.

Belongs here: the asset `served_feedback`. Does not: the log that it reads (`tables.shown`), counting and intervals
(`tables.feedback`, `recsys.feedback`).

A table by day rather than partitions of the asset: each run makes the figures of all days again that may still change,
so clicks and likes that come later are counted, and a night without a run is made up for.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from movierec_assets.defs.insights_of_model import feedback_document
from movierec_assets.defs.presentation import (
    FEEDBACK,
    MODEL_TEAM,
    peak_memory,
    rows,
    schema,
    share_by_position,
    table,
)
from movierec_assets.defs.promotion import champion_model
from movierec_assets.defs.run_limits import POOL
from movierec_assets.recsys.comparison import Interval
from movierec_assets.resources.configurable import PostgresResource
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.feedback import TABLE, WEEK, Feedback, days_to_sum, feedback, replace_day
from movierec_assets.tables.insights import write_insight

WEEKS_SHOWN = 4


@asset(
    group_name=FEEDBACK,
    pool=POOL,
    deps=[champion_model],
    kinds={"postgres"},
    owners=[MODEL_TEAM],
    code_version="1",
    metadata={
        "table": f"{SCHEMA}.{TABLE}",
        **schema(
            day=("date", "Of the list, in UTC; primary key with source, model_version and position"),
            source=("text", "model, stored or popular"),
            model_version=("integer", "Version of movierec-als that made the list; 0 where none did"),
            position=("smallint", "Of the movie in the list, from 1"),
            shown=("bigint", "Lists with a movie at this position"),
            users=("bigint", "People who got them; each list without a user counts as one"),
            impressions=("bigint", "Of those movies, reported as seen on the screen"),
            clicked=("bigint", "Clicked within a week"),
            dismissed=("bigint", "Dismissed within a week"),
            liked=("bigint", "Rated by the user as a like within a week after the list"),
            click_low=("double precision", "95 % interval of clicked / shown, over people; null for fewer than 10"),
            click_high=("double precision", "Its upper end"),
            dismiss_low=("double precision", "The same for dismissed"),
            dismiss_high=("double precision", "Its upper end"),
            like_low=("double precision", "The same for liked"),
            like_high=("double precision", "Its upper end"),
            made_at=("timestamptz", "When the row was made"),
        ),
    },
)
def served_feedback(context: AssetExecutionContext, postgres: PostgresResource) -> MaterializeResult[None]:
    """How often movies in lists of the API were shown, clicked, dismissed and liked, by day, source, version, position.

    What happens within a week after a list counts for the day of the list, so the figures of the last eight days still
    change. The job `maintenance` drops days of the log that are older than MOVIEREC_SERVED_DAYS; their figures stay.
    """
    database, settings, now = postgres.open(), get_settings(), datetime.now(UTC)
    days, written = days_to_sum(database, now), 0
    for day in days:
        figures = feedback(database, day, day, settings.positive_threshold)
        replace_day(database, day, figures)
        written += len(figures)
        context.log.info(f"{day}: {sum(row.shown for row in figures):,} movies shown")
    first = now.date() - WEEKS_SHOWN * WEEK
    by_version, by_position = (
        feedback(
            database,
            first,
            now.date(),
            settings.positive_threshold,
            by_version=each == "version",
            by_position=each == "position",
        )
        for each in ("version", "position")
    )
    write_insight(database, "feedback", feedback_document(by_version, by_position, first, now.date()))
    return MaterializeResult(
        metadata={
            **rows(written),
            **peak_memory(),
            "days": MetadataValue.int(len(days)),
            "period": MetadataValue.text(f"{first} to {now:%Y-%m-%d}, UTC"),
            "report": _report(by_version),
            "clicks_by_position": _picture(by_position, first, now.date()),
        }
    )


def _report(figures: Sequence[Feedback]) -> MetadataValue[str]:
    """Shares of each source and version over all positions."""
    return table(
        ["source", "version", "users", "movies shown", "clicked", "dismissed", "liked within a week"],
        [
            [
                *(row.source, row.model_version or None, row.users, row.shown),
                *(
                    _share(count, row.shown, interval)
                    for count, interval in (
                        (row.clicked, row.click),
                        (row.dismissed, row.dismiss),
                        (row.liked, row.like),
                    )
                ),
            ]
            for row in figures
        ],
    )


def _share(count: int, shown: int, interval: Interval | None) -> str:
    ends = "too few users" if interval is None else f"{interval.low:.2%} to {interval.high:.2%}"
    return f"{count / shown:.2%} ({ends})"


def _picture(figures: Sequence[Feedback], first: date, last: date) -> MetadataValue[str]:
    """Share of clicks at each position, for each source."""
    of_source: dict[str, list[tuple[int, Interval]]] = {}
    for row in figures:
        if row.click is not None:
            of_source.setdefault(row.source, []).append((row.position, row.click))
    return share_by_position(of_source, f"Clicked share of movies shown, {first} to {last}")
