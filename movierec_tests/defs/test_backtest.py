"""The asset `backtest`: a run over months, the figures of each, and the check of the latest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult
from matplotlib.text import Text

from movierec_assets.defs.backtest import MONTHS, year_table
from movierec_assets.defs.presentation import encoded, month_panels
from movierec_assets.recsys.backtest import MOMENTS, RANKERS, RECIPE, Figure, Moment, Month
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.backtests import Backtests, months_of_likes
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.insights import read_insight
from movierec_assets.tables.known_datasets import DatasetRef, loaded_dataset
from movierec_tests.defs.conftest import Ran
from movierec_tests.defs.harness import backtested, failed_checks, failures_of

START = Month(2003, 1)
FILMS = DatasetRef(1, "films")


def metadata_of_months(result: ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    found = {}
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        assert materialization.partition is not None
        found[materialization.partition] = {name: value.value for name, value in materialization.metadata.items()}
    return found


@pytest.mark.slow
def test_a_run_over_months_reports_each_month_and_keeps_its_figures(ran: Ran) -> None:
    months = months_of_likes(ran.database, 4.0)
    assert months is not None
    last = min(months[1], Month.last_complete())
    first = last.later(-2)
    result = backtested(first, last)
    assert result.success, failures_of(result)
    found = metadata_of_months(result)
    assert list(found) == [str(first), str(first.later(1)), str(last)]
    champion = ran.platform.champion()
    kept = Backtests(ran.database, loaded_dataset(ran.database), 4.0).figures(champion.recipe)
    assert {month for month, _ in kept} <= {first, first.later(1), last}
    assert kept
    for month, figure in kept:
        own = found[str(month)]
        moment = {"in the sitting": "", "on return": "return_"}[figure.moment]
        ranker = {"recipe": "", "without the signal": "without_signal_", "popularity": "popularity_"}[figure.ranker]
        assert own[f"{moment}users"] == figure.users
        assert own[f"{ranker}{moment}ndcg_at_10"] == pytest.approx(figure.ndcg)
    for own in found.values():
        assert own["recipe_source"] == f"champion {champion.number}"
        assert own["recipe"] == champion.recipe.as_dict()
    assert found[str(last)]["months"].startswith("![plot](data:image/png;base64,")
    assert "months" not in found[str(first)]
    with DagsterInstance.get() as instance:
        assert instance.get_materialized_partitions(AssetKey("backtest")) == set(found)
    told = read_insight(ran.database, "backtest")
    assert told is not None
    rows = {(row["month"], row["moment"], row["ranker"]): row for row in told.document["months"]}
    assert {key: (row["mean"], row["users"]) for key, row in rows.items()} == {
        (str(month), each.moment, each.ranker): (each.ndcg, each.users) for month, each in kept
    }
    for year in told.document["years_to_date"]:
        assert year["users"] >= rows[year["month"], year["moment"], year["ranker"]]["users"]


@pytest.mark.slow
def test_months_outside_the_data_say_so_and_a_month_made_anew_replaces_its_rows(ran: Ran) -> None:
    months = months_of_likes(ran.database, 4.0)
    assert months is not None
    result = backtested(months[0].later(-1), months[0])
    assert result.success, failures_of(result)
    before, first = metadata_of_months(result).values()
    assert before["note"].startswith(f"The month is outside the data, whose likes are from {months[0]}")
    assert first["note"] == "No like is known before the first month of the data."
    counts = [first[f"months_{name}"] for name in ("of_run", "without_users", "with_few_users")]
    assert counts == [2, 2, 0]
    last = min(months[1], Month.last_complete())
    rows = f"SELECT moment, ranker, made_at FROM {SCHEMA}.backtests WHERE month = %s ORDER BY moment, ranker"
    made: list[list[tuple[Any, ...]]] = []
    for _ in range(2):
        assert backtested(last, last).success
        made.append(ran.database.rows(rows, [f"{last}-01"]))
    assert [row[:2] for row in made[0]] == [row[:2] for row in made[1]]
    assert all(old[2] < new[2] for old, new in zip(*made, strict=True))


@pytest.mark.slow
def test_the_check_warns_when_the_latest_month_falls_below_the_year_before(ran: Ran) -> None:
    months = months_of_likes(ran.database, 4.0)
    assert months is not None
    last = min(months[1], Month.last_complete())
    kept = Backtests(ran.database, loaded_dataset(ran.database), 4.0)
    recipe = ran.platform.champion().recipe
    far = last.later(-24)
    for month, ndcg in ((last.later(1), 0.5), (last.later(2), 0.1)):
        kept.replace(month, [figure(ndcg, users=50)], recipe, "f00d", "run")
    try:
        result = backtested(far, far)
        assert result.success, failures_of(result)
        warned = failed_checks(result)["not_below_the_year_before"]
        assert f"On return: {last.later(2)} has 0.1000 of 50 users, below the interval" in warned
    finally:
        for month in (far, last.later(1), last.later(2)):
            kept.replace(month, [], recipe, "f00d", "run")


def figure(ndcg: float, moment: Moment = "on return", ranker: str = RECIPE, users: int = 20) -> Figure:
    around = np.full(users, ndcg) + np.resize([0.05, -0.05], users)
    return Figure.of(moment, ranker, around)


def test_figures_are_kept_for_their_dataset_likes_and_recipe(database: Database) -> None:
    kept = Backtests(database, FILMS, 4.0)
    figures = [figure(0.2), figure(0.1, ranker="popularity", users=3)]
    kept.replace(START, figures, Recipe(), "f00d", "run")
    read = kept.figures(replace(Recipe(), seed=7))
    assert {each.ranker: each for _, each in read} == {each.ranker: each for each in figures}
    assert {month for month, _ in read} == {START}
    assert kept.figures(replace(Recipe(), alpha=7.0)) == []
    assert kept.latest_recipe() == Recipe()
    for other in (Backtests(database, FILMS, 3.5), Backtests(database, None, 4.0)):
        assert (other.figures(Recipe()), other.latest_recipe()) == ([], None)
    kept.replace(START, [], Recipe(), "f00d", "run")
    assert kept.figures(Recipe()) == []


def test_partitions_are_the_complete_months_from_the_first_of_movielens() -> None:
    keys = MONTHS.get_partition_keys()
    assert (keys[0], keys[-1]) == ("1995-01", str(Month.last_complete()))


def all_rankers(months: Sequence[int]) -> list[tuple[Month, Figure]]:
    """In the order of the table, which is by name."""
    return [
        (START.later(number), figure(0.1 + 0.002 * number, moment, ranker))
        for number in months
        for moment in MOMENTS
        for ranker in sorted(RANKERS)
    ]


def test_the_table_of_years_has_a_row_for_each_moment_and_a_column_for_each_ranker() -> None:
    header, body = year_table(all_rankers(range(18)))
    assert header == ["moment", "year", "users", *RANKERS]
    assert [row[:3] for row in body] == [
        [moment, year, users] for moment in MOMENTS for year, users in (("2003", 240), ("2004", 120))
    ]
    assert body[0][3] == pytest.approx(0.111)
    assert [len(row) for row in body] == [len(header)] * 4


def test_a_year_without_users_in_one_moment_has_one_row() -> None:
    _, body = year_table([(START, figure(0.2)), (START, figure(0.1, ranker="popularity"))])
    assert body == [["on return", "2003", 20, pytest.approx(0.2), pytest.approx(0.1)]]


@pytest.mark.parametrize("months", [0, 1, 40])
def test_the_plot_shows_both_moments_of_any_number_of_months(months: int) -> None:
    picture = month_panels(all_rankers(range(months)))
    assert encoded(picture).startswith(b"\x89PNG")
    assert [axes.get_title(loc="left").partition(":")[0] for axes in picture.axes] == list(MOMENTS)
    shown = {text.get_text() for text in picture.findobj(Text)}
    assert (set(RANKERS) <= shown) is (months > 0)
