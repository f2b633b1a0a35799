"""The version that carries an alias in MLflow's registry, asked without MLflow's client, whose import takes seconds.

Belongs here: this one query, to MLflow's REST API or to the tables of its store; every answer to people waits for it.
Does not: other queries (`registry`).

References
----------
MLflow documentation, REST API, "Get Model Version by Alias".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime

import psycopg2

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.models.version import Version

SECONDS = 5
"""Longest wait for a connection or an answer."""
MISSING = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
"""MLflow's error codes for a missing alias, and for a missing model, version or run."""

_SERVER = "mlflow/registered-models/alias"
_VERSION = """
    SELECT v.version, v.run_id, v.source, v.creation_time
    FROM registered_model_aliases a JOIN model_versions v ON v.name = a.name AND v.version = a.version
    WHERE a.name = %(model)s AND a.alias = %(alias)s AND v.current_stage <> 'Deleted_Internal'
"""
_TAGS = "SELECT key, value FROM model_version_tags WHERE name = %(model)s AND version = %(version)s"


class LookupUnsupportedError(RuntimeError):
    """The registry cannot be asked without MLflow's client."""


def by_alias(uri: str, model: str, alias: str) -> Version | None:
    """The version of a model that carries an alias; None when there is none.

    Parameters
    ----------
    uri : str
        Registry URI: of an MLflow server, or the SQLAlchemy URL of its database.
    model, alias : str

    Raises
    ------
    LookupUnsupportedError
        When the store is of another kind, has other tables, does not answer, or wants credentials that only MLflow's
        client knows.
    """
    if uri.startswith(("http://", "https://")):
        return _from_server(uri, model, alias)
    if uri.startswith("postgresql"):
        return _from_tables(uri, model, alias)
    raise LookupUnsupportedError(f"{uri.partition(':')[0]} stores are read by MLflow's client.")


def _from_tables(uri: str, model: str, alias: str) -> Version | None:
    url = DatabaseUrls.libpq(uri)
    try:
        with closing(psycopg2.connect(url, connect_timeout=SECONDS)) as connection, connection.cursor() as cursor:
            cursor.execute(_VERSION, {"model": model, "alias": alias})
            versions = cursor.fetchall()
            if not versions:
                return None
            if len(versions) > 1:
                raise LookupUnsupportedError(f"{model} is in several workspaces.")
            number, run_id, source, created = versions[0]
            cursor.execute(_TAGS, {"model": model, "version": number})
            tags = {key: value or "" for key, value in cursor.fetchall()}
    except psycopg2.Error as error:
        raise LookupUnsupportedError(str(error)) from error
    return Version(int(number), run_id or "", source or "", tags, time_of(created))


def _from_server(uri: str, model: str, alias: str) -> Version | None:
    import requests  # noqa: PLC0415

    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    try:
        response = requests.get(
            f"{uri.rstrip('/')}/api/2.0/{_SERVER}",
            params={"name": model, "alias": alias},
            headers={"Authorization": f"Bearer {token}"} if token else {},
            auth=(user, password or "") if user else None,
            timeout=SECONDS,
        )
        answer = response.json()
    except requests.RequestException as error:  # also when the answer is no JSON
        raise LookupUnsupportedError(str(error)) from error
    if response.ok and isinstance(answer, Mapping) and "model_version" in answer:
        found = answer["model_version"]
        tags = {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}
        run_id, source, created = (found.get(name, "") for name in ("run_id", "source", "creation_timestamp"))
        return Version(int(found["version"]), run_id, source, tags, time_of(created))
    if isinstance(answer, Mapping) and answer.get("error_code") in MISSING:
        return None
    raise LookupUnsupportedError(f"{uri} answers {response.status_code}.")


def time_of(milliseconds: str | int | None) -> datetime | None:
    """MLflow's milliseconds as a time; None where there are none."""
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None
