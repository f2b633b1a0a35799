"""Promotes two versions in turn, each as soon as the API answers from the one before.

Belongs here: the registry, and the times of the changes. A process of its own, because it imports MLflow. Does not:
what clients saw (`changes`).

    python -m movierec_tests.benchmarks.api.promotions PORT USER CHANGES RESULT_JSON
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from movierec_assets.host.model_versions import ModelVersions
from movierec_assets.models.version import MODEL_NAME, Version
from movierec_assets.settings import get_settings
from movierec_tests.benchmarks.api.load import HOST

_LONGEST_WAIT = 120.0
_PAUSE = 0.25


@dataclass(frozen=True)
class Change:
    """One change of the champion.

    Attributes
    ----------
    version : int
        The new champion.
    begun, done : float
        Unix seconds; the alias moved between them.
    answered : float or None
        When an answer first named the version; None when none did within two minutes.
    """

    version: int
    begun: float
    done: float
    answered: float | None


def register_copy(versions: ModelVersions, of: Version) -> int:
    """Register a version with the same files and tags as another; returns its number."""
    import mlflow

    client = versions.registry.client
    mlflow.set_tracking_uri(versions.registry.uri)  # MLflow asks the default one for the files
    tags = {name: text for name, text in of.tags.items() if not name.startswith("promotion_")}
    original: Any = client.get_model_version(MODEL_NAME, str(of.number))
    made = client.create_model_version(
        MODEL_NAME, of.source, of.run_id, tags=tags, model_id=getattr(original, "model_id", None)
    )
    return int(made.version)


def change(versions: ModelVersions, number: int, port: int, user: int) -> Change:
    """Promote a version, and wait until an answer names it."""
    begun = time.time()
    versions.promote(number, "benchmark", force=True)
    done = time.time()
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=10.0) as client:
        while time.time() < done + _LONGEST_WAIT:
            answer = client.post("/recommend", json={"user_id": user, "n": 10})
            if answer.status_code == httpx.codes.OK and answer.json()["model_version"] == number:
                return Change(number, begun, done, time.time())
            time.sleep(_PAUSE)
    return Change(number, begun, done, None)


def main(port: str, user: str, count: str, result: str) -> None:
    """Change the champion so many times, return to the first one, and write the changes."""
    versions = ModelVersions.of(get_settings())
    first = versions.promotions.champion()
    pair = (register_copy(versions, first), first.number)
    changes = [change(versions, pair[number % 2], int(port), int(user)) for number in range(int(count))]
    if changes and changes[-1].version != first.number:
        versions.promote(first.number, "end of the benchmark", force=True)
    versions.registry.client.delete_model_version(MODEL_NAME, str(pair[0]))
    found = {"first": first.number, "changes": [asdict(each) for each in changes]}
    Path(result).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
