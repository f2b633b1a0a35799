"""Movies over HTTP: search, details, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from movierec_assets.recsys.ranking import similar
from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_assets.settings import Settings
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.databases import own_database
from movierec_tests.serving.api.conftest import running, served, worker_with
from movierec_tests.serving.api.small import LAST_MOVIE


@pytest.fixture(scope="module")
def worker(small_url: str, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One worker for all tests of this module, which leave the ratings as they are."""
    with own_database(small_url) as url:
        settings = Settings(database_url=url, state_dir=tmp_path_factory.mktemp("state"), api_access_log=False)
        yield worker_with(settings, snapshot)


@pytest.fixture(scope="module")
def client(worker: Worker) -> Iterator[httpx.Client]:
    with served(create_app(worker.settings, running(worker))) as client:
        yield client


@pytest.fixture
def database(worker: Worker) -> Database:
    return Database(worker.settings.databases.ratings)


def found(client: httpx.Client, **conditions: Any) -> list[int]:
    answer = client.get("/movies", params=conditions)
    assert answer.status_code == 200, answer.text
    return [movie["movie_id"] for movie in answer.json()["movies"]]


@pytest.mark.parametrize(
    ("typed", "movie_id"),
    [("toy stroy", 1), ("the matirx", 2), ("amelie", 3), ("fabuleux destin", 3), ("heta", 4), ("story toy", 1)],
)
def test_a_search_forgives_how_a_title_is_typed(client: httpx.Client, typed: str, movie_id: int) -> None:
    assert found(client, query=typed)[0] == movie_id


def test_a_movie_is_shown_as_the_catalogue_has_it(client: httpx.Client) -> None:
    (movie, *_) = client.get("/movies", params={"query": "toy story"}).json()["movies"]
    assert movie == {
        "movie_id": 1,
        "title": "Toy Story (1951)",
        "year": 1951,
        "genres": ["Comedy", "Romance"],
        "ratings": movie["ratings"],
    }
    assert movie["ratings"] > 0


def test_without_a_query_the_most_rated_movies_of_a_genre_and_year_are_first(client: httpx.Client) -> None:
    movies = client.get("/movies", params={"genre": "sci-fi", "n": 100}).json()["movies"]
    assert len(movies) == 15
    assert all("Sci-Fi" in movie["genres"] for movie in movies)
    assert [movie["ratings"] for movie in movies] == sorted((movie["ratings"] for movie in movies), reverse=True)
    assert found(client, genre="Sci-Fi", year=1952) == [2]
    assert found(client, genre="Drama", year=1952) == []
    assert found(client, query="film", genre="Crime", year=1957) == [7]


def test_pages_together_are_the_whole_list(client: httpx.Client) -> None:
    whole, pages, offset = found(client, n=100), [], 0
    while offset is not None:
        page = client.get("/movies", params={"n": 7, "offset": offset}).json()
        assert page["total"] == 60
        pages += [movie["movie_id"] for movie in page["movies"]]
        offset = page["next_offset"]
    assert pages == whole
    assert sorted(whole) == list(range(1, 61))
    assert client.get("/movies", params={"offset": 60}).json() == {"total": 60, "next_offset": None, "movies": []}


def test_an_unknown_genre_is_refused_with_those_that_exist(client: httpx.Client) -> None:
    answer = client.get("/movies", params={"genre": "Kitchen"})
    assert answer.status_code == 422
    assert "Action, Comedy, Crime, Drama, Film-Noir, Romance, Sci-Fi" in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "query.genre"


