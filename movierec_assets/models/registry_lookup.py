"""Who carries an alias in MLflow's registry, asked without MLflow's client, whose import alone takes seconds.

Belongs here: the one question that has to be answered before anything can be served. It is put to MLflow's REST API,
or, where there is no server, to the tables of its store. Everything else goes through the client, in `registry`.

References
----------
MLflow documentation, REST API, "Get Model Version by Alias".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import psycopg2

SECONDS = 5
"""To wait for a connection or an answer."""

_SERVER = "mlflow/registered-models/alias"
_VERSION = """
    SELECT v.version, v.run_id, v.source, v.creation_time
    FROM registered_model_aliases a JOIN model_versions v ON v.name = a.name AND v.version = a.version
    WHERE a.name = %(model)s AND a.alias = %(alias)s AND v.current_stage <> 'Deleted_Internal'
"""
_TAGS = "SELECT key, value FROM model_version_tags WHERE name = %(model)s AND version = %(version)s"


class LookupUnsupportedError(RuntimeError):
    """The registry cannot be asked in this short way; MLflow's client can."""


@dataclass(frozen=True)
class Found:
    """A version as the registry describes it.

    Attributes
    ----------
    number : int
    run_id, source : str
    tags : dict of str
    created : float or None
        Unix seconds.
    """

    number: int
    run_id: str
    source: str
    tags: dict[str, str]
    created: float | None


def by_alias(uri: str, model: str, alias: str) -> Found | None:
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


def _from_tables(uri: str, model: str, alias: str) -> Found | None:
    scheme, rest = uri.split("://", 1)
    url = f"{scheme.partition('+')[0]}://{rest}"
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
    return Found(int(number), run_id or "", source or "", tags, created / 1000 if created else None)


def _from_server(uri: str, model: str, alias: str) -> Found | None:
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
    except requests.RequestException as error:  # an answer that is no JSON is one of them
        raise LookupUnsupportedError(str(error)) from error
    if response.ok and isinstance(answer, Mapping) and "model_version" in answer:
        found = answer["model_version"]
        created = found.get("creation_timestamp")
        tags = {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}
        return Found(
            int(found["version"]),
            found.get("run_id", ""),
            found.get("source", ""),
            tags,
            int(created) / 1000 if created else None,
        )
    # A missing alias is an invalid parameter to MLflow, a missing model a missing resource.
    code = answer.get("error_code") if isinstance(answer, Mapping) else None
    if code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
        return None
    raise LookupUnsupportedError(f"{uri} answers {response.status_code}.")
