"""Claims about the demo set: its catalogue, its bytes, its layout on disk and the taste it simulates."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from movierec_assets.datasets.demo import DEMO_VERSION, Film, load_catalogue, make_demo
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.generated import DEMO_NAME
from movierec_assets.datasets.generator.marginals import star_quotas

MOVIELENS_GENRES = {
    *("Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
}
FEW = 40


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo set as a user gets it."""
    return make_demo(tmp_path_factory.mktemp("datasets") / DEMO_NAME)


@pytest.fixture(scope="module")
def films(demo: Path) -> pd.DataFrame:
    movies = pd.read_csv(demo / "movies.csv")
    movies["year"] = movies["title"].str.extract(r"\((\d{4})\)$", expand=False).astype(int)
    return movies.set_index("movieId")


@pytest.fixture(scope="module")
def ratings(demo: Path) -> pd.DataFrame:
    return pd.read_csv(demo / "ratings.csv")


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


# The catalogue


def test_there_are_at_least_400_films_with_title_year_genre_and_fame() -> None:
    catalogue = load_catalogue()
    assert len(catalogue) >= 400
    for film in catalogue:
        assert film.title == film.title.strip() != ""
        assert 1920 <= film.year <= 2025
        assert film.genres
        assert set(film.genres) <= MOVIELENS_GENRES
        assert list(film.genres) == sorted(set(film.genres))
        assert 1 <= film.fame <= 10


def test_no_film_appears_twice_and_they_are_sorted_by_year_then_title() -> None:
    order = [(film.year, film.title) for film in load_catalogue()]
    assert order == sorted(set(order))


def test_every_genre_and_every_decade_has_its_films() -> None:
    catalogue = load_catalogue()
    for genre in MOVIELENS_GENRES:
        assert sum(genre in film.genres for film in catalogue) >= 10, genre
    for decade in range(1920, 2030, 10):
        assert sum(film.year // 10 * 10 == decade for film in catalogue) >= 10, decade


@pytest.mark.parametrize(
    "film",
    [
        Film("Casablanca", 1942, ("Drama", "Romance", "War"), 8),
        Film("The Good, the Bad and the Ugly", 1966, ("Action", "Adventure", "Western"), 7),
        Film("Toy Story", 1995, ("Adventure", "Animation", "Children", "Comedy", "Fantasy"), 10),
        Film("Heat", 1995, ("Action", "Crime", "Thriller"), 7),
        Film("The Matrix", 1999, ("Action", "Sci-Fi", "Thriller"), 10),
        Film("Amélie", 2001, ("Comedy", "Romance"), 8),
        Film("Monsters, Inc.", 2001, ("Adventure", "Animation", "Children", "Comedy", "Fantasy"), 8),
    ],
    ids=lambda film: film.title,
)
def test_a_film_everyone_knows_is_there_commas_and_accents_kept(film: Film, films: pd.DataFrame) -> None:
    assert film in load_catalogue()
    row = films.loc[load_catalogue().index(film) + 1]
    assert row["title"] == f"{film.title} ({film.year})"
    assert row["genres"] == "|".join(film.genres)


# The bytes


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = make_demo(tmp_path / "here", users=FEW, seed=7)
    there = tmp_path / "there"
    code = (
        f"from pathlib import Path; from movierec_assets.datasets.demo import make_demo as m; m(Path({str(there)!r}), "
    )
    subprocess.run(
        [sys.executable, "-c", f"{code}users={FEW}, seed=7)"], check=True, env=os.environ | {"PYTHONHASHSEED": "99"}
    )
    assert content(there) == content(here)


def test_another_seed_gives_other_ratings_of_the_same_films(tmp_path: Path) -> None:
    one, other = (content(make_demo(tmp_path / str(seed), users=FEW, seed=seed)) for seed in (7, 8))
    assert one["movies.csv"] == other["movies.csv"]
    assert one["ratings.csv"] != other["ratings.csv"]


def test_a_version_always_holds_the_same_films_and_ratings(demo: Path, ratings: pd.DataFrame) -> None:
    # When this fails because the catalogue or the simulation was changed, raise DEMO_VERSION along with the
    # digests, or demo sets made earlier are taken for the new one.
    assert DEMO_VERSION == 2
    digests = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in content(demo).items()}
    assert digests["movies.csv"] == "8793362bfdf09a83"
    assert digests["ratings.csv"] == "7d6daa1c72a5c77c"
    assert ratings["rating"].value_counts().sort_index().to_list() == star_quotas(len(ratings)).tolist()


def test_other_kinds_of_processor_give_the_same_bytes(tmp_path: Path) -> None:
    def made(name: str, **environment: str) -> dict[str, bytes]:
        code = (
            "import sys; from pathlib import Path; from movierec_assets.datasets.demo import make_demo; "
            "make_demo(Path(sys.argv[1]), users=60)"
        )
        command = [sys.executable, "-c", code, str(tmp_path / name)]
        subprocess.run(command, check=True, env=os.environ | environment)
        return content(tmp_path / name)

    # Processors without these features have other code for logarithms, sums and products.
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    plain = made("plain", NPY_DISABLE_CPU_FEATURES=" ".join(found), OPENBLAS_CORETYPE="Nehalem")
    assert made("usual") == plain


