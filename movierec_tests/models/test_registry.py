"""Versions and the champion in MLflow on Postgres, and the pyfunc that others load from there."""

from __future__ import annotations

import json
import warnings

import mlflow
import numpy as np
import pandas as pd
import pytest

from movierec_assets.defs.preprocessing import frame_of
from movierec_assets.models.champion import load_champion
from movierec_assets.models.errors import NoChampionError
from movierec_assets.models.package import log_version
from movierec_assets.models.version import CHALLENGER, CHAMPION, MODEL_NAME
from movierec_assets.recsys import als
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.promotion import Decision
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.moments import Moment
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import DatasetRef
from movierec_tests.defs.harness import Platform, empty
from movierec_tests.ranked_lists import assert_same_lists

PROMOTED = Decision(True, "first", "No champion yet.")
KEPT = Decision(False, "kept", "Not better.")


def _recommender() -> Recommender:
    rng = np.random.default_rng(1)
    users, movies = np.nonzero(rng.random((8, 30)) < 0.3)
    stars, times = np.full(len(users), 4.0), np.arange(len(users))
    positives = Interactions.from_triplets(users, movies, stars, times, (8, 30))
    ids = IdMaps(np.arange(10, 18, dtype=np.int32), np.arange(100, 160, 2, dtype=np.int32))
    recipe = Recipe(factors=4, iterations=2)
    factors = als.fit(positives, recipe).with_next(NextMovies.of(positives, recipe.next_movie))
    fitted = Recommender.of(factors, positives, ids, recipe)
    return fitted.with_titles([f"Film {movie}" for movie in ids.movie_ids])


DATASET = DatasetRef(7, "films")
RECOMMENDER = _recommender()


