"""Checks of the values of settings: each returns the value, or says what is wrong with it and what is expected.

Belongs here: one value at a time. Does not: which settings there are, and values that must fit together (`settings`).
Messages never hold the value of a URL: it may hold a password.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationInfo
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from movierec_assets.database_urls import DAGSTER_SUFFIX, MLFLOW_SUFFIX, DatabaseUrls

_MAX_NAME_BYTES = 63
"""Postgres cuts longer names."""


def absolute(value: Path | None) -> Path | None:
    """The absolute path of a directory, which need not exist."""
    if value is None:
        return None
    path = value.expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; expected a directory, as in {path.parent}")
    return path


def known_zone(value: str) -> str:
    """A time zone of the IANA list."""
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415

    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError) as error:  # a directory of zones, a path, an unknown name
        wanted = value.replace(" ", "_").casefold()
        alike = sorted(zone for zone in available_timezones() if zone.casefold().split("/")[-1] == wanted)
        example = next((zone for zone in alike if "/" in zone), "Europe/Berlin")
        raise ValueError(f"{value!r} is no time zone; expected one of the IANA list, as in {example}") from error
    return value


def address_of_server(value: str | None, info: ValidationInfo) -> str | None:
    """An address that people and programs open, as in http://127.0.0.1:3000."""
    if value is None:
        return None
    api = ("an API", 8000)
    named = {"mlflow_tracking_uri": ("an MLflow", 5000), "app_api_url": api, "api_public_url": api}
    server, port = named.get(info.field_name or "", ("a Dagster", 3000))
    example = f"http://127.0.0.1:{port}"
    try:
        parsed = urlsplit(value)
        host, _ = parsed.hostname, parsed.port
    except ValueError as error:
        raise ValueError(f"not an address; expected one as in {example}") from error
    if parsed.scheme not in ("http", "https") or not host:
        raise ValueError(f"not the address of {server} server; expected one as in {example}")
    return value


def origins(value: str) -> str:
    """Origins for CORS, with commas between them, or `*`."""
    for origin in filter(None, map(str.strip, value.split(","))):
        if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", origin):
            raise ValueError(f"{origin!r} is no origin; expected scheme and host, as in https://films.example")
    return value


def proxies(value: str) -> str:
    """Addresses or networks of proxies, with commas between them."""
    for proxy in filter(None, map(str.strip, value.split(","))):
        try:
            ip_network(proxy)
        except ValueError as error:
            example = "127.0.0.1 or 10.0.0.0/24"
            raise ValueError(f"{proxy!r} is no address or network; expected one as in {example}") from error
    return value


def address_of_receiver(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """The address of a webhook or a mail server, which holds a secret."""
    mail = info.field_name == "alert_smtp_url"
    schemes = ("smtp", "smtps") if mail else ("http", "https")
    example = "smtp://user:password@mail.example:587" if mail else "https://hooks.slack.com/services/..."
    try:
        parsed = urlsplit(value.get_secret_value() if value else f"{schemes[0]}://none")
        usable = parsed.scheme in schemes and bool(parsed.hostname) and (parsed.port is None or parsed.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"no address of a {'mail server' if mail else 'webhook'}; expected one as in {example}")
    return value


def addresses_of_mail(value: str) -> str:
    """Addresses of e-mail, with commas between them."""
    for address in filter(None, map(str.strip, value.split(","))):
        if not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", address):
            raise ValueError(f"{address!r} is no address of e-mail; expected one as in team@films.example")
    return value.strip()


def known_storage(value: str | None) -> str | None:
    """A path, or a URL for which fsspec has what it needs."""
    if value is not None and "://" in value:
        from fsspec import get_filesystem_class  # type: ignore[import-untyped]  # noqa: PLC0415

        protocol = value.partition("://")[0]
        try:
            get_filesystem_class(protocol)
        except (ImportError, ValueError) as error:
            raise ValueError(f"{protocol}:// cannot be used ({error}); expected a path or an fsspec URL") from error
    return value


def libpq_url(value: str | None) -> str | None:
    """The URL of a Postgres database whose name leaves room for the names of the others."""
    if value is None:
        return None
    try:
        url = make_url(value)
    except (ArgumentError, ValueError) as error:
        raise ValueError("not a database URL; expected postgresql://user:password@host:5432/movierec") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"is a {url.get_backend_name()} URL; the platform runs on Postgres only")
    if not url.database:
        raise ValueError("names no database; end it with one, as in postgresql://user@host:5432/movierec")
    if len(f"{url.database}{DAGSTER_SUFFIX}".encode()) > _MAX_NAME_BYTES:
        max_bytes = _MAX_NAME_BYTES - len(DAGSTER_SUFFIX)
        raise ValueError(
            f"names a database of more than {max_bytes} bytes; Postgres cuts longer names, and {DAGSTER_SUFFIX} "
            f"and {MLFLOW_SUFFIX} are added to it"
        )
    from psycopg2 import ProgrammingError  # noqa: PLC0415
    from psycopg2.extensions import parse_dsn  # noqa: PLC0415

    try:
        parse_dsn(DatabaseUrls(value).ratings)
    except ProgrammingError as error:
        problem = str(error).strip() if "parameter" in str(error) else "not a URL that libpq reads"
        raise ValueError(f"{problem}; expected postgresql://user:password@host:5432/movierec") from error
    return value