def test_the_readme_says_that_the_ratings_are_simulated(demo: Path) -> None:
    assert "SIMULATED" in (demo / "README.txt").read_text(encoding="utf-8")


# The ratings


def test_every_rating_is_on_the_half_star_grid(ratings: pd.DataFrame) -> None:
    assert set(ratings["rating"]) == {stars / 2 for stars in range(1, 11)}


def test_nobody_rates_a_film_twice_and_few_films_share_a_second(ratings: pd.DataFrame) -> None:
    assert not ratings.duplicated(["userId", "movieId"]).any()
    assert 0.02 < ratings.duplicated(["userId", "timestamp"]).mean() < 0.15


def test_every_rated_film_is_known_and_already_released(ratings: pd.DataFrame, films: pd.DataFrame) -> None:
    assert ratings["movieId"].isin(films.index).all()
    when = pd.to_datetime(ratings["timestamp"], unit="s")
    assert (when.dt.year > films["year"].reindex(ratings["movieId"]).to_numpy()).all()
    assert when.min() >= pd.Timestamp("1996-01-01")
    assert when.max() < pd.Timestamp("2026-01-01")


def test_every_user_has_20_to_350_ratings_and_the_median_about_45(ratings: pd.DataFrame) -> None:
    counts = ratings.groupby("userId").size()
    assert list(counts.index) == list(range(1, 601))
    assert counts.min() >= 20
    assert counts.max() <= 350
    assert 40 <= counts.median() <= 50
    assert len(ratings) == 42_000


def test_users_watch_in_sessions_that_lie_days_to_months_apart(ratings: pd.DataFrame) -> None:
    pauses = ratings.sort_values(["userId", "timestamp"]).groupby("userId")["timestamp"].diff().dropna()
    between_sessions = pauses > 3600
    assert pauses[~between_sessions].max() <= 900
    assert pauses[~between_sessions].median() <= 30
    assert between_sessions.groupby(ratings["userId"]).any().all()
    assert pauses[between_sessions].min() >= 86_400
    assert 0.05 < between_sessions.mean() < 0.3


def test_the_histogram_looks_like_movielens(ratings: pd.DataFrame) -> None:
    stars = ratings["rating"]
    assert 3.3 <= stars.mean() <= 3.7
    shares = stars.value_counts(normalize=True)
    assert shares.idxmax() == 4.0
    for whole in (2.0, 3.0, 4.0, 5.0):
        assert shares[whole] > shares[whole - 0.5]
    assert (stars % 1 == 0).mean() > 0.65


def test_few_films_are_famous_and_many_are_not(ratings: pd.DataFrame, films: pd.DataFrame) -> None:
    counts = ratings.groupby("movieId").size().reindex(films.index, fill_value=0).sort_values(ascending=False)
    assert counts.iloc[:20].mean() > 2.8 * counts.median()


def test_the_most_rated_films_are_those_that_people_know(ratings: pd.DataFrame) -> None:
    most_rated = ratings["movieId"].value_counts().index[:20]
    fame = np.array([film.fame for film in load_catalogue()])
    assert fame[most_rated - 1].min() >= 8
    counts = np.bincount(ratings["movieId"], minlength=len(fame) + 1)[1:]
    assert np.corrcoef(fame, np.log1p(counts))[0, 1] > 0.6


# On disk


def test_a_complete_demo_is_reused_untouched(tmp_path: Path) -> None:
    target = make_demo(tmp_path / DEMO_NAME, users=FEW)
    before = {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in target.iterdir()}
    assert make_demo(target, users=FEW) == target
    assert {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in target.iterdir()} == before


