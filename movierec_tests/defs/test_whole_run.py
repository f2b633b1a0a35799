"""Tables and files after two whole runs on the demo set."""

from __future__ import annotations

import base64
import re
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

from movierec_assets.defs.column_lineage import LINEAGE, column_lineage
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.predecessor import predecessor_of
from movierec_assets.recsys.evaluation import HEADLINE
from movierec_assets.resources.provenance import fingerprint
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.insights import read_insight
from movierec_tests.defs.conftest import Ran
from movierec_tests.defs.graph import APART, BLOCKING, GRAPH, NOT_BLOCKING, SERVED, specs
from movierec_tests.defs.harness import failed_checks, metadata_of
from movierec_tests.first_day import USERS

slow = pytest.mark.slow


@slow
def test_both_runs_succeed_with_every_check_evaluated(ran: Ran) -> None:
    for result in (ran.first, ran.second):
        assert result.success
        checks = {evaluation.check_name for evaluation in result.get_asset_check_evaluations()}
        assert checks == BLOCKING | NOT_BLOCKING
        assert not set(failed_checks(result)) & {*BLOCKING, "tables_carry_the_champion"}
        assert set(metadata_of(result)) == set(GRAPH) - APART


@slow
@pytest.mark.parametrize("name", sorted(set(GRAPH) - APART - {"als_model", "champion_refit", "champion_model"}))
def test_every_table_and_matrix_reports_its_rows(ran: Ran, name: str) -> None:
    assert metadata_of(ran.first)[name]["dagster/row_count"] > 0


@slow
@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("raw_movies", "movies"),
        ("raw_ratings", "ratings"),
        ("eligible_users", "eligible_users"),
        *((name, name) for name in SERVED),
    ],
)
def test_reported_rows_and_columns_are_those_of_the_table(ran: Ran, name: str, table: str) -> None:
    shown = metadata_of(ran.first)[name]["dagster/row_count"]
    assert shown == ran.database.scalar(f"SELECT count(*) FROM {SCHEMA}.{table}")
    columns = ran.database.rows(
        """SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
           WHERE a.attrelid = %s::regclass AND a.attnum > 0 ORDER BY a.attnum""",
        [f"{SCHEMA}.{table}"],
    )
    declared = [(column.name, column.type) for column in specs()[name].metadata["dagster/column_schema"].columns]
    long_names = {"timestamptz": "timestamp with time zone"}
    assert [(column, long_names.get(kind, kind)) for column, kind in declared] == columns


@slow
@pytest.mark.parametrize("name", ["positive_ratings", "id_maps", "model_evaluation"])
def test_stored_tables_have_the_columns_that_are_declared(ran: Ran, name: str) -> None:
    frame = pd.read_parquet(f"{ran.platform.settings.storage}/{name}.parquet")
    for column in specs()[name].metadata["dagster/column_schema"].columns:
        kind = str(frame[column.name].dtype)
        assert kind == {"string": "object"}.get(column.type, column.type)


@slow
@pytest.mark.parametrize(
    "name",
    [
        "raw_movies",
        "raw_ratings",
        "positive_ratings",
        "train_matrix",
        "validation_matrix",
        "test_matrix",
        "next_movies",
        "user_recommendations",
        "similar_movies",
        "popular_movies",
        "trending_movies",
    ],
)
def test_previews_are_tables_with_film_titles(ran: Ran, name: str) -> None:
    titles = [title for (title,) in ran.database.rows(f"SELECT title FROM {SCHEMA}.movies")]
    header, rule, *body = metadata_of(ran.first)[name]["preview"].splitlines()
    assert len(body) >= 5
    assert all(line.count(" | ") == header.count(" | ") == rule.count(" | ") for line in body)
    assert all(any(title in line for title in titles) for line in body)
    assert not any("?" in line and "; ?" in line for line in body)


