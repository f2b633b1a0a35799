"""The order and the arrows of the asset graph, for any graph without circles."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.serving.app.dagster import Asset, in_order
from movierec_assets.serving.app.graph import SIGNS, direct, drawing
from movierec_assets.serving.app.times import ago, ahead, length
from movierec_tests.defs.graph import GRAPH, GROUPS

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)


def asset(name: str, parents: set[str], group: str = "g") -> Asset:
    return Asset(name, group, "", (), tuple(sorted(parents)), (), "up to date", NOW, None, ())


def platform_assets() -> list[Asset]:
    group = {name: group for group, names in GROUPS.items() for name in names}
    return [asset(name, parents, group[name]) for name, parents in GRAPH.items()]


@st.composite
def graphs(draw: st.DrawFn) -> list[Asset]:
    """Assets in any order, each made from some of those with a smaller number."""
    count = draw(st.integers(1, 9))
    found = [
        asset(f"a{n}", {f"a{m}" for m in range(n) if draw(st.booleans())}, draw(st.sampled_from("xyz")))
        for n in range(count)
    ]
    return draw(st.permutations(found))


def reached(arrows: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Pairs that a path of arrows joins."""
    found = set(arrows)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found


@given(graphs())
def test_each_asset_follows_those_that_it_is_made_from(assets: list[Asset]) -> None:
    ordered = in_order(assets)
    place = {each.name: number for number, each in enumerate(ordered)}
    assert place.keys() == {each.name for each in assets}
    assert all(place[parent] < place[each.name] for each in ordered for parent in each.parents)


@given(graphs())
def test_arrows_join_what_the_dependencies_join_and_none_is_implied_by_others(assets: list[Asset]) -> None:
    ordered = in_order(assets)
    arrows = direct(ordered)
    assert reached(arrows) == reached([(parent, each.name) for each in assets for parent in each.parents])
    for arrow in arrows:
        assert arrow not in reached([other for other in arrows if other != arrow])


def test_groups_of_the_platform_stay_together() -> None:
    groups = [each.group for each in in_order(platform_assets())]
    runs = [group for place, group in enumerate(groups) if place == 0 or groups[place - 1] != group]
    assert sorted(runs) == sorted(GROUPS)


def test_the_drawing_names_every_asset_and_tells_each_state_by_shape_and_sign() -> None:
    drawn = drawing(in_order(platform_assets()), NOW, "#000000").to_dict()
    (rows,) = [values for values in drawn["datasets"].values() if "asset" in values[0]]
    assert {row["asset"] for row in rows} == set(GRAPH)
    assert len({row["y"] for row in rows}) == len(GRAPH), "no two assets on one row"
    assert len({sign for _, _, sign in SIGNS.values()}) >= 4


@given(st.floats(0, 1e7))
def test_a_time_is_as_far_ahead_as_it_was_ago(seconds: float) -> None:
    then = datetime.fromtimestamp(NOW.timestamp() - seconds, UTC)
    assert ago(then, NOW) == f"{length((NOW - then).total_seconds())} ago"
    assert ahead(NOW, then) == ("now" if then == NOW else f"in {length((NOW - then).total_seconds())}")


def test_lengths_of_time_have_their_largest_units() -> None:
    said = {0: "0 s", 59.6: "60 s", 61: "1 min 1 s", 3_600: "1 h", 9_000: "2 h 30 min", 90_000: "1 d 1 h", 1e6: "11 d"}
    assert {seconds: length(seconds) for seconds in said} == said
