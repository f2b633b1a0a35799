"""Claims about generated data: its size and counts, its bytes, its layout on disk and the taste in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.generator import Size, generate
from movierec_assets.datasets.generator.marginals import STAR_COUNTS, ratings_per_film, ratings_per_user, star_quotas
from movierec_assets.datasets.generator.simulation import simulate
from movierec_assets.datasets.generator.stars import give_stars
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.movies import NO_GENRES, read_movies
from movierec_assets.datasets.ratings import read_ratings
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, baselines, metrics
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.scoring import rank
from movierec_assets.recsys.split import leave_latest_out

SIZE = Size(4_000, 4_000, 400_000)
TINY = Size(30, 60, 900)
GENRES = {
    *("Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western", NO_GENRES),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("generated") / "made up"
    assert generate(target, SIZE)
    return target


@pytest.fixture(scope="module")
def movies(directory: Path) -> pl.DataFrame:
    year = pl.col("title").str.extract(r" \((\d{4})\)$").cast(pl.Int32)
    return pl.read_csv(directory / "movies.csv").with_columns(year.alias("year"))


@pytest.fixture(scope="module")
def ratings(directory: Path) -> pl.DataFrame:
    return pl.read_csv(directory / "ratings.csv")


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


# The counts


def test_the_counts_of_ml_20m_are_met() -> None:
    size = Size.like("ml-20m")
    assert (size.ratings, size.users, size.movies, size.rated) == (20_000_263, 138_493, 27_278, 26_744)
    per_user = ratings_per_user(size)
    assert (len(per_user), per_user.sum(), per_user.min()) == (138_493, 20_000_263, 20)
    assert np.median(per_user) == pytest.approx(68, rel=0.02)
    assert per_user.max() == pytest.approx(9_254, rel=0.02)
    per_film = ratings_per_film(size)
    assert (len(per_film), per_film[0]) == (26_744, 67_310)
    assert per_film.sum() == pytest.approx(20_000_263, rel=1e-6)
    assert star_quotas(20_000_263).tolist() == STAR_COUNTS.tolist()


def test_a_share_of_a_release_has_that_share_of_its_users_and_all_its_movies() -> None:
    assert Size.like("ml-20m", 0.125) == Size(17_312, 27_278, 2_500_033)


def test_users_movies_and_ratings_are_as_many_as_asked_for(ratings: pl.DataFrame, movies: pl.DataFrame) -> None:
    assert ratings.height == 400_000
    assert ratings["userId"].unique().sort().to_list() == list(range(1, 4_001))
    assert movies.height == 4_000
    assert ratings["movieId"].n_unique() == SIZE.rated == 3_922
    assert ratings["movieId"].is_in(movies["movieId"].implode()).all()


def test_nobody_rates_a_movie_twice_and_rows_are_in_order(ratings: pl.DataFrame) -> None:
    order = ratings["userId"].cast(pl.Int64) * 1_000_000 + ratings["movieId"]
    assert order.diff().drop_nulls().min() > 0  # type: ignore[operator]


def test_stars_have_the_shares_of_ml_20m(ratings: pl.DataFrame) -> None:
    found = ratings.group_by("rating").len().sort("rating")
    assert found["rating"].to_list() == [half / 2 for half in range(1, 11)]
    assert found["len"].to_list() == star_quotas(400_000).tolist()


def test_activity_and_popularity_have_the_tails_of_ml_20m(ratings: pl.DataFrame) -> None:
    per_user = ratings.group_by("userId").len()["len"]
    assert per_user.min() == 20
    assert per_user.median() == pytest.approx(20 + 48 * (100 - 20) / (144.4 - 20), rel=0.1)
    per_film = ratings.group_by("movieId").len()["len"]
    assert per_film.max() == pytest.approx(0.486 * 4_000, rel=0.08)
    assert per_film.min() >= 1  # type: ignore[operator]
    assert per_film.median() < per_film.mean() / 2  # type: ignore[operator]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_possible_size_is_met_exactly(data: st.DataObject) -> None:
    users = data.draw(st.integers(1, 60), "users")
    movies = data.draw(st.integers(20, 150), "movies")
    size = Size(users, movies, data.draw(st.integers(20 * users, users * movies), "ratings"))
    made = simulate(size, data.draw(st.integers(0, 2**64 - 1), "seed"))
    assert (len(made.films), len(made.ratings_per_user), len(made.film)) == (movies, users, size.ratings)
    assert made.ratings_per_user.min() >= 20
    assert len(np.unique(made.film)) == size.rated
    user = np.repeat(np.arange(users), made.ratings_per_user)
    assert len(np.unique(user * movies + made.film)) == size.ratings
    assert np.bincount(made.half_stars, minlength=11)[1:].tolist() == star_quotas(size.ratings).tolist()


@given(st.lists(st.tuples(st.floats(-5, 5, width=32), st.booleans()), min_size=1, max_size=300))
def test_more_pleasure_is_never_fewer_stars_among_those_with_the_same_choice(rows: list[tuple[float, bool]]) -> None:
    pleasure = np.array([each for each, _ in rows], dtype=np.float32)
    halves = np.array([each for _, each in rows])
    stars = give_stars(pleasure, halves)
    assert np.bincount(stars, minlength=11)[1:].tolist() == star_quotas(len(rows)).tolist()
    for group in (halves, ~halves):
        assert (np.diff(stars[group][np.argsort(pleasure[group], kind="stable")]) >= 0).all()


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ((0, 100, 100), "--users 0: there must be a user. Give at least 1."),
        ((1, 19, 20), "--movies 19: .* Give at least 20."),
        ((50, 100, 999), "--ratings 999: .* Give --ratings 1000 or more, or --users 49 or fewer."),
        ((50, 100, 5_001), "--ratings 5001: .* Give --ratings 5000 or fewer, or --movies 101 or more."),
        ((10, 2_000_000, 300), "--movies 2000000: too many"),
    ],
)
def test_a_size_that_cannot_be_says_which_number_to_change(numbers: tuple[int, int, int], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        Size(*numbers)


def test_a_release_nobody_knows_and_a_share_that_is_none_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"--like ml-1b: no such release\. Choose one of .*ml-20m"):
        Size.like("ml-1b")
    with pytest.raises(DatasetError, match=r"--share 1\.5"):
        Size.like("ml-20m", 1.5)


# The films


def test_titles_are_distinct_and_say_the_year(movies: pl.DataFrame) -> None:
    assert movies["title"].n_unique() == movies.height
    assert movies["year"].null_count() == 0
    assert 1902 <= movies["year"].min() < 1950 < movies["year"].max() <= 2015  # type: ignore[operator]
    assert movies["title"].str.contains(r", The \(\d{4}\)$").any()


def test_genres_are_those_of_movielens_and_a_few_films_have_none(movies: pl.DataFrame) -> None:
    genres = movies["genres"].str.split("|").explode()
    assert set(genres) == GENRES
    assert movies.filter(pl.col("genres").str.contains(NO_GENRES, literal=True))["genres"].unique().to_list() == [
        NO_GENRES
    ]
    assert genres.value_counts(sort=True)["genres"].head(2).to_list() == ["Drama", "Comedy"]


def test_ids_increase_with_gaps(movies: pl.DataFrame) -> None:
    gaps = movies["movieId"].diff().drop_nulls()
    assert movies["movieId"][0] == 1
    assert gaps.min() == 1
    assert gaps.head(500).mean() < 2 < gaps.tail(500).mean()  # type: ignore[operator]


def test_the_platform_reads_every_row(directory: Path) -> None:
    read = read_movies(MovieLensFiles.at(directory))
    rows = read_ratings(MovieLensFiles.at(directory), read.movie_id)
    assert (len(read), len(rows)) == (4_000, 400_000)
    assert len(read.rejects) == len(rows.rejects) == 0


# The times


def test_the_first_and_the_last_rating_are_on_the_days_of_ml_20m(ratings: pl.DataFrame) -> None:
    when = ratings.select(pl.from_epoch("timestamp").dt.date())["timestamp"]
    assert (str(when.min()), str(when.max())) == ("1995-01-09", "2015-03-31")


def test_no_film_is_rated_before_its_year(ratings: pl.DataFrame, movies: pl.DataFrame) -> None:
    dated = ratings.join(movies, on="movieId")
    assert (dated.select(pl.from_epoch("timestamp").dt.year())["timestamp"] >= dated["year"]).all()


def test_ratings_come_in_a_few_sittings_seconds_apart(ratings: pl.DataFrame) -> None:
    ordered = ratings.sort("userId", "timestamp")
    pauses = ordered.select(pl.col("timestamp").diff().over("userId"))["timestamp"].drop_nulls().to_numpy()
    between = pauses > 6 * 3_600
    assert pauses[between].min() > 86_400
    assert pauses[~between].max() <= 900
    assert 2 < np.median(pauses[~between]) < 30
    assert 0.02 < (pauses == 0).mean() < 0.15
    assert 1 < between.sum() / SIZE.users < 4


def test_there_are_no_half_stars_before_there_were_any(ratings: pl.DataFrame) -> None:
    early = ratings.filter(pl.from_epoch("timestamp") < pl.datetime(2003, 2, 18))
    assert early.height > 50_000
    assert (early["rating"] % 1 == 0).all()


# The bytes, and the directory


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    generate(tmp_path / "here", TINY, seed=7)
    code = (
        "import sys; from pathlib import Path; from movierec_assets.datasets.generator import Size, generate; "
        f"generate(Path(sys.argv[1]), Size({TINY.users}, {TINY.movies}, {TINY.ratings}), seed=7)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there")],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "99", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert content(tmp_path / "here") == content(tmp_path / "there")


def test_the_same_seed_gives_the_same_ratings_whatever_thread_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    size = Size(300, 200, 12_000)
    monkeypatch.setattr("movierec_assets.datasets.generator.simulation._BLOCK_RATINGS", 500)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    many = simulate(size, 3)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    one = simulate(size, 3)
    for column in ("film", "half_stars", "rated_at"):
        assert np.array_equal(getattr(many, column), getattr(one, column))


def test_another_seed_gives_other_films_and_ratings(tmp_path: Path) -> None:
    for seed in (1, 2):
        generate(tmp_path / str(seed), TINY, seed=seed)
    one, other = content(tmp_path / "1"), content(tmp_path / "2")
    assert all(one[name] != other[name] for name in one)


def test_the_directory_says_that_it_is_synthetic(directory: Path) -> None:
    assert set(content(directory)) == {"movies.csv", "ratings.csv", "README.txt"}
    assert "SYNTHETIC" in (directory / "README.txt").read_text(encoding="utf-8")


def test_what_was_generated_with_the_same_arguments_is_left(tmp_path: Path) -> None:
    assert generate(tmp_path / "set", TINY)
    before = {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in (tmp_path / "set").iterdir()}
    assert not generate(tmp_path / "set", TINY)
    assert before == {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in (tmp_path / "set").iterdir()}


def test_an_empty_directory_is_filled_and_anything_else_refused(tmp_path: Path) -> None:
    target = tmp_path / "set"
    target.mkdir()
    assert generate(target, TINY)
    with pytest.raises(DatasetError, match=r"holds another generated set, version 1, 900 ratings .*, seed 1\. Name"):
        generate(target, TINY, seed=2)
    (target / "ratings.csv").write_bytes(b"")
    with pytest.raises(DatasetError, match="not as they were written"):
        generate(target, TINY)
    (target / "README.txt").unlink()
    with pytest.raises(DatasetError, match=r"holds files already \(movies.csv, ratings.csv\)"):
        generate(target, TINY)
    with pytest.raises(DatasetError, match="is a file"):
        generate(target / "movies.csv", TINY)
    assert (target / "ratings.csv").read_bytes() == b""


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from movierec_assets.datasets.generator import Size, generate
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
generate(Path({str(tmp_path / "set")!r}), Size({TINY.users}, {TINY.movies}, {TINY.ratings}))
"""
    result = subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.PIPE, text=True)
    assert "cannot be written" in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