@slow
def test_the_documents_of_the_data_have_the_counts_that_the_assets_show(ran: Ran) -> None:
    shown = metadata_of(ran.second)
    dataset, steps = (read_insight(ran.database, name) for name in ("dataset", "preprocessing"))
    assert dataset is not None
    assert steps is not None
    raw = shown["raw_ratings"]
    counts = dataset.document["counts"]
    assert (counts["ratings"], counts["rows_read"]) == (raw["dagster/row_count"], raw["rows_read"])
    assert sum(month["ratings"] for month in dataset.document["months"]) == raw["dagster/row_count"]
    assert (counts["rejected"], counts["rated_movies"]) == (raw["rejected_rows"], raw["rated_movies"])
    assert dataset.document["mean_stars"] == pytest.approx(raw["mean_rating"])
    found = {step["step"]: step for step in steps.document["steps"]}
    for name in ("train", "validation", "test"):
        assert found[name]["rows"] == shown[f"{name}_matrix"]["dagster/row_count"]
        assert found[name]["users"] == shown[f"{name}_matrix"]["users"]
    assert found["likes"]["rows"] == shown["positive_ratings"]["dagster/row_count"]
    assert found["evaluated test"]["users"] == shown["id_maps"]["evaluated_users"]
    assert dataset.made_at < steps.made_at


@slow
def test_id_maps_show_the_first_users_and_the_titles_of_the_first_movies(ran: Ran) -> None:
    titles = dict(ran.database.rows(f"SELECT movie_id::text, title FROM {SCHEMA}.movies"))
    lines = metadata_of(ran.first)["id_maps"]["preview"].splitlines()[2:]
    body = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert [line[:2] for line in body] == [
        *(["user", str(position)] for position in range(3)),
        *(["movie", str(position)] for position in range(5)),
    ]
    assert [titles[movie_id] for _, _, movie_id, _ in body[3:]] == [title for *_, title in body[3:]]


@slow
def test_the_challenger_and_its_training_state_have_the_scored_matrix_of_next_movies(ran: Ran) -> None:
    shown = metadata_of(ran.first)["next_movies"]
    stored = {name: _stored(ran, name) for name in ("next_movies", "als_model")}
    scored, served = (stored["next_movies"][f"{part}_next_data"] for part in ("scored", "served"))
    assert (shown["transitions_before_the_test"], shown["transitions"]) == (len(scored), len(served))
    assert 0 < len(scored) < len(served)
    assert "note" not in shown
    assert shown["most_followers"] <= 500
    assert shown["movies_with_followers"] <= shown["movies"] == metadata_of(ran.first)["id_maps"]["movies"]
    version = ran.platform.champion()
    state = predecessor_of(ran.platform.registry, version)
    assert state is not None
    assert state.state.next_movies is not None
    for data in (stored["als_model"]["next_data"], state.state.next_movies.matrix.data):
        np.testing.assert_array_equal(data, scored)
    assert re.fullmatch("[0-9a-f]{64}", version.provenance["next_movies_fingerprint"])
    assert shown["signal"] == asdict(version.recipe.next_movie)
    recommender = ran.platform.registry.load(version)
    assert recommender.next_movies is not None
    np.testing.assert_array_equal(recommender.next_movies.matrix.data, served)
    assert fingerprint(recommender.next_movies) == version.provenance["next_movies_fingerprint"]


def _stored(ran: Ran, name: str) -> dict[str, Any]:
    with np.load(f"{ran.platform.settings.storage}/{name}.npz") as arrays:
        return dict(arrays)


@slow
@pytest.mark.parametrize(
    ("name", "plot"),
    [
        ("raw_ratings", "histogram"),
        ("raw_ratings", "long_tail"),
        ("positive_ratings", "histogram"),
        ("positive_ratings", "long_tail"),
        ("als_model", "learning_curve"),
        ("return_evaluation", "intervals"),
        ("model_evaluation", "moments"),
        ("model_evaluation", "metrics"),
        ("model_evaluation", "intervals"),
        ("model_evaluation", "slices"),
        ("model_evaluation", "history"),
    ],
)
def test_plots_are_embedded_pictures(ran: Ran, name: str, plot: str) -> None:
    found = re.fullmatch(r"!\[plot\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", metadata_of(ran.first)[name][plot])
    assert found is not None
    assert base64.b64decode(found[1]).startswith(b"\x89PNG\r\n\x1a\n")