@pytest.mark.parametrize("damaged", ["movies.csv", "ratings.csv", "README.txt"])
def test_a_demo_that_lost_its_end_is_made_again(tmp_path: Path, damaged: str) -> None:
    target = make_demo(tmp_path / DEMO_NAME, users=FEW)
    whole = content(target)
    (target / damaged).write_bytes(whole[damaged][: len(whole[damaged]) // 2])
    assert content(make_demo(target, users=FEW)) == whole


def test_a_demo_made_with_other_arguments_is_replaced(tmp_path: Path) -> None:
    old = content(make_demo(tmp_path / DEMO_NAME, users=FEW, seed=1))
    new = content(make_demo(tmp_path / DEMO_NAME, users=FEW, seed=2))
    assert old != new == content(make_demo(tmp_path / "fresh", users=FEW, seed=2))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [DEMO_NAME, "fresh"]


def run_with_small_disk(target: Path, *, killed: bool) -> int:
    """Make a demo set where the system stops any file at 30 kB, in the middle of `ratings.csv`."""
    code = f"""
import resource, signal
from pathlib import Path
from movierec_assets.datasets.demo import make_demo
signal.signal(signal.SIGXFSZ, signal.SIG_{"DFL" if killed else "IGN"})
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
make_demo(Path({str(target)!r}), users={FEW})
"""
    return subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    assert run_with_small_disk(tmp_path / DEMO_NAME, killed=False) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_process_killed_while_writing_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    target = tmp_path / DEMO_NAME
    assert run_with_small_disk(target, killed=True) == -signal.SIGXFSZ
    assert not target.exists()
    assert list(tmp_path.rglob("ratings.csv")), "it was killed before it wrote anything"
    assert list(tmp_path.rglob("README.txt")) == []
    assert set(content(make_demo(target, users=FEW))) == {"movies.csv", "ratings.csv", "README.txt"}


def test_a_failed_write_keeps_the_demo_that_was_there(tmp_path: Path) -> None:
    target = make_demo(tmp_path / DEMO_NAME, users=FEW, seed=1)
    before = content(target)
    assert run_with_small_disk(target, killed=False) == 1
    assert content(target) == before


def test_files_that_are_not_the_demos_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"thesis\.tex"):
        make_demo(tmp_path, users=FEW)
    with pytest.raises(DatasetError, match="is a file"):
        make_demo(tmp_path / "thesis.tex", users=FEW)
    assert (tmp_path / "thesis.tex").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("readme", [None, "My own ratings"])
def test_ratings_somebody_collected_are_never_replaced(tmp_path: Path, readme: str | None) -> None:
    target = make_demo(tmp_path / DEMO_NAME, users=FEW)
    (target / "README.txt").unlink()
    if readme:
        (target / "README.txt").write_text(readme, encoding="utf-8")
    before = content(target)
    with pytest.raises(DatasetError, match="not the demo set's"):
        make_demo(target, users=FEW)
    assert content(target) == before


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    assert set(content(make_demo(tmp_path, users=FEW))) == {"movies.csv", "ratings.csv", "README.txt"}


def test_a_demo_without_users_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        make_demo(tmp_path / DEMO_NAME, users=0)


# The taste


def test_users_rate_higher_in_the_genre_and_the_era_they_watched_most(
    ratings: pd.DataFrame, films: pd.DataFrame
) -> None:
    # The favourite is what a user watched unusually often in the first half of the history; the ratings
    # compared are those of the second half, so that neither is picked for the other.
    genres = films["genres"].str.get_dummies()
    decades = pd.get_dummies(films["year"] // 10 * 10)
    ordered = ratings.sort_values(["userId", "timestamp"])
    users, stars = ordered["userId"].to_numpy(), ordered["rating"].to_numpy()
    by_user = ordered.groupby("userId")["userId"]
    early = (by_user.cumcount() < by_user.transform("size") / 2).to_numpy()

    for labels, margin in ((genres, 0.25), (decades, 0.1)):
        carries = labels.reindex(ordered["movieId"]).to_numpy().astype(bool)
        usual = carries[early].mean(axis=0)
        margins = []
        for user in np.unique(users):
            mine, later = (users == user) & early, (users == user) & ~early
            favourite = carries[:, np.argmax(carries[mine].mean(axis=0) - usual)]
            if favourite[later].any() and not favourite[later].all():
                margins.append(stars[later & favourite].mean() - stars[later & ~favourite].mean())
        assert len(margins) > 500
        assert np.mean(margins) > margin


def ndcg_at_10(scores: npt.NDArray[np.float64], train: csr_matrix, held_out: csr_matrix) -> float:
    """Mean over the users with a held-out film of binary NDCG at 10, training films left out."""
    top = np.argsort(np.where(train.toarray() > 0, np.inf, -scores), axis=1, kind="stable")[:, :10]
    relevant = held_out.toarray() > 0
    discount = 1 / np.log2(np.arange(2, 12))
    gain = np.take_along_axis(relevant, top, axis=1) @ discount
    ideal = np.array([discount[:count].sum() for count in relevant.sum(axis=1)])
    return float(np.mean(gain[ideal > 0] / ideal[ideal > 0]))


@pytest.mark.parametrize("seed", [2026, 2027, 2028])
def test_als_ranks_the_latest_liked_film_far_better_than_popularity(tmp_path: Path, seed: int) -> None:
    liked = pd.read_csv(make_demo(tmp_path / DEMO_NAME, seed=seed) / "ratings.csv").query("rating >= 4")
    latest = liked["timestamp"] == liked.groupby("userId")["timestamp"].transform("max")
    known = liked[~latest].groupby("userId").size().reindex(liked["userId"], fill_value=0).to_numpy()

    def matrix(part: pd.DataFrame) -> csr_matrix:
        shape = (int(liked["userId"].max()), len(load_catalogue()))
        return csr_matrix((np.ones(len(part), np.float32), (part["userId"] - 1, part["movieId"] - 1)), shape=shape)

    train, held_out = matrix(liked[~latest]), matrix(liked[latest & (known >= 4)])
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=64, regularization=10, iterations=15, random_state=1, num_threads=1)
        model.fit(train * 5, show_progress=False)

    als = ndcg_at_10(model.user_factors @ model.item_factors.T, train, held_out)
    popularity = ndcg_at_10(np.tile(train.sum(axis=0).A1, (train.shape[0], 1)), train, held_out)
    assert als >= 1.5 * popularity
    assert als > 0.06
