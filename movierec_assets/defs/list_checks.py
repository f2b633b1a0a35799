"""Conditions on the tables of recommendations, after they were written.

Belongs here: asset checks of what is served. None is blocking, because the tables are written already. Does not: checks
before training and promotion (`checks`), that of `trending_movies` (`charts`).

Dagster concept: asset checks, https://docs.dagster.io/guides/test/asset-checks
"""

from collections.abc import Mapping

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, MetadataValue, asset_check

from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.recommendations import PER_USER
from movierec_assets.models.version import CHAMPION
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SOURCES, record
from movierec_assets.sql import read_sql
from movierec_assets.tables.served import served_versions


def _watermark(context: AssetCheckExecutionContext) -> int:
    """Highest `rating_id` from before the lists of `user_recommendations` were made."""
    return record(context.instance, "user_recommendations").get(SOURCES, {}).get("app_ratings") or 0


@asset_check(asset="user_recommendations")
def recommendations_are_sound(context: AssetCheckExecutionContext, postgres: PostgresResource) -> AssetCheckResult:
    """No list holds a movie the user has rated, a movie twice, or a movie outside the catalogue."""
    found = report_progress(
        context.log,
        "Looking up every recommendation among the user's ratings",
        lambda _: postgres.open().rows(read_sql("unsound_recommendations"), {"watermark": _watermark(context)}),
    )
    problems = {problem: int(count) for problem, count in found}
    return AssetCheckResult(
        passed=not any(problems.values()),
        description=", ".join(f"{problem}: {count}" for problem, count in problems.items()),
        metadata={"problems": MetadataValue.json(problems)},
    )


@asset_check(asset="user_recommendations")
def everybody_has_a_full_list(context: AssetCheckExecutionContext, postgres: PostgresResource) -> AssetCheckResult:
    """Every user with a rating has 20 recommendations, or all movies that the user has not rated."""
    users, full = report_progress(
        context.log,
        "Counting recommendations of each user",
        lambda _: postgres.open().rows(
            read_sql("full_lists"), {"per_user": PER_USER, "watermark": _watermark(context)}
        )[0],
    )
    rest = record(context.instance, "user_recommendations").get("users_with_all_the_rest", 0)
    return AssetCheckResult(
        passed=users <= full + rest,
        severity=AssetCheckSeverity.WARN,
        description=f"{full:,} of {users:,} users have {PER_USER} recommendations"
        + (f", and {rest:,} have rated all other movies" if rest else ""),
        metadata={"users": users, "with_full_list": full},
    )


@asset_check(asset="user_recommendations", additional_deps=["similar_movies", "popular_movies"])
def tables_carry_the_champion(postgres: PostgresResource, registry: RegistryResource) -> AssetCheckResult:
    """The rows of each table of recommendations were made by the version that is champion now.

    It compares states, so it also sees an alias that was moved while the run wrote the tables.
    """
    versions = registry.open()
    with versions.reachable():
        champion = versions.by_alias(CHAMPION)
    return carry_champion(None if champion is None else champion.number, served_versions(postgres.open()))


def carry_champion(champion: int | None, served: Mapping[str, int | None]) -> AssetCheckResult:
    """Whether the tables carry a version.

    Parameters
    ----------
    champion : int or None
        None when no version is champion.
    served : mapping of str to int or None
        Version of the rows in each table, None where there are no rows, as for a dataset without users.
    """
    carried = {table: version for table, version in served.items() if version is not None}
    listed = ", ".join(f"{table} {version}" for table, version in carried.items()) or "no rows"
    passed = champion is not None and bool(carried) and set(carried.values()) == {champion}
    what = "No version is champion" if champion is None else f"Champion {champion}"
    remedy = "" if passed else " champion_sensor requests `publish`; `movierec run --job publish` runs it now."
    return AssetCheckResult(
        passed=passed,
        severity=AssetCheckSeverity.WARN,
        description=f"{what}; the tables carry: {listed}.{remedy}",
        metadata={"champion": champion or 0, "tables": MetadataValue.json(carried)},
    )