@slow
@pytest.mark.parametrize("name", LINEAGE)
def test_a_materialized_table_shows_the_lineage_of_its_columns(ran: Ran, name: str) -> None:
    expected = column_lineage(name)["dagster/column_lineage"]
    assert metadata_of(ran.first)[name]["dagster/column_lineage"] == expected


@slow
def test_the_steps_of_the_original_are_counts_that_add_up(ran: Ran) -> None:
    shown = metadata_of(ran.first)
    steps = {}
    for line in shown["train_matrix"]["steps"].splitlines()[2:]:
        name, count = (cell.strip() for cell in line.strip("| ").split("|"))
        steps[name] = int(count.replace(",", ""))
    evaluated = f"evaluated test ({shown['id_maps']['evaluated_users']:,} users)"
    assert list(steps) == ["rows read", "without missing values", "positives", "train", "validation", "test", evaluated]
    assert steps["rows read"] == shown["raw_ratings"]["rows_read"]
    assert steps["rows read"] >= steps["without missing values"] >= steps["positives"]
    assert steps["train"] + steps["validation"] + steps["test"] == steps["positives"]
    assert steps["positives"] == ran.database.scalar(
        f"""SELECT count(*) FROM {SCHEMA}.current_ratings JOIN {SCHEMA}.eligible_users USING (user_id)
            WHERE rating >= 4"""
    )
    assert steps[evaluated] == shown["model_evaluation"]["held_out_positives"] <= steps["test"]


@slow
def test_data_versions_of_the_loaded_tables_are_content_hashes_and_stay(ran: Ran) -> None:
    tags: list[dict[str, Any]] = []
    for result in (ran.first, ran.second):
        events = result.get_asset_materialization_events()
        tags.append(
            {
                event.asset_key.to_user_string(): event.step_materialization_data.materialization.tags or {}
                for event in events
                if event.asset_key is not None
            }
        )
    for name in ("raw_movies", "raw_ratings"):
        first, second = (each[name]["dagster/data_version"] for each in tags)
        assert re.fullmatch("[0-9a-f]{64}", first)
        assert first == second


@slow
def test_a_second_run_reloads_nothing_and_keeps_the_champion(ran: Ran) -> None:
    first, second = metadata_of(ran.first), metadata_of(ran.second)
    for name in ("raw_movies", "raw_ratings"):
        assert (first[name]["reloaded"], second[name]["reloaded"]) == (True, False)
        assert first[name]["dagster/row_count"] == second[name]["dagster/row_count"]
    assert (first["champion_model"]["outcome"], second["champion_model"]["outcome"]) == ("first", "unchanged")
    assert second["champion_model"]["champion_version"] == first["champion_model"]["champion_version"]
    assert second["user_recommendations"]["model_version"] == first["champion_model"]["champion_version"]
    # The champion's figures are those of its own scored fit, when it was trained.
    assert second["model_evaluation"]["champion_ndcg_at_10"] == pytest.approx(
        first["model_evaluation"]["ndcg_at_10"], abs=2e-3
    )


