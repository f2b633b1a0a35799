"""URLs of the three databases of one Postgres server.

Belongs here: their names and forms. Does not: connecting to them, and where the URL of the server comes from
(`settings`).
"""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url

DAGSTER_SUFFIX, MLFLOW_SUFFIX = "_dagster", "_mlflow"


class DatabaseUrls:
    """URLs of the three databases on one Postgres server.

    Ratings are in the database that the URL names. Dagster's and MLflow's databases have its name with a suffix. URLs
    for libpq (psycopg2) begin with `postgresql://`, those for SQLAlchemy with `postgresql+psycopg2://`.
    """

    def __init__(self, url: str) -> None:
        self._url: URL = make_url(url)

    def _render(self, driver: str, suffix: str) -> str:
        return _text(self._url.set(drivername=driver, database=f"{self._url.database}{suffix}"))

    @property
    def ratings(self) -> str:
        """libpq URL of the ratings database."""
        return self._render("postgresql", "")

    @property
    def dagster(self) -> str:
        """SQLAlchemy URL of Dagster's storage."""
        return self._render("postgresql+psycopg2", DAGSTER_SUFFIX)

    @property
    def mlflow(self) -> str:
        """SQLAlchemy URL of MLflow's backend store."""
        return self._render("postgresql+psycopg2", MLFLOW_SUFFIX)

    @property
    def names(self) -> tuple[str, str, str]:
        """Names of the three databases: ratings, Dagster, MLflow."""
        base = str(self._url.database)
        return base, f"{base}{DAGSTER_SUFFIX}", f"{base}{MLFLOW_SUFFIX}"

    @staticmethod
    def libpq(url: str) -> str:
        """libpq's form of a SQLAlchemy URL."""
        return _text(make_url(url).set(drivername="postgresql"))

    @property
    def shown(self) -> str:
        """URL of the ratings database with the password hidden."""
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)


def _text(url: URL) -> str:
    """A URL with its password; SQLAlchemy writes spaces as pluses, which libpq keeps."""
    address, separator, query = url.render_as_string(hide_password=False).partition("?")
    return address + separator + query.replace("+", "%20")
