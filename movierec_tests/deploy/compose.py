"""docker-compose.yml, Dockerfile and workspaces as the tests of this room read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from movierec_assets.settings import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "movierec_assets" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"secrets", "migrate", "app-key"}
OWN = {name: service for name, service in SERVICES.items() if service["image"] == "movierec"}
"""Services of the platform's own image."""


def image_environment() -> dict[str, str]:
    """Variables that the image sets."""
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2].replace("\\\n", " ")
    (values,) = re.findall(r"^ENV (.*)$", lines, re.M)
    return dict(pair.split("=", 1) for pair in values.split())


def environment_of(service: str) -> dict[str, str]:
    """Variables of a service, without those of the image; `${NAME:-default}` counts as its default."""
    return {name: default_of(str(value)) for name, value in SERVICES[service].get("environment", {}).items()}


def default_of(text: str) -> str:
    """A text of the compose file where no variable is set."""
    while (inner := re.sub(r"\$\{\w+:-([^${}]*)\}", r"\1", text)) != text:
        text = inner
    return text


def read_yaml(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))