@pytest.mark.parametrize(
    "typed",
    [
        "'; DROP TABLE movierec.movies; --",
        "%' OR 1=1 --",
        "%",
        "_",
        "\\",
        "((((((",
        "\U0001f3ac",
        "\ufffd" * 200,
        "a " * 100,
    ],
)
def test_any_text_is_only_searched_for(client: httpx.Client, database: Database, typed: str) -> None:
    found(client, query=typed)
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.movies") == 60


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("query=a%00b", "query.query"),
        (f"query={'a' * 201}", "query.query"),
        ("year=nineteen", "query.year"),
        ("year=5_0", "query.year"),
        ("n=0", "query.n"),
        ("n=101", "query.n"),
        ("offset=-1", "query.offset"),
        ("title=heat", "query.title"),
        ("query=%ff", "query"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_by_name(client: httpx.Client, query: str, field: str) -> None:
    answer = client.get(f"/movies?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_details_have_the_mean_of_the_stars_and_the_addresses(client: httpx.Client, database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(f"UPDATE {SCHEMA}.movies SET imdb_id = 'tt0114709', tmdb_id = 862 WHERE movie_id = 1")
    movie = client.get("/movies/1").json()
    mean = database.scalar(f"SELECT avg(rating)::float8 FROM {SCHEMA}.ratings WHERE movie_id = 1")
    assert movie["mean_stars"] == pytest.approx(mean, abs=1e-3)
    assert (movie["title"], movie["year"]) == ("Toy Story (1951)", 1951)
    assert movie["imdb_url"] == "https://www.imdb.com/title/tt0114709/"
    assert movie["tmdb_url"] == "https://www.themoviedb.org/movie/862"


def test_a_movie_that_nobody_rated_has_no_mean(client: httpx.Client) -> None:
    movie = client.get("/movies/60").json()
    assert (movie["ratings"], movie["mean_stars"], movie["imdb_url"]) == (0, None, None)


@pytest.mark.parametrize(("path", "status"), [("61", 404), ("2147483647", 404), ("0", 422), ("5_0", 422), ("x", 422)])
def test_an_unknown_movie_is_not_found(client: httpx.Client, path: str, status: int) -> None:
    assert client.get(f"/movies/{path}").status_code == status
    assert client.get(f"/movies/{path}/similar").status_code == status


def test_a_new_catalogue_is_searched_at_once(client: httpx.Client, worker: Worker, database: Database) -> None:
    snapshot = worker.current.snapshot
    assert found(client, query="solaris") == []
    titles = ("Solaris (1951)", *snapshot.catalogue.titles[1:])
    worker.current.snapshot = replace(snapshot, catalogue=replace(snapshot.catalogue, titles=titles))
    assert found(client, query="solaris")[0] == 1
    worker.current.snapshot = snapshot


def test_the_nearest_movies_of_a_movie_are_those_of_its_factors(client: httpx.Client, worker: Worker) -> None:
    champion = worker.current.snapshot.champion
    assert champion is not None
    ids = champion.recommender.ids.movie_ids
    lists = similar(champion.recommender.movie_factors, 5)
    shown = client.get("/movies/2/similar", params={"n": 5}).json()
    assert (shown["movie_id"], shown["user_id"], shown["model_version"]) == (2, None, champion.version)
    place = int(np.flatnonzero(ids == 2)[0])
    assert [movie["movie_id"] for movie in shown["movies"]] == ids[lists.items[place]].tolist()
    similarities = [movie["similarity"] for movie in shown["movies"]]
    assert similarities == pytest.approx(lists.scores[place].tolist(), abs=1e-4)
    assert {"title", "year", "genres"} <= shown["movies"][0].keys()


def test_for_a_user_neighbours_are_unseen_and_ordered_by_the_users_scores(
    client: httpx.Client, database: Database
) -> None:
    rated = {movie for (movie,) in database.rows(f"SELECT movie_id FROM {SCHEMA}.ratings WHERE user_id = 5")}
    shown = client.get("/movies/2/similar", params={"user": 5, "n": 8}).json()
    movies = [movie["movie_id"] for movie in shown["movies"]]
    scores = [movie["score"] for movie in shown["movies"]]
    assert len(movies) == 8
    assert not rated & set(movies)
    assert scores == sorted(scores, reverse=True)
    unknown = client.get("/movies/2/similar", params={"user": 999})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (404, "query.user")


def test_the_genres_of_a_user_are_those_of_the_users_best_movies(client: httpx.Client, worker: Worker) -> None:
    shown = client.get("/users/5/genres").json()
    assert shown["model_version"] == worker.current.snapshot.champion.version  # type: ignore[union-attr]
    assert (shown["user_id"], shown["why_none"]) == (5, None)
    asked = {"user_id": 5, "n": 100, "filters": {"include_seen": True}}
    best = client.post("/recommend", json=asked).json()["movies"]
    for each in shown["genres"]:
        assert each["share"] == pytest.approx(np.mean([each["genre"] in movie["genres"] for movie in best]))
        assert each["score"] == pytest.approx(each["share"] - each["usual"])
    assert shown["genres"] == sorted(shown["genres"], key=lambda each: -each["score"])
    created = client.post("/users", json={}).json()["user_id"]
    without = client.get(f"/users/{created}/genres").json()
    assert without["genres"] == []
    assert "no ratings" in without["why_none"]
    unknown = client.get("/users/999/genres")
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (404, "path.user_id")


def test_a_movie_that_the_model_does_not_know_has_no_neighbours_and_says_so(client: httpx.Client) -> None:
    shown = client.get("/movies/60/similar").json()
    assert shown["movies"] == []
    assert "does not know this movie" in shown["why_fewer"]


def test_a_list_is_based_on_titles_as_people_type_them(client: httpx.Client) -> None:
    by_id = client.post("/recommend", json={"liked_movie_ids": [2, 3]}).json()
    by_title = client.post("/recommend", json={"liked_titles": ["the matrix", "Amelie"]}).json()
    assert by_title["movies"] == by_id["movies"]
    unknown = client.post("/recommend", json={"liked_titles": ["The Matrx"]})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (404, "body.liked_titles")
    assert "'Matrix, The (1952)'" in unknown.json()["detail"]


def test_the_map_has_the_movie_and_its_neighbours_as_the_list_has_them(client: httpx.Client) -> None:
    near = client.get("/movies/1/similar", params={"n": 12}).json()
    drawn = client.get("/movies/1/map", params={"n": 12}).json()
    assert [movie["movie_id"] for movie in drawn["movies"]] == [1, *(movie["movie_id"] for movie in near["movies"])]
    assert [movie["similarity"] for movie in drawn["movies"][1:]] == pytest.approx(
        [movie["similarity"] for movie in near["movies"]]
    )
    assert drawn["model_version"] == near["model_version"]
    assert len({(movie["x"], movie["y"]) for movie in drawn["movies"]}) > 2
    assert 0 < drawn["shares"][1] <= drawn["shares"][0]
    assert sum(drawn["shares"]) <= 1 + 1e-9


def test_a_movie_that_the_model_does_not_know_has_no_map_and_says_why(client: httpx.Client) -> None:
    drawn = client.get(f"/movies/{LAST_MOVIE}/map").json()
    assert (drawn["movies"], drawn["shares"]) == ([], [0.0, 0.0])
    assert "does not know" in drawn["why_fewer"]
    assert client.get("/movies/999/map").status_code == 404
