"""Settings from the environment, and the URLs derived from them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import make_url

from movierec_assets.cli import root as cli
from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.recsys.promotion import Margins
from movierec_assets.serving.api.dagster_client import DagsterClient
from movierec_assets.settings import PROJECT_ROOT, Settings, SettingsError, get_settings


def test_the_three_databases_are_named_after_the_one_in_the_url() -> None:
    urls = DatabaseUrls("postgresql://user:secret@host:6543/films")
    assert urls.ratings == "postgresql://user:secret@host:6543/films"
    assert urls.dagster == "postgresql+psycopg2://user:secret@host:6543/films_dagster"
    assert urls.mlflow == "postgresql+psycopg2://user:secret@host:6543/films_mlflow"
    assert urls.names == ("films", "films_dagster", "films_mlflow")


@given(
    password=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    user=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
)
def test_any_user_and_password_reach_libpq_and_sqlalchemy(user: str, password: str) -> None:
    urls = DatabaseUrls(f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@host/films")
    libpq = parse_dsn(urls.ratings)
    assert (libpq["user"], libpq["password"], libpq["dbname"]) == (user, password, "films")
    for url in (urls.dagster, urls.mlflow):
        parsed = make_url(url)
        assert (parsed.username, parsed.password, parsed.host) == (user, password, "host")


def test_query_parameters_stay_in_every_url() -> None:
    urls = DatabaseUrls("postgresql://u@/films?host=/var/run/postgresql&sslmode=require&options=-c%20timezone%3DUTC")
    libpq = parse_dsn(urls.ratings)
    assert libpq["host"] == "/var/run/postgresql"
    assert libpq["options"] == "-c timezone=UTC"
    for url, name in ((urls.dagster, "films_dagster"), (urls.mlflow, "films_mlflow")):
        parsed = make_url(url)
        assert parsed.database == name
        assert parsed.query["sslmode"] == "require"
        assert parsed.query["options"] == "-c timezone=UTC"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_way_to_write_postgres_gives_urls_that_their_readers_take(scheme: str) -> None:
    urls = DatabaseUrls(Settings(database_url=f"{scheme}://user@host/films").databases.ratings)
    assert urls.ratings == "postgresql://user@host/films"
    assert urls.mlflow.startswith("postgresql+psycopg2://")


def test_the_url_that_is_shown_hides_the_password() -> None:
    assert "s3cret" not in DatabaseUrls("postgresql://user:s3cret@host/films").shown
    assert "user" in DatabaseUrls("postgresql://user:s3cret@host/films").shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://user:s3cret@host/films", "Postgres only"),
        ("sqlite:///films.db", "Postgres only"),
        ("host=localhost dbname=films password=s3cret", "expected postgresql://"),
        ("postgresql://user:s3cret@host", "names no database"),
        ("postgresql://user:s3cret@host/", "names no database"),
        ("postgresql://user:s3cret@host:port/films", "expected postgresql://"),
        ("postgresql://user:s3cret@host/films?sslmodus=require", 'invalid URI query parameter: "sslmodus"'),
        (f"postgresql://user:s3cret@host/{'f' * 56}", "more than 55 bytes"),
    ],
)
def test_a_wrong_url_is_explained_with_the_variable_and_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, message: str
) -> None:
    monkeypatch.setenv("MOVIEREC_DATABASE_URL", url)
    with pytest.raises(SettingsError) as raised:
        get_settings()
    assert message in str(raised.value)
    assert "s3cret" not in str(raised.value)

    monkeypatch.setattr("sys.argv", ["movierec", "db", "url"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr().err
    assert ended.value.code == 1
    assert "MOVIEREC_DATABASE_URL" in shown
    assert message in shown
    assert "s3cret" not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MOVIEREC_POSITIVE_THRESHOLD", "6", "less than or equal to 5"),
        ("MOVIEREC_POSITIVE_THRESHOLD", "many", "valid number"),
        ("MOVIEREC_DAGSTER_PORT", "0", "greater than or equal to 1"),
        ("MOVIEREC_MLFLOW_PORT", "70000", "less than or equal to 65535"),
        ("MOVIEREC_MLFLOW_PORT", "3000", "both are 3000; give one another port"),
        ("MOVIEREC_TIMEZONE", "Berlin", "'Berlin' is no time zone; expected one of the IANA list, as in Europe/Berlin"),
        ("MOVIEREC_TIMEZONE", "new york", "as in America/New_York"),
        ("MOVIEREC_TIMEZONE", "Europe", "as in Europe/Berlin"),
        ("MOVIEREC_TIMEZONE", "/etc/passwd", "as in Europe/Berlin"),
        ("MOVIEREC_MLFLOW_TRACKING_URI", "localhost:5000", "as in http://127.0.0.1:5000"),
        ("MOVIEREC_DAGSTER_WEBSERVER", "dagster:3000", "not the address of a Dagster server; expected one as in"),
        ("MOVIEREC_DAGSTER_PUBLIC_URL", "dagster.example", "not the address of a Dagster server; expected one as in"),
        ("MOVIEREC_API_PUBLIC_URL", "api.example", "not the address of an API server; expected one as in"),
        ("MOVIEREC_MLFLOW_TRACKING_URI", "./mlruns", "as in http://127.0.0.1:5000"),
        ("MOVIEREC_MLFLOW_TRACKING_URI", "http://host:port", "as in http://127.0.0.1:5000"),
        ("MOVIEREC_STORAGE_URL", "s4://bucket/path", "s4:// cannot be used"),
        ("MOVIEREC_STATE_DIR", __file__, "is a file; expected a directory"),
        (
            "MOVIEREC_ALERT_WEBHOOK_URL",
            "hooks.slack.com/services",
            "no address of a webhook; expected one as in https://",
        ),
        ("MOVIEREC_ALERT_SMTP_URL", "mail.example:587", "no address of a mail server; expected one as in smtp://"),
        ("MOVIEREC_ALERT_SMTP_URL", "smtp://mail.example:many", "no address of a mail server"),
        ("MOVIEREC_ALERT_SMTP_URL", "smtp://mail.example", "set without MOVIEREC_ALERT_EMAIL_TO"),
        ("MOVIEREC_ALERT_EMAIL_TO", "ann@films.example", "set without MOVIEREC_ALERT_SMTP_URL"),
        ("MOVIEREC_ALERT_EMAIL_TO", "ann", "'ann' is no address of e-mail"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_line_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("sys.argv", ["movierec", "data", "list"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert variable in line
    assert message in line


def test_without_a_database_the_message_says_how_to_get_one() -> None:
    with pytest.raises(SettingsError, match=r"MOVIEREC_DATABASE_URL.*movierec db start"):
        _ = get_settings().databases


def test_an_external_database_goes_before_the_embedded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIEREC_EMBEDDED_DATABASE_URL", "postgresql://u@127.0.0.1:1/embedded")
    assert get_settings().databases.names[0] == "embedded"
    monkeypatch.setenv("MOVIEREC_DATABASE_URL", "postgresql://u@elsewhere/external")
    assert get_settings().databases.names[0] == "external"


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "STATE_DIR", "DATASET", "DAGSTER_PORT"):
        monkeypatch.setenv(f"MOVIEREC_{name}", "")
    settings = get_settings()
    assert (settings.database_url, settings.dataset, settings.dagster_port) == (None, None, 3000)
    assert settings.state == PROJECT_ROOT / ".movierec"


def test_paths_follow_the_state_directory_and_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOVIEREC_STATE_DIR", "here")
    settings = get_settings()
    assert settings.state == tmp_path / "here"
    assert settings.storage == str(tmp_path / "here" / "storage")
    assert settings.data == PROJECT_ROOT / "data"


@pytest.mark.parametrize(
    ("storage", "directory"),
    [
        (None, Path("/state/storage")),
        ("/disk/matrices", Path("/disk/matrices")),
        ("file:///disk/matrices", Path("/disk/matrices")),
        ("local:///disk/matrices", Path("/disk/matrices")),
        ("memory://disk/matrices", None),
    ],
)
def test_a_storage_on_a_disk_of_this_machine_has_a_directory(storage: str | None, directory: Path | None) -> None:
    assert Settings(state_dir=Path("/state"), storage_url=storage).local_storage == directory


def test_an_mlflow_server_goes_before_the_database() -> None:
    direct = Settings(database_url="postgresql://u@host/films")
    assert direct.mlflow_uri == direct.databases.mlflow
    served = Settings(database_url="postgresql://u@host/films", mlflow_tracking_uri="http://mlflow:5000")
    assert served.mlflow_uri == "http://mlflow:5000"


def test_links_lead_to_the_public_address_of_dagster() -> None:
    assert Settings(dagster_port=3100).dagster_pages == "http://127.0.0.1:3100"
    assert Settings(dagster_webserver="http://webserver:3000").dagster_pages == "http://webserver:3000"
    here = Settings(dagster_webserver="http://webserver:3000", dagster_public_url="https://films.example:3443")
    assert (here.dagster_address, here.dagster_pages) == ("http://webserver:3000", "https://films.example:3443")
    assert DagsterClient.of(here).page_of("a-run") == "https://films.example:3443/runs/a-run"


def test_defaults_are_those_of_the_settings_table() -> None:
    fields = Settings.model_fields
    assert fields["positive_threshold"].default == 4.0
    assert fields["timezone"].default == "UTC"
    assert all(field.description for field in fields.values())


def test_nothing_is_read_or_made_when_settings_are_imported(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.cli, ["--help"], env={"MOVIEREC_STATE_DIR": str(tmp_path / "never")})
    assert result.exit_code == 0
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("text", "limit"), [("3GB", 3 * 10**9), ("512MB", 512 * 10**6), ("1GiB", 2**30), ("99000000", 99_000_000)]
)
def test_the_memory_limit_is_read_as_people_write_it(monkeypatch: pytest.MonkeyPatch, text: str, limit: int) -> None:
    assert get_settings().memory_limit == 2 * 10**9
    monkeypatch.setenv("MOVIEREC_MEMORY_LIMIT", text)
    assert get_settings().memory_limit == limit


@pytest.mark.parametrize("text", ["1KB", "much", "-3GB"])
def test_a_memory_limit_too_small_to_work_with_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MOVIEREC_MEMORY_LIMIT", text)
    with pytest.raises(SettingsError, match="MOVIEREC_MEMORY_LIMIT"):
        get_settings()


def test_the_margins_are_those_of_the_rule() -> None:
    settings = get_settings()
    assert Margins(settings.improvement_margin, settings.refresh_margin) == Margins()