@slow
def test_a_second_run_on_the_same_data_says_so_and_leaves_one_version_one_decision_and_one_mlflow_run(ran: Ran) -> None:
    second = metadata_of(ran.second)
    (version,) = ran.platform.registry.versions()
    assert (second["als_model"]["model_version"], second["als_model"]["unchanged"]) == (version.number, True)
    shown = second["champion_model"]
    assert (shown["unchanged"], shown["promoted"], shown["challenger_version"]) == (True, False, version.number)
    assert shown["reason"].startswith(f"Version {version.number} is the champion since 20")
    assert "(first). Nothing has changed since it was trained: the same likes, recipe, seed" in shown["reason"]
    assert [each.outcome for each in Promotions(ran.platform.registry, ran.database).history()] == ["first"]
    assert ran.platform.registry.runs_of(ran.second.run_id) == []
    (own,) = ran.platform.registry.client.get_metric_history(version.run_id, HEADLINE)
    assert own.value == metadata_of(ran.first)["model_evaluation"][HEADLINE]


@slow
def test_the_same_ratings_give_the_same_scores(ran: Ran) -> None:
    first, second = (metadata_of(result)["model_evaluation"][HEADLINE] for result in (ran.first, ran.second))
    assert first == pytest.approx(second, abs=0.01)  # with 120 users, swapped near ties change the mean by up to 0.003


# The served tables


@slow
def test_every_user_has_twenty_ranked_movies_of_the_catalogue_that_they_have_not_rated(ran: Ran) -> None:
    champion = ran.platform.champion().number
    lists = pd.DataFrame(
        ran.database.rows(
            f"""SELECT user_id, rank, movie_id, score, model_version FROM {SCHEMA}.user_recommendations
                ORDER BY user_id, rank"""
        ),
        columns=["user_id", "rank", "movie_id", "score", "model_version"],
    )
    assert lists["user_id"].nunique() == USERS
    rated = set(ran.database.rows(f"SELECT user_id, movie_id FROM {SCHEMA}.ratings"))
    catalogue = {movie for (movie,) in ran.database.rows(f"SELECT movie_id FROM {SCHEMA}.movies")}
    for _, one in lists.groupby("user_id"):
        assert one["rank"].tolist() == list(range(1, 21))
        assert one["movie_id"].nunique() == 20
        assert (np.diff(one["score"]) <= 0).all()
    assert not set(lists[["user_id", "movie_id"]].itertuples(index=False, name=None)) & rated
    assert set(lists["movie_id"]) <= catalogue
    assert set(lists["model_version"]) == {champion}
    assert np.isfinite(lists["score"]).all()


@slow
def test_similar_movies_are_twenty_others_nearest_first(ran: Ran) -> None:
    rows = ran.database.rows(
        f"SELECT movie_id, rank, similar_movie_id, score, model_version FROM {SCHEMA}.similar_movies ORDER BY 1, 2"
    )
    lists = pd.DataFrame(rows, columns=["movie_id", "rank", "similar", "score", "model_version"])
    liked = ran.database.rows(f"SELECT DISTINCT movie_id FROM {SCHEMA}.ratings WHERE rating >= 4")
    assert set(lists["movie_id"]) == {movie for (movie,) in liked}
    assert (lists["movie_id"] != lists["similar"]).all()
    assert lists["score"].between(-1, 1 + 1e-5).all()
    for _, one in lists.groupby("movie_id"):
        assert one["rank"].tolist() == list(range(1, 21))
        assert one["similar"].nunique() == 20
        assert (np.diff(one["score"]) <= 1e-6).all()
    assert set(lists["model_version"]) == {ran.platform.champion().number}


@slow
def test_popular_movies_are_ordered_by_the_users_who_liked_them(ran: Ran) -> None:
    likes = dict(
        ran.database.rows(
            f"""SELECT movie_id, count(*) FROM {SCHEMA}.current_ratings JOIN {SCHEMA}.eligible_users USING (user_id)
                WHERE rating >= 4 GROUP BY 1"""
        )
    )
    rows = ran.database.rows(f"SELECT rank, movie_id, score FROM {SCHEMA}.popular_movies ORDER BY rank")
    assert [rank for rank, _, _ in rows] == list(range(1, len(likes) + 1))
    assert [score for _, _, score in rows] == sorted(likes.values(), reverse=True)
    assert {movie: score for _, movie, score in rows} == likes
