"""How old the assets that users depend on may be: one policy for each, in one place.

Belongs here: the policies, and adding them to the assets. Does not: telling people about stale assets (`alerting`).

Dagster concept: freshness policies, https://docs.dagster.io/guides/observe/asset-freshness-policies
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from dagster import AssetSpec, FreshnessPolicy, map_asset_specs

WARN_AFTER, FAIL_AFTER = timedelta(hours=26), timedelta(hours=50)
"""One night was missed, and two: each with an hour for the day on which clocks are set back, and one for the run."""
NIGHTLY = (
    *("raw_movies", "raw_ratings", "eligible_users", "champion_model"),
    *("user_recommendations", "similar_movies", "popular_movies", "trending_movies"),
)
"""Assets that each night makes again, or finds unchanged."""
FRESH_FOR: Mapping[str, timedelta] = MappingProxyType(dict.fromkeys(NIGHTLY, FAIL_AFTER))


def with_freshness(assets: Iterable[Any]) -> list[Any]:
    """Definitions of assets, each that users depend on with its policy."""
    return list(map_asset_specs(_with_policy, assets))


def _with_policy(spec: AssetSpec) -> AssetSpec:
    limit = FRESH_FOR.get(spec.key.to_user_string())
    if limit is None:
        return spec
    return spec.replace_attributes(freshness_policy=FreshnessPolicy.time_window(limit, WARN_AFTER))
