"""The model registry: versions of the recommender in MLflow, and which one is the champion.

Belongs here: reading and moving aliases, tags, loading a version. Whether a challenger should be promoted is decided
in `recsys.promotion`; one promotion at a time and their history is `decisions`; tracking of a training run is in
`tracking`. MLflow is imported when it is first needed, because that takes over a second.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg2
import requests
from sqlalchemy.engine import make_url

from movierec_assets.recsys.als import Recipe
from movierec_assets.recsys.promotion import Decision, opponent
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.resources.known_datasets import DatasetRef

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_NAME = "movierec-als"
EXPERIMENT = "movierec"
CHAMPION = "champion"
CHALLENGER = "challenger"
DATASET_ID, DATASET, POSITIVE_THRESHOLD = "dataset_id", "dataset", "positive_threshold"
"""Tags of a version: number and name of its dataset, and the stars from which a rating was a like."""
POSITIVES_FINGERPRINT = "positives_fingerprint"
"""Tag of a version: hash of the likes it was trained on."""
MODEL_FILE = "recommender.npz"
"""Name of the recommender's arrays inside the artifacts of a version."""

# With its defaults the client keeps a caller waiting for four minutes when the server is away.
_CLIENT_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_PROBE_SECONDS = 5
_LONGEST_TAG = 5000


class RegistryUnavailableError(RuntimeError):
    """MLflow does not answer; the message says where it was looked for and what to do."""


class NoSuchVersionError(LookupError):
    """The registry has no such version; the message says which it has."""


