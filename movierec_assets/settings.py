"""Settings of the platform, read from the environment.

Belongs here: names, defaults, and values derived from them (paths, database URLs). Does not: connecting to
anything. The environment is not read on import: assets and commands call `get_settings()` and pass plain values on.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import ByteSize, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.errors import ExplainedError
from movierec_assets.setting_values import (
    absolute,
    address_of_receiver,
    address_of_server,
    addresses_of_mail,
    known_storage,
    known_zone,
    libpq_url,
    origins,
    proxies,
)

PROJECT_ROOT = Path(__file__).resolve().parent.parent

DAGSTER_URL_VARIABLE = "MOVIEREC_DAGSTER_URL"
DAGSTER_FILES_VARIABLE = "MOVIEREC_DAGSTER_FILES"
"""Read by dagster.yaml, which cannot derive them."""
EMBEDDED_URL_VARIABLE = "MOVIEREC_EMBEDDED_DATABASE_URL"


class SettingsError(ExplainedError, ValueError):
    """A setting is missing or unusable; the message names the variable and the remedy."""


class Settings(BaseSettings):
    """The platform's settings; each field is read from MOVIEREC_<FIELD>."""

    # Messages without the input, which may hold a password: Dagster logs them.
    model_config = SettingsConfigDict(
        env_prefix="MOVIEREC_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    # Directories
    home: Path = Field(
        default=PROJECT_ROOT, description="Project directory: holds dagster.yaml, workspace.yaml and data/."
    )
    state_dir: Path | None = Field(
        default=None, description="Everything made at run time: database, artifacts, logs [HOME/.movierec]."
    )
    data_dir: Path | None = Field(
        default=None, description="Directory of datasets, searched and downloaded into [HOME/data]."
    )
    storage_url: str | None = Field(
        default=None,
        description="Directory of matrices and Parquet files, or any fsspec URL [STATE_DIR/storage].",
    )

    # Data
    dataset: str | None = Field(
        default=None,
        description="Name of a known release, `demo`, or the path of a directory or archive [found or downloaded].",
    )
    positive_threshold: float = Field(
        default=4.0, ge=0.5, le=5.0, description="A rating of at least this many stars is a like."
    )
    max_rejected_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest share of rejected rows, of ratings.csv, of the rows appended to it, or of movies.csv; a "
        "file with more replaces nothing; with 1 every row that fits is loaded.",
    )
    allow_unordered: bool = Field(
        default=False,
        description="Load ratings whose times do not tell their order; nothing is trained on them.",
    )
    memory_limit: ByteSize = Field(
        default=ByteSize(2_000_000_000),
        ge=64_000_000,
        description="Working memory of a stage, as in 512MB or 3GB: sizes the blocks it reads, writes and ranks in; at "
        "least 64MB.",
    )

    # Training and promotion
    warm_start: bool = Field(
        default=True, description="Train on changed data from the champion's factors while the recipe stays the same."
    )
    improvement_margin: float = Field(
        default=0.005,
        ge=0,
        description="Smallest lead of another recipe, as a share of the champion's NDCG@10, to be an improvement. "
        "Below 0.005 it is also the smallest loss on return for which a challenger is rejected.",
    )
    refresh_margin: float = Field(
        default=0.002,
        ge=0,
        description="NDCG@10 by which a model of changed data may be worse than the champion.",
    )
    min_evaluated_users: int = Field(
        default=10,
        ge=1,
        description="Smallest number of users to score a challenger on; with fewer, none is trained.",
    )
    min_coverage: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Smallest coverage of a challenger, as a share of the champion's (else popularity's).",
    )
    max_popularity_share: float = Field(
        default=0.8, gt=0, le=1, description="Largest share of the top 1 % of movies among a challenger's listings."
    )
    min_full_lists: float = Field(
        default=0.99, ge=0, le=1, description="Smallest share of users for whom a challenger fills a list of 20."
    )
    git_commit: str | None = Field(
        default=None, description="Commit to record with models where the code is no git repository."
    )

    # Servers
    database_url: str | None = Field(
        default=None, description="libpq URL of the ratings database on an external Postgres [an embedded server]."
    )
    embedded_database_url: str | None = Field(
        default=None, description="Set by `movierec` for the processes it starts; not for people."
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, description="MLflow server [the MLflow database on the same Postgres, without a server]."
    )
    dagster_webserver: str | None = Field(
        default=None,
        description="Address of Dagster's webserver, where the API launches runs [this machine, DAGSTER_PORT].",
    )
    dagster_public_url: str | None = Field(
        default=None, description="Address of Dagster's pages for people, where links lead [DAGSTER_WEBSERVER]."
    )
    dagster_port: int = Field(default=3000, ge=1, le=65535, description="Port of the Dagster UI under `movierec up`.")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="Port of the MLflow UI under `movierec up`.")
    api_host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(default=8000, ge=1, le=65535, description="Port of the API.")
    api_public_url: str | None = Field(
        default=None, description="Address of the API for people, as in the calls that the app shows [APP_API_URL]."
    )
    api_workers: int = Field(default=1, ge=1, le=64, description="Processes that answer the API's requests.")
    api_reader_keys: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether reading needs a key: `always`, `never`, or `auto`, unless the API listens on loopback; "
        "what changes models and runs always needs one.",
    )
    api_cors_origins: str = Field(
        default="",
        description="Origins whose pages may call the API, separated by commas, as in https://films.example [none].",
    )
    api_trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        description="Addresses or networks of proxies whose X-Forwarded-For names the client, separated by commas; "
        "empty for none.",
    )
    api_body_limit: ByteSize = Field(
        default=ByteSize(1_000_000), ge=1_000, description="Largest body of a request, as in 200KB or 1MB."
    )
    api_rate_limit: int = Field(
        default=1200,
        ge=0,
        description="Requests a minute of one key, or of one address without a key, that a worker answers; 0 for any "
        "number; this machine has no limit without a key.",
    )
    api_concurrency: int = Field(
        default=200, ge=1, description="Requests that a worker has at a time; further ones are told to come back."
    )
    api_access_log: bool = Field(default=True, description="Write a line of JSON for each request.")

    app_host: str = Field(default="127.0.0.1", description="Address that the app listens on.")
    app_port: int = Field(default=8501, ge=1, le=65535, description="Port of the app.")
    app_api_url: str | None = Field(
        default=None, description="Address of the API that the app asks [this machine, API_PORT]."
    )
    app_api_key_file: Path | None = Field(
        default=None, description="File with a reader's key, which the app sends to the API [no key]."
    )

    served_days: int = Field(
        default=90,
        ge=15,
        le=400,
        description="Days for which the API's lists and events are kept; figures of each day stay.",
    )

    # Automation
    timezone: str = Field(default="UTC", description="Time zone of the schedules.")
    automation: bool = Field(
        default=False,
        description="Schedules and sensors are on unless a person switched one in Dagster; `movierec up` and the "
        "containers set it.",
    )
    new_ratings_to_train: int = Field(
        default=1000, ge=1, description="New ratings from the API that start a training before the nightly one."
    )
    new_ratings_max_hours: float = Field(
        default=24.0, gt=0, description="Age of the oldest new rating from the API that starts a training as well."
    )
    keep_days: int = Field(
        default=30,
        ge=1,
        description="Days for which versions, model files and logs that nothing needs are kept.",
    )
    keep_runs_days: int = Field(
        default=90,
        ge=31,
        description="Days for which runs of Dagster that nothing needs are kept with their event logs.",
    )
    min_free_disk: ByteSize = Field(
        default=ByteSize(2_000_000_000), description="Free space of the state directory below which an alert is sent."
    )
    backup_dir: Path | None = Field(default=None, description="Directory of the daily backups [STATE_DIR/backups].")
    backups_kept: int = Field(default=7, ge=1, description="Daily backups that are kept.")

    # Alerts
    alert_webhook_url: SecretStr | None = Field(
        default=None, description="Address of a webhook of Slack, Discord or Teams, to which alerts are posted."
    )
    alert_email_to: str = Field(default="", description="Addresses that alerts are mailed to, separated by commas.")
    alert_email_from: str = Field(default="", description="Sender of these mails [the first address].")
    alert_smtp_url: SecretStr | None = Field(
        default=None,
        description="Server of these mails, as in smtp://user:password@mail.example:587 (STARTTLS) or smtps://.",
    )

    _absolute = field_validator("home", "state_dir", "data_dir", "backup_dir")(absolute)
    _known_zone = field_validator("timezone")(known_zone)
    _address_of_server = field_validator(
        "mlflow_tracking_uri", "dagster_webserver", "dagster_public_url", "app_api_url", "api_public_url"
    )(address_of_server)
    _origins = field_validator("api_cors_origins")(origins)
    _proxies = field_validator("api_trusted_proxies")(proxies)
    _address_of_receiver = field_validator("alert_webhook_url", "alert_smtp_url")(address_of_receiver)
    _addresses_of_mail = field_validator("alert_email_to", "alert_email_from")(addresses_of_mail)
    _known_storage = field_validator("storage_url")(known_storage)
    _libpq_url = field_validator("database_url", "embedded_database_url")(libpq_url)

    @model_validator(mode="after")
    def _different_ports(self) -> Self:
        names: dict[int, str] = {}
        for name in ("dagster_port", "mlflow_port", "api_port", "app_port"):
            port, variable = getattr(self, name), f"MOVIEREC_{name.upper()}"
            if port in names:
                raise ValueError(f"{names[port]} and {variable}: both are {port}; give one another port")
            names[port] = variable
        return self

    @model_validator(mode="after")
    def _whole_mail(self) -> Self:
        if bool(self.alert_recipients) != (self.alert_smtp_url is not None):
            there, missing = ("EMAIL_TO", "SMTP_URL") if self.alert_recipients else ("SMTP_URL", "EMAIL_TO")
            raise ValueError(f"MOVIEREC_ALERT_{there}: set without MOVIEREC_ALERT_{missing}; e-mail needs both")
        return self

    @property
    def cors_origins(self) -> list[str]:
        """Origins whose pages may call the API."""
        return [origin.strip() for origin in self.api_cors_origins.split(",") if origin.strip()]

    @property
    def trusted_proxies(self) -> list[str]:
        """Addresses and networks whose X-Forwarded-For names the client."""
        return [proxy.strip() for proxy in self.api_trusted_proxies.split(",") if proxy.strip()]

    @property
    def alert_recipients(self) -> list[str]:
        """Addresses that alerts are mailed to."""
        return [address.strip() for address in self.alert_email_to.split(",") if address.strip()]

    @property
    def readers_need_keys(self) -> bool:
        """Whether requests that only read need a key."""
        loopback = self.api_host == "localhost" or self.api_host.startswith("127.") or self.api_host == "::1"
        return self.api_reader_keys == "always" or (self.api_reader_keys == "auto" and not loopback)

    @property
    def api_address(self) -> str:
        """Address of the API for programs and people on this machine."""
        return _address(self.api_host, self.api_port)

    @property
    def app_address(self) -> str:
        """Address of the app for people on this machine."""
        return _address(self.app_host, self.app_port)

    @property
    def app_api_address(self) -> str:
        """Address of the API that the app asks."""
        return self.app_api_url or self.api_address

    @property
    def api_public_address(self) -> str:
        """Address of the API for people."""
        return self.api_public_url or self.app_api_address

    @property
    def batch_bytes(self) -> int:
        """Memory for the temporary arrays of a batch of users; the rest is for everything else."""
        return self.memory_limit // 8

    @property
    def state(self) -> Path:
        """Directory for everything made at run time."""
        return self.state_dir or self.home / ".movierec"

    @property
    def artifacts(self) -> Path:
        """Directory of MLflow's artifacts, unless an MLflow server stores them."""
        return self.state / "mlartifacts"

    @property
    def backups(self) -> Path:
        """Directory of the daily backups."""
        return self.backup_dir or self.state / "backups"

    @property
    def data(self) -> Path:
        """Directory of downloaded datasets."""
        return self.data_dir or self.home / "data"

    @property
    def storage(self) -> str:
        """Base path or URL of matrices and Parquet files."""
        if self.storage_url is None:
            return str(self.state / "storage")
        return self.storage_url if "://" in self.storage_url else str(Path(self.storage_url).expanduser().resolve())

    @property
    def local_storage(self) -> Path | None:
        """Directory of matrices and Parquet files; None where they are not on a disk of this machine."""
        protocol, found, path = self.storage.rpartition("://")
        return Path(path) if not found or protocol in ("file", "local") else None

    @property
    def databases(self) -> DatabaseUrls:
        """URLs of the three databases.

        Raises
        ------
        SettingsError
            When neither an external nor an embedded server is set.
        """
        url = self.database_url or self.embedded_database_url
        if url is None:
            raise SettingsError(
                "No database: MOVIEREC_DATABASE_URL is not set and the embedded server was not started. "
                "Run `movierec db start`, which also writes .env, or set MOVIEREC_DATABASE_URL."
            )
        return DatabaseUrls(url)

    @property
    def dagster_address(self) -> str:
        """Address of Dagster's webserver."""
        return self.dagster_webserver or f"http://127.0.0.1:{self.dagster_port}"

    @property
    def dagster_pages(self) -> str:
        """Address of Dagster's pages for people."""
        return self.dagster_public_url or self.dagster_address

    @property
    def mlflow_uri(self) -> str:
        """Tracking and registry URI: the MLflow server if one is set, else MLflow's database."""
        return self.mlflow_tracking_uri or self.databases.mlflow


def _address(host: str, port: int) -> str:
    """Address of a server on this machine; one that listens everywhere is reached on loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def get_settings() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    SettingsError
        With one line for each variable that cannot be used.
    """
    own = frozenset(item for item in os.environ.items() if item[0].upper().startswith("MOVIEREC_"))
    try:
        directory = os.getcwd()
    except FileNotFoundError:  # it was removed; absolute paths do not need it
        directory = ""
    return _read(own, directory, os.environ.get("HOME"))


@lru_cache(maxsize=8)
def _read(*_environment: object) -> Settings:
    """Read the settings, once for each environment: that takes milliseconds, and a sensor asks several times."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(map(_line, error.errors()))) from None


def _line(problem: ErrorDetails) -> str:
    variable = "".join(f"MOVIEREC_{part}: ".upper() for part in problem["loc"][:1])
    return variable + problem["msg"].removeprefix("Value error, ")
