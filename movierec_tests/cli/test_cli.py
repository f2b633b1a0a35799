"""The `movierec` command, as people type it, in processes of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg2
import pytest

from movierec_assets.datasets.demo import make_demo
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests import readme_calls
from movierec_tests.benchmarks.api.service import free_port
from movierec_tests.cli.command import Movierec, environment, home_of, run_movierec
from movierec_tests.conftest import Dataset
from movierec_tests.waiting import PATIENCE, wait_until

USERS = 120


def _servers_of(state: Path) -> list[psutil.Process]:
    """Postgres processes that run in a state directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if "postgres" in process.name() and str(state) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _wait_for_the_end_of_servers(state: Path) -> None:
    wait_until(lambda: not _servers_of(state), "the end of Postgres")


HEAVY = {
    "alembic",
    "dagster",
    "matplotlib",
    "mlflow",
    "optuna",
    "pandas",
    "polars",
    "pyarrow",
    "requests",
    "scipy.stats",
}
"""Modules that take tenths of a second to seconds to import, and that no answer needs."""

IMPORTS = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from movierec_assets.cli.root import main
main()
"""


def _run_and_see_imports(directory: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run a command that succeeds in a process of its own; returns also the modules that it imported."""
    result = subprocess.run(
        [sys.executable, "-c", IMPORTS, *arguments],
        env=environment(directory),
        capture_output=True,
        encoding="utf-8",
        timeout=10 * PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result, set(result.stderr.splitlines()[-1].split())


def _recommend(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `movierec recommend`, which imports only what it needs."""
    result, imported = _run_and_see_imports(directory, "recommend", *arguments)
    assert "movierec_assets.serving.recommendations" in imported
    assert not HEAVY & imported
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    """A state directory after `movierec run`, and the output of the run."""
    directory = home_of(tmp_path_factory.mktemp("cli"))
    demo = make_demo(directory / "demo set", users=USERS)
    yield directory, run_movierec(directory, "run", "--dataset", str(demo))
    EmbeddedPostgres(directory / "state").destroy(force=True)


@pytest.mark.slow
def test_a_run_ends_with_dataset_metrics_champion_five_users_and_next_commands(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, result = trained
    assert result.returncode == 0, result.stdout + result.stderr
    shown = result.stdout
    assert f"demo set: chosen by path, {directory / 'demo set'}." in shown
    for asset in ("raw_movies", "raw_ratings", "als_model", "champion_model", "user_recommendations"):
        assert f"✓ {asset}" in shown
    assert f"{USERS * 20:,} recommendations for {USERS} users" in shown
    header = next(line for line in shown.splitlines() if "at 10" in line)
    assert header.index("version 1, served") < header.index("popularity")
    rows = [line.replace("│", " ").split() for line in shown.splitlines() if "│" in line]
    moments = [" ".join(row) for row in rows if row[:1] in (["in"], ["on"])]
    assert moments == ["in the sitting", "on return"]
    figures = [[float(cell) for cell in row[1:]] for row in rows if row[:1] == ["ndcg"]]
    assert [len(each) for each in figures] == [2, 2], "of the version and of popularity, at both moments"
    assert all(0 < ndcg < 1 for each in figures for ndcg in each)
    assert "Champion   version 1 of demo set (dataset 1)" in shown
    assert "first: No champion yet. This version is clearly better than popularity" in shown
    assert "Five users" in shown
    users = [line for line in shown.splitlines() if line.startswith("│") and line.split("│")[1].strip().isdigit()]
    assert len(users) == 5
    assert "movierec up" in shown
    assert "movierec recommend --user" in shown
    assert "Traceback" not in shown + result.stderr
    assert "IOManager" not in shown, "Dagster's own lines stay in its event log"
    logs = "".join(file.read_text() for file in (directory / "state" / "logs").glob("*.log"))
    assert "\x1b" not in shown + result.stderr + logs


@pytest.mark.slow
def test_after_a_run_no_postgres_of_it_is_left(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _wait_for_the_end_of_servers(trained[0])


@pytest.mark.slow
def test_recommendations_come_from_the_champion(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    directory, _ = trained
    result = _recommend(directory, "--user", "42", "-k", "7")
    assert "because of" in result.stdout
    assert "From the model, version 1" in result.stdout
    ranks = [line.split("│")[1].strip() for line in result.stdout.splitlines() if line.startswith("│")]
    assert [rank for rank in ranks if rank] == [str(rank) for rank in range(1, 8)]


@pytest.mark.slow
def test_recommendations_for_a_liked_movie_are_json_for_programs(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, _ = trained
    result = _recommend(directory, "--like", "toy story", "--json")
    answer = json.loads(result.stdout)
    assert answer["liked"] == ["Toy Story (1995)"]
    assert (answer["source"], answer["model_version"]) == ("model", 1)
    assert [movie["rank"] for movie in answer["movies"]] == list(range(1, 11))
    assert "Toy Story (1995)" not in [movie["title"] for movie in answer["movies"]]
    for movie in answer["movies"]:
        assert set(movie) == {"rank", "movie_id", "title", "score", "reasons"}
        assert {reason["title"] for reason in movie["reasons"]} == {"Toy Story (1995)"}
        kinds = [reason["kind"] for reason in movie["reasons"]]
        assert len(set(kinds)) == len(kinds)
        # What speaks against a movie is not among the reasons.
        assert sum(reason["contribution"] for reason in movie["reasons"]) >= movie["score"] - 1e-3
    moment = answer["moment"]
    assert (moment["name"], moment["elapsed_seconds"], moment["note"]) == ("in the sitting", 0, None)


@pytest.mark.slow
def test_a_request_has_a_moment_which_can_be_tried_out(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    def answered(*arguments: str) -> dict[str, Any]:
        result = run_movierec(trained[0], "recommend", "--user", "42", "--json", *arguments)
        assert result.returncode == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    sitting, now, early = answered("--at", "latest"), answered(), answered("--at", "1990-01-02T03:04+01:00")
    assert (sitting["moment"]["name"], sitting["moment"]["elapsed_seconds"]) == ("in the sitting", 0)
    assert now["moment"]["name"] == "on return"
    assert now["moment"]["elapsed_seconds"] > 0
    assert early["movies"] == sitting["movies"]
    assert "1990-01-02 02:04:00 UTC is before the user's latest like" in early["moment"]["note"]


def test_help_imports_no_room_below_the_command_line(tmp_path: Path) -> None:
    _, imported = _run_and_see_imports(tmp_path, "--help")
    below = (
        *("datasets", "defs", "host", "models", "postgres", "recsys"),
        *("resources", "serving", "settings", "sql", "tables"),
    )
    assert not {f"movierec_assets.{room}" for room in below} & imported
    assert not (HEAVY | {"numpy", "psycopg2", "pydantic", "scipy", "sqlalchemy"}) & imported


@pytest.mark.slow
def test_recommendations_for_nobody_are_the_most_liked_movies(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    answer = json.loads(_recommend(trained[0], "--json", "-k", "3").stdout)
    assert answer["source"] == "popular"
    scores = [movie["score"] for movie in answer["movies"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "9999"], f"User 9999 has no ratings. Users with ratings: 1 to {USERS}."),
        (["--like", "Toy Stroy"], "Did you mean 'Toy Story (1995)'"),
    ],
)
def test_an_unknown_user_or_title_is_explained(
    trained: tuple[Path, subprocess.CompletedProcess[str]], arguments: list[str], message: str
) -> None:
    result = run_movierec(trained[0], "recommend", *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_call_of_the_readme_and_of_the_page_of_the_api_is_answered(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    variables, port = environment(trained[0]), free_port()
    command = [sys.executable, "-m", "movierec_assets.cli", "api", "--port", str(port)]
    server = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _is_ready(port), "an API that is ready")
        address = f"localhost:{port}"
        calls = list(readme_calls.run(readme_calls.README, address, variables))
        of_the_page = list(readme_calls.run(readme_calls.PAGE, address, variables))
    finally:
        server.terminate()
        server.wait(PATIENCE)
    assert len(calls) > 5
    assert len(of_the_page) > 2
    for call in [*calls, *of_the_page]:
        if "/train" in call.command:  # there is no Dagster
            assert call.status != 0
            assert "503" in call.output, call
        else:
            assert call.status == 0, call
    _wait_for_the_end_of_servers(trained[0])


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", verify=False).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_a_broken_dataset_ends_with_its_reason_and_leaves_the_champion(
    trained: tuple[Path, subprocess.CompletedProcess[str]], make_dataset: Dataset
) -> None:
    directory, _ = trained
    broken = make_dataset(["1,1,4.0,964982703"], name="broken")
    (broken / "ratings.csv").write_text("userId,movieId,rating\n1,1,4.0\n")
    result = run_movierec(directory, "run", "--dataset", str(broken))
    assert result.returncode == 1
    last = "\n".join(result.stdout.splitlines()[-3:])
    assert f"{broken / 'ratings.csv'}, line 1: no column timestamp" in last
    assert "Write a column timestamp" in last
    assert "Traceback" not in result.stdout + result.stderr
    assert json.loads(run_movierec(directory, "recommend", "--json").stdout)["model_version"] == 1
    _wait_for_the_end_of_servers(directory)


@pytest.mark.slow
def test_the_embedded_database_is_started_found_and_stopped(movierec: Movierec, tmp_path: Path) -> None:
    before = movierec("db", "status")
    assert before.returncode == 3
    assert "is not running" in before.stdout
    no_url = movierec("db", "url")
    assert no_url.returncode == 1
    assert "movierec db start" in no_url.stderr
    try:
        started = movierec("db", "start")
        assert started.returncode == 0, started.stderr
        assert (tmp_path / "home" / ".env").stat().st_mode & 0o777 == 0o600
        status = movierec("db", "status")
        assert status.returncode == 0
        assert "until `movierec db stop`" in status.stdout
        url = movierec("db", "url").stdout.strip()
        assert url not in started.stdout, "the password is not shown unasked"
        connection = psycopg2.connect(url)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM movierec.ratings")
            assert cursor.fetchone() == (0,)
        connection.close()
    finally:
        stopped = movierec("db", "stop")
    assert stopped.stdout == "Stopped.\n"
    _wait_for_the_end_of_servers(tmp_path)
    assert movierec("db", "stop").stdout == "Nothing was running.\n"


def test_an_external_database_is_migrated(movierec: Movierec, server_url: str) -> None:
    migrated = movierec("db", "migrate", MOVIEREC_DATABASE_URL=server_url)
    assert migrated.returncode == 0, migrated.stderr
    assert migrated.stdout.endswith("are up to date.\n")
    assert server_url not in migrated.stdout, "the password is not shown unasked"


def test_an_external_database_is_not_started_or_stopped(movierec: Movierec, server_url: str) -> None:
    status = movierec("db", "status", MOVIEREC_DATABASE_URL=server_url)
    assert status.returncode == 0
    assert "External Postgres" in status.stdout
    assert server_url not in status.stdout
    stop = movierec("db", "stop", MOVIEREC_DATABASE_URL=server_url)
    assert stop.returncode == 1
    assert "MOVIEREC_DATABASE_URL names an external Postgres" in stop.stderr


def test_an_external_database_that_does_not_answer_is_explained(movierec: Movierec) -> None:
    result = movierec("db", "status", MOVIEREC_DATABASE_URL="postgresql://u:hidden@127.0.0.1:1/films")
    assert result.returncode == 1
    assert "127.0.0.1:1/films" in result.stderr
    assert result.stderr.endswith(" See that this server runs, or correct MOVIEREC_DATABASE_URL.\n")
    assert "Traceback" not in result.stderr
    assert "hidden" not in result.stderr


@pytest.mark.slow
def test_a_refresh_with_another_dataset_reports_that_recommendations_are_gone(
    trained: tuple[Path, subprocess.CompletedProcess[str]], make_dataset: Dataset
) -> None:
    """The last test on these tables."""
    ratings = [f"{user},{movie},4.0,{10**9 + user * movie}" for user in range(1, 8) for movie in range(1, 9)]
    result = run_movierec(trained[0], "run", "--job", "refresh", "--dataset", str(make_dataset(ratings, name="other")))
    assert result.returncode == 0, result.stdout + result.stderr
    last = " ".join(result.stdout.split())
    assert "The tables of recommendations are empty, because they were for demo set (dataset 1)." in last
    assert "`movierec run` trains on other (dataset 2) and fills them." in last