@pytest.fixture
def platform(module_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with an empty registry."""
    module_platform.enter(monkeypatch)
    client = module_platform.registry.client
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    return module_platform


@pytest.fixture(scope="module")
def source(module_platform: Platform) -> tuple[int, str]:
    """A logged and registered version: its number and MLflow run."""
    mlflow.set_tracking_uri(module_platform.settings.mlflow_uri)
    mlflow.set_registry_uri(module_platform.settings.mlflow_uri)
    experiment = module_platform.registry.ensure_experiment()
    with mlflow.start_run(experiment_id=experiment) as run:
        number = log_version(
            mlflow,
            RECOMMENDER,
            frame_of(RECOMMENDER.ids),
            DATASET,
            {"recipe": json.dumps(RECOMMENDER.recipe.as_dict()), "code_version": "x"},
        )
    return number, str(run.info.run_id)


@pytest.fixture
def registered(module_platform: Platform, source: tuple[int, str], monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with a registered version."""
    module_platform.enter(monkeypatch)
    registry = module_platform.registry
    if not registry.versions():
        registry.client.create_registered_model(MODEL_NAME)
        outputs = registry.client.get_run(source[1]).outputs
        assert outputs is not None
        model = outputs.model_outputs[0].model_id
        registry.client.create_model_version(MODEL_NAME, f"models:/{model}", source[1], model_id=model)
    return module_platform


def test_without_a_model_there_is_no_champion(platform: Platform) -> None:
    assert platform.registry.by_alias(CHAMPION) is None
    assert platform.registry.versions() == []
    with pytest.raises(NoChampionError, match="movierec run"):
        platform.champion()


def test_without_an_alias_there_is_no_champion(platform: Platform) -> None:
    platform.registry.client.create_registered_model(MODEL_NAME)
    assert platform.registry.by_alias(CHAMPION) is None
    with pytest.raises(NoChampionError):
        platform.champion()


def test_the_experiment_is_made_once(platform: Platform) -> None:
    assert platform.registry.ensure_experiment() == platform.registry.ensure_experiment()


def test_runs_of_an_unknown_dagster_run_are_none(platform: Platform) -> None:
    assert platform.registry.runs_of("0" * 32) == []


def test_a_promotion_moves_the_alias_and_writes_the_reason_on_the_version(registered: Platform) -> None:
    registry = registered.registry
    (version,) = registry.versions()[-1:]
    registry.name_challenger(version.number)
    challenger = registry.by_alias(CHALLENGER)
    assert challenger is not None
    assert challenger.number == version.number

    registry.record(version.number, KEPT)
    assert registry.by_alias(CHAMPION) is None
    registry.record(version.number, PROMOTED)
    champion = registered.champion()
    assert champion.number == version.number
    assert champion.tags["promotion_outcome"] == "first"
    assert champion.tags["promotion_reason"] == "No champion yet."


def test_a_version_loaded_back_gives_the_same_lists(registered: Platform) -> None:
    registry = registered.registry
    loaded = registry.load(registry.versions()[0])
    for mine, back in (
        (RECOMMENDER.for_known(RECOMMENDER.ids.user_ids, 31), loaded.for_known(RECOMMENDER.ids.user_ids, 31)),
        (RECOMMENDER.for_known(np.array([12]), 31, 50), loaded.for_known(np.array([12]), 31, 50)),
        (RECOMMENDER.for_liked(np.array([100, 120]), 31), loaded.for_liked(np.array([100, 120]), 31)),
        (RECOMMENDER.for_nobody(31), loaded.for_nobody(31)),
    ):
        assert_same_lists(back, mine)
    for name, array in RECOMMENDER.to_arrays().items():
        np.testing.assert_array_equal(loaded.to_arrays()[name], array)
    assert loaded.recipe == RECOMMENDER.recipe


def test_the_champion_offers_only_movies_of_todays_catalogue(registered: Platform) -> None:
    database, registry = Database(registered.settings.databases.ratings), registered.registry
    empty(database)
    left = RECOMMENDER.ids.movie_ids[5:].tolist()
    with database.replace("movies") as table:
        names = ("movie_id", "title", "year", "genres", "imdb_id", "tmdb_id")
        table.write_rows(names, [(movie, f"Film {movie}", None, [], None, None) for movie in [*left, 999]])
    registry.record(registry.versions()[0].number, PROMOTED)
    recommender = load_champion(registry, database).recommender
    assert recommender.ids.movie_ids.tolist() == left
    listed = recommender.movie_ids_of(recommender.for_known(RECOMMENDER.ids.user_ids, 30))
    assert set(np.unique(listed)) <= {-1, *left}


def test_the_pyfunc_answers_a_known_user_a_list_of_movies_and_nobody(registered: Platform) -> None:
    number = registered.registry.versions()[0].number
    model = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}/{number}")
    questions = pd.DataFrame({"user_id": [12, None, None], "liked_movie_ids": [None, [100, 120], None]}, dtype=object)
    answers = model.predict(questions, params={"k": 6})
    assert answers.groupby("question").size().to_dict() == {0: 6, 1: 6, 2: 6}
    assert answers["rank"].tolist() == [1, 2, 3, 4, 5, 6] * 3
    assert answers.groupby("question")["source"].first().tolist() == ["model", "model", "popular"]
    expected = [
        RECOMMENDER.for_known(np.array([12]), 6),
        RECOMMENDER.for_liked(np.array([100, 120]), 6),
        RECOMMENDER.for_nobody(6),
    ]
    for question, lists in enumerate(expected):
        answered = answers[answers["question"] == question]
        found = TopK(answered["movie_id"].to_numpy()[None], answered["score"].to_numpy()[None])
        assert_same_lists(found, TopK(RECOMMENDER.movie_ids_of(lists), lists.scores))
    assert not set(answers.loc[answers["question"] == 1, "movie_id"]) & {100, 120}


def test_the_pyfunc_names_its_own_films_and_refuses_the_ids_of_another_dataset(registered: Platform) -> None:
    number = registered.registry.versions()[0].number
    model = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}/{number}")
    question = pd.DataFrame({"user_id": [12]}, dtype=object)
    answers = model.predict(question, params={"k": 6, "dataset": "films"})
    assert answers["title"].tolist() == [f"Film {movie}" for movie in answers["movie_id"]]
    with pytest.raises(RecsysError, match="trained on films, and the ids are of ml-20m"):
        model.predict(question, params={"dataset": "ml-20m"})


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (None, None),
        (float("nan"), None),
        (0, 0),
        (3_600.5, 3_600.5),
        ("1970-01-01", 0),
        ("1970-01-01 03:00:00+01:00", 7_200),
        (pd.Timestamp("1970-01-01 02:00:00"), 7_200),
        (pd.Timestamp("1970-01-01 02:00:00", tz="Europe/Berlin"), 3_600),
    ],
)
def test_the_pyfunc_answers_a_known_user_at_a_time_and_without_one_for_a_return(
    registered: Platform, at: object, seconds: float | None
) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}/{registered.registry.versions()[0].number}")
    answered = model.predict(pd.DataFrame({"user_id": [12, 13], "at": [at, None]}, dtype=object), params={"k": 6})
    for question, user in enumerate((12, 13)):
        expected = RECOMMENDER.for_known(np.array([user]), 6, seconds if question == 0 else None)
        own = answered[answered["question"] == question]
        found = TopK(own["movie_id"].to_numpy()[None], own["score"].to_numpy()[None])
        assert_same_lists(found, TopK(RECOMMENDER.movie_ids_of(expected), expected.scores))