class NoChampionError(RuntimeError):
    """No version carries the champion alias; the message says how to get one.

    Parameters
    ----------
    why : str, optional
        How the champion was lost and what to do, when the history knows.
    """

    def __init__(self, why: str | None = None) -> None:
        super().__init__(
            why
            or f"No version of {MODEL_NAME} is the champion yet. Materialize "
            "champion_model and what is in front of it first (job `train`), or run `movierec run`."
        )


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes
    ----------
    number : int
    run_id : str
        MLflow run it came from.
    source : str
        Where its artifacts are.
    tags : dict of str
        Provenance and decision.
    created : datetime or None
    """

    number: int
    run_id: str
    source: str
    tags: dict[str, str]
    created: datetime | None = None

    @property
    def recipe(self) -> Recipe:
        """The recipe it was trained with."""
        return Recipe.from_dict(json.loads(self.tags.get("recipe", "{}")))

    @property
    def dataset(self) -> DatasetRef | None:
        """The dataset it was trained on; None for a version that was registered before datasets were told apart."""
        number = self.tags.get(DATASET_ID, "")
        return DatasetRef(int(number), self.tags.get(DATASET, "?")) if number else None

    @property
    def trained_on(self) -> str:
        """Its dataset and definition of a like, for people; empty where neither was recorded."""
        stars = self.positive_threshold
        likes = "" if stars is None else f"likes from {stars:g} stars"
        return ", ".join(part for part in (str(self.dataset) if self.dataset else "", likes) if part)

    @property
    def positive_threshold(self) -> float | None:
        """Stars from which a rating was a like when it was trained; None where that was not recorded."""
        recorded = json.loads(self.tags.get("made_from", "{}")).get("positive_threshold")
        stars = self.tags.get(POSITIVE_THRESHOLD, recorded)
        return None if stars is None else float(stars)

    def learned_as(self, other: Version) -> bool:
        """Whether this version and another have the same recipe, but for the seed, and learned the same likes.

        False when one of them does not say what it learned.
        """
        known = all({"recipe", POSITIVES_FINGERPRINT} <= set(version.tags) for version in (self, other))
        if not known or self.tags[POSITIVES_FINGERPRINT] != other.tags[POSITIVES_FINGERPRINT]:
            return False
        return opponent(self.recipe, other.recipe) == other.recipe


class ModelRegistry:
    """Versions of the recommender in an MLflow registry.

    Parameters
    ----------
    uri : str
        Tracking and registry URI: an MLflow server, or the SQLAlchemy URL of its database.
    artifacts : Path
        Where artifacts go when there is no server to take them.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self._artifacts = artifacts

    @cached_property
    def client(self) -> MlflowClient:
        """The MLflow client."""
        for name, value in _CLIENT_LIMITS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # noqa: PLC0415

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def require_reachable(self) -> None:
        """Make sure, within seconds, that MLflow answers; its own client would try for much longer.

        Raises
        ------
        RegistryUnavailableError
        """
        try:
            if self.uri.startswith("http"):
                # Any answer will do: a proxy in front of MLflow may know no /health.
                requests.get(f"{self.uri.rstrip('/')}/health", timeout=_PROBE_SECONDS)
                return
            if not self.uri.startswith("postgresql"):
                return
            url = make_url(self.uri).set(drivername="postgresql").render_as_string(hide_password=False)
            with closing(psycopg2.connect(url, connect_timeout=_PROBE_SECONDS)):
                pass
        except (requests.RequestException, psycopg2.OperationalError) as error:
            where = make_url(self.uri).render_as_string(hide_password=True)
            raise RegistryUnavailableError(
                f"MLflow does not answer at {where}; the champion is as it was. "
                "Start its server, or correct MOVIEREC_MLFLOW_TRACKING_URI."
            ) from error

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn whatever MLflow raises because it is away, before or during the block, into one clear error.

        Raises
        ------
        RegistryUnavailableError
        """
        self.require_reachable()
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            yield
        except MlflowException:
            self.require_reachable()
            raise

    def ensure_experiment(self) -> str:
        """Create the experiment unless it exists; returns its id.

        Without a server MLflow would put artifacts under the working directory of whoever comes first.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        location = None if self.uri.startswith("http") else self._artifacts.as_uri()
        try:
            return str(self.client.create_experiment(EXPERIMENT, artifact_location=location))
        except MlflowException:
            again = self.client.get_experiment_by_name(EXPERIMENT)
            if again is None:
                raise
            return str(again.experiment_id)

    def by_alias(self, alias: str) -> Version | None:
        """The version that carries an alias; None when there is none."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            found = self.client.get_model_version_by_alias(MODEL_NAME, alias)
        except MlflowException as error:
            # A missing alias is an invalid parameter to MLflow, a missing model a missing resource.
            if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                return None
            raise
        return _version(found)

    def champion(self) -> Version:
        """The champion.

        Raises
        ------
        NoChampionError
        """
        found = self.by_alias(CHAMPION)
        if found is None:
            raise NoChampionError
        return found

    def version(self, number: int) -> Version:
        """A version by its number.

        Raises
        ------
        NoSuchVersionError
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            return _version(self.client.get_model_version(MODEL_NAME, str(number)))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            present = [str(version.number) for version in self.versions()[:10]]
            listed = (
                f"the newest are {', '.join(present)}" if present else "there is none yet; `movierec run` makes one"
            )
            raise NoSuchVersionError(f"{MODEL_NAME} has no version {number}: {listed}.") from error

    def has(self, number: int) -> bool:
        """Whether a version is there; a deleted one is not."""
        try:
            self.version(number)
        except NoSuchVersionError:
            return False
        return True

    def versions(self) -> list[Version]:
        """All versions, newest first."""
        found = self.client.search_model_versions(f"name='{MODEL_NAME}'")
        return sorted(map(_version, found), key=lambda version: -version.number)

    def exists(self) -> bool:
        """Whether the registered model is there, with versions or without."""
        return bool(self.client.search_registered_models(f"name='{MODEL_NAME}'"))

    def aliases(self) -> dict[int, list[str]]:
        """Aliases of each version that has one."""
        found: dict[int, list[str]] = {}
        for model in self.client.search_registered_models(f"name='{MODEL_NAME}'"):
            for alias, number in sorted(model.aliases.items()):
                found.setdefault(int(number), []).append(alias)
        return found

    def metrics(self, version: Version) -> dict[str, float]:
        """Metrics of the run a version came from; empty when the run is gone."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            return dict(self.client.get_run(version.run_id).data.metrics)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return {}

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log metrics of a run, all at once: one by one they take seconds."""
        from mlflow.entities import Metric  # noqa: PLC0415

        now = int(datetime.now(UTC).timestamp() * 1000)
        self.client.log_batch(run_id, [Metric(name, value, now, 0) for name, value in metrics.items()])

    def log_files(self, run_id: str, directory: str, files: Mapping[str, bytes]) -> None:
        """Keep files, by name, as artifacts of a run."""
        with tempfile.TemporaryDirectory(prefix="movierec-") as scratch:
            for name, content in files.items():
                (Path(scratch) / name).write_bytes(content)
            self.client.log_artifacts(run_id, scratch, directory)

    def name_challenger(self, number: int) -> None:
        """Let a version carry the challenger alias."""
        self.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, str(number))

    def record(self, number: int, decision: Decision, dagster_run_id: str | None) -> None:
        """Move the champion alias if a decision says so, and write it on the version it is about.

        The alias goes first: a version never says that it was promoted when it was not.
        """
        if decision.promoted:
            self.client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(number))
        self.note(number, decision.outcome, decision.reason, dagster_run_id)

    def note(self, number: int, outcome: str, reason: str, dagster_run_id: str | None) -> None:
        """Write a decision on the version it is about."""
        tags = {
            "promotion_outcome": outcome,
            "promotion_reason": reason[:_LONGEST_TAG],
            "promotion_dagster_run_id": dagster_run_id or "",
        }
        for name, value in tags.items():
            self.client.set_model_version_tag(MODEL_NAME, str(number), name, value)

    def set_tag(self, number: int, name: str, value: str) -> None:
        """Write a tag on a version."""
        self.client.set_model_version_tag(MODEL_NAME, str(number), name, value)

    def load(self, version: Version) -> Recommender:
        """The recommender of a version, read from its artifacts."""
        import mlflow  # noqa: PLC0415

        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        directory = mlflow.artifacts.download_artifacts(f"models:/{MODEL_NAME}/{version.number}")
        with np.load(Path(directory) / "artifacts" / MODEL_FILE, allow_pickle=False) as arrays:
            return Recommender.from_arrays(arrays)

    def end_run(self, run_id: str, status: str) -> bool:
        """Give a run that is still marked as running its true end; False when it had one."""
        run = self.client.get_run(run_id)
        if run.info.status != "RUNNING":
            return False
        self.client.set_terminated(run_id, status=status)
        return True

    def runs_of(self, dagster_run_id: str) -> list[str]:
        """MLflow runs that a Dagster run started."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return []
        found = self.client.search_runs([experiment.experiment_id], f"tags.dagster_run_id = '{dagster_run_id}'")
        return [run.info.run_id for run in found]


def _version(found: Any) -> Version:
    """MLflow's version; its number is text over REST and a number from a database."""
    created = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC) if found.creation_timestamp else None
    return Version(int(found.version), str(found.run_id), str(found.source), dict(found.tags), created)
