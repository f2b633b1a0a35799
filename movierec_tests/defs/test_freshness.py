"""How old assets may be that users depend on."""

from __future__ import annotations

from dagster import FreshnessPolicy

from movierec_assets.definitions import build
from movierec_assets.defs.freshness import FAIL_AFTER, FRESH_FOR, WARN_AFTER


def test_assets_that_users_depend_on_have_a_freshness_policy_and_no_others() -> None:
    nodes = build().resolve_asset_graph().asset_nodes
    found = {node.key.to_user_string(): node.freshness_policy for node in nodes if node.freshness_policy is not None}
    assert found.keys() == FRESH_FOR.keys()
    assert set(found.values()) == {FreshnessPolicy.time_window(FAIL_AFTER, WARN_AFTER)}