def test_the_pyfunc_warns_of_a_time_before_the_latest_like_in_the_words_of_the_api(registered: Platform) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}/{registered.registry.versions()[0].number}")
    assert RECOMMENDER.latest_at is not None
    latest = int(RECOMMENDER.latest_at[RECOMMENDER.ids.users_at(np.array([12]))][0])
    for at, early in ((latest - 1, True), (latest - 0.5, True), (latest, False), (None, False)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.predict(pd.DataFrame({"user_id": [13, 12], "at": [None, at]}, dtype=object))
        texts = [str(each.message) for each in caught if "latest like" in str(each.message)]
        assert len(texts) == early
        if early:
            assert texts[0] == f"Question 1, user 12: {Moment.of(latest - 1, latest, RECOMMENDER).note}"


@pytest.mark.parametrize("at", ["yesterday", "", True, float("inf"), [3]])
def test_the_pyfunc_names_a_time_that_it_cannot_read(registered: Platform, at: object) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}/{registered.registry.versions()[0].number}")
    with pytest.raises(RecsysError, match="is not a time; give Unix seconds, or ISO 8601"):
        model.predict(pd.DataFrame({"user_id": [12], "at": [at]}, dtype=object))


def test_the_registered_model_carries_a_signature_and_an_example_it_answers(registered: Platform) -> None:
    number = registered.registry.versions()[0].number
    model = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}/{number}")
    signature = model.metadata.signature
    assert signature.inputs.input_names() == ["user_id", "liked_movie_ids", "at"]
    assert signature.outputs.input_names() == ["question", "rank", "movie_id", "title", "score", "source"]
    assert [param.name for param in signature.params.params] == ["k", "dataset"]
    assert model.input_example is not None
    answers = model.predict(model.input_example)
    assert answers["question"].nunique() == 3


def test_the_run_of_a_version_holds_factors_and_id_maps(registered: Platform, source: tuple[int, str]) -> None:
    client = registered.registry.client
    assert {item.path for item in client.list_artifacts(source[1])} >= {"factors.npz", "id_maps.parquet"}
    with np.load(client.download_artifacts(source[1], "factors.npz")) as factors:
        np.testing.assert_array_equal(factors["movies"], RECOMMENDER.movie_factors)


def test_figures_and_the_decision_are_on_the_page_of_a_version(registered: Platform) -> None:
    registry = registered.registry
    version = registry.versions()[0]
    registry.log_metrics(version, {"ndcg_at_10": 0.25, "gini_at_20": 0.5, "popularity_ndcg_at_10": 0.1}, ["ndcg_at_10"])
    registry.record(version.number, KEPT)
    assert version.model_id is not None
    on_page = {metric.key: metric.value for metric in registry.client.get_logged_model(version.model_id).metrics or []}
    assert on_page == {"ndcg_at_10": 0.25}
    described = registry.client.get_model_version(MODEL_NAME, str(version.number)).description
    assert str(described).startswith("NDCG@10 in the sitting 0.2500, popularity 0.1000\n\n")
    assert "\n\n**Decision** kept: Not better.\n\n| in the sitting | NDCG@10 |\n" in str(described)


def test_a_running_run_is_ended_once(registered: Platform) -> None:
    registry = registered.registry
    run = registry.client.create_run(registry.ensure_experiment(), tags={"dagster_run_id": "abc"})
    assert registry.runs_of("abc") == [run.info.run_id]
    assert registry.end_run(run.info.run_id, "FAILED")
    assert registry.client.get_run(run.info.run_id).info.status == "FAILED"
    assert not registry.end_run(run.info.run_id, "KILLED")