# The taste


def test_als_finds_the_taste(ratings: pl.DataFrame) -> None:
    liked = ratings.filter(pl.col("rating") >= 4)
    split, _ = leave_latest_out(RatingColumns.cast(*(liked[name].to_numpy() for name in ratings.columns)))
    task = split.task("test")

    def ndcg(lists: TopK) -> float:
        return float(metrics.score(lists.items, task.held_out.stars, 10).ndcg.mean())

    recipe = Recipe()
    model = ndcg(rank(task, als.fit(task.train, recipe), recipe, 10))
    popularity = ndcg(baselines.popularity(task.train, task.histories, 10))
    assert 0.05 < model < 0.25
    assert model >= 2 * popularity > 0.02


def test_films_rated_one_after_the_other_are_alike(ratings: pl.DataFrame, movies: pl.DataFrame) -> None:
    dated = ratings.join(movies, on="movieId").sort("userId", "timestamp")
    genres = pl.col("genres").str.split("|")

    def alike(rows: pl.DataFrame) -> float:
        other = pl.col("genres").shift().over("userId").str.split("|")
        return float(rows.select(genres.list.set_intersection(other).list.len() / genres.list.len()).mean().item())

    assert alike(dated) > 1.04 * alike(dated.sample(fraction=1, shuffle=True, seed=1))
