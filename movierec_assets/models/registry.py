"""The model registry: versions of the recommender in MLflow, and which one is the champion.

Belongs here: reading and moving aliases, tags, what to do about a version that does not load. Reading its files is in
`version_files`. Whether a challenger should be promoted is decided
in `recsys.promotion`; one promotion at a time and their history is `decisions`; tracking of a training run is in
`tracking`. MLflow is imported when it is first needed, because that takes over a second.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy.engine import make_url

from movierec_assets.errors import ExplainedError
from movierec_assets.models import artifact_locations, registry_lookup, version_files, version_page
from movierec_assets.models.champion_copy import ChampionCopy
from movierec_assets.models.version import (
    CHALLENGER,
    CHAMPION,
    EXPERIMENT,
    MODEL_NAME,
    TRAINING_KEY,
    Version,
)
from movierec_assets.progress import Log
from movierec_assets.recsys.promotion import Decision
from movierec_assets.recsys.recommender import Recommender

if TYPE_CHECKING:
    from mlflow import MlflowClient

# With its defaults the client keeps a caller waiting for four minutes when the server is away.
_CLIENT_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_PROBE_SECONDS = 5
_LONGEST_TAG = 5000
# A missing alias is an invalid parameter to MLflow, a missing model, version or run a missing resource.
_NOT_THERE = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")

_log = logging.getLogger(__name__)


class RegistryUnavailableError(ExplainedError, RuntimeError):
    """MLflow does not answer; the message says where it was looked for and what to do."""


class NoSuchVersionError(ExplainedError, LookupError):
    """The registry has no such version; the message says which it has."""


class VersionFilesError(ExplainedError, RuntimeError):
    """A version cannot be loaded because its files are gone or damaged; the message says which, and what to do.

    Never raised because MLflow, the disk or the network does not answer.

    Attributes
    ----------
    version : int
    problem : str
        The file and what is wrong with it, without a full stop.
    """

    def __init__(self, version: int, problem: str, remedy: str) -> None:
        super().__init__(f"Version {version} of {MODEL_NAME} cannot be loaded: {problem}. {remedy}")
        self.version = version
        self.problem = problem


class NoChampionError(ExplainedError, RuntimeError):
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


class ModelRegistry:
    """Versions of the recommender in an MLflow registry.

    Parameters
    ----------
    uri : str
        Tracking and registry URI: an MLflow server, or the SQLAlchemy URL of its database.
    artifacts : Path
        Where artifacts go when there is no server to take them. The champion's copy is kept beside it.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self._artifacts = artifacts
        self.copy = ChampionCopy(artifacts.parent / "champion")

    @cached_property
    def client(self) -> MlflowClient:
        """The MLflow client."""
        for name, value in _CLIENT_LIMITS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # noqa: PLC0415

        artifact_locations.use(self.uri, self._artifacts)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def require_reachable(self) -> None:
        """Make sure, within seconds, that MLflow answers; its own client would try for much longer.

        Raises
        ------
        RegistryUnavailableError
        """
        try:
            if self.uri.startswith("http"):
                import requests  # noqa: PLC0415

                # Any answer will do: a proxy in front of MLflow may know no /health.
                requests.get(f"{self.uri.rstrip('/')}/health", timeout=_PROBE_SECONDS)
                return
            if not self.uri.startswith("postgresql"):
                return
            url = make_url(self.uri).set(drivername="postgresql").render_as_string(hide_password=False)
            with closing(psycopg2.connect(url, connect_timeout=_PROBE_SECONDS)):
                pass
        except (OSError, psycopg2.OperationalError) as error:  # all errors of requests are OSErrors
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
        try:
            yield
        except Exception as error:
            if type(error).__module__.startswith("mlflow."):
                self.require_reachable()
            raise

    def ensure_experiment(self, log: Log = _log.warning) -> str:
        """Create the experiment unless it exists, restore it when it was deleted in MLflow; returns its id.

        Without a server MLflow would put artifacts under the working directory of whoever comes first.

        Parameters
        ----------
        log : callable
            Told when something was restored.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            location = None if self._through_server else artifact_locations.ROOT
            try:
                return str(self.client.create_experiment(EXPERIMENT, artifact_location=location))
            except MlflowException:
                found = self.client.get_experiment_by_name(EXPERIMENT)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
            log(f"The experiment {EXPERIMENT} was deleted in MLflow; it is restored, with its runs.")
        return str(found.experiment_id)

    @property
    def _through_server(self) -> bool:
        return self.uri.startswith("http")

    def by_alias(self, alias: str) -> Version | None:
        """The version that carries an alias; None when there is none."""
        try:
            found = registry_lookup.by_alias(self.uri, MODEL_NAME, alias)
        except registry_lookup.LookupUnsupportedError:
            self.require_reachable()  # within seconds; the client would try for minutes
            return self._by_alias_of_client(alias)
        if found is None:
            return None
        created = None if found.created is None else datetime.fromtimestamp(found.created, UTC)
        return Version(found.number, found.run_id, found.source, found.tags, created)

    def _by_alias_of_client(self, alias: str) -> Version | None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            found = self.client.get_model_version_by_alias(MODEL_NAME, alias)
        except MlflowException as error:
            if error.error_code in _NOT_THERE:
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
            if error.error_code not in _NOT_THERE:
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
            if error.error_code not in _NOT_THERE:
                raise
            return {}

    def log_metrics(self, version: Version, metrics: Mapping[str, float], on_page: Collection[str]) -> None:
        """Log metrics of a version, and describe the version anew.

        Parameters
        ----------
        version : Version
        metrics : mapping of str to float
            Logged on the version's run, all at once: one by one they take seconds.
        on_page : collection of str
            Names of those that are shown on the page of the version's logged model as well.
        """
        from mlflow.entities import Metric  # noqa: PLC0415

        now = int(datetime.now(UTC).timestamp() * 1000)
        batch = [
            Metric(name, value, now, 0, model_id=version.model_id if name in on_page else None)
            for name, value in metrics.items()
        ]
        self.client.log_batch(version.run_id, batch)
        self.describe(version.number)

    def describe(self, number: int) -> None:
        """Write on a version's page what it was trained on, how, what it reaches, and what was decided about it."""
        version = self.version(number)
        recipe = version.recipe if "recipe" in version.tags else None
        text = version_page.description(version.provenance, recipe, version.trained_on, self.metrics(version))
        self.client.update_model_version(MODEL_NAME, str(number), text)

    def trained_alike(self, key: str) -> list[Version]:
        """Versions whose training had this key: the champion first, then newest first.

        One whose run was deleted in MLflow is left out: nothing can be logged on it any more.
        """
        found = [version for version in self.versions() if version.tags.get(TRAINING_KEY) == key]
        champion = self.by_alias(CHAMPION) if found else None
        found.sort(key=lambda version: champion is None or version.number != champion.number)
        return [version for version in found if self._has_run(version)]

    def _has_run(self, version: Version) -> bool:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            return str(self.client.get_run(version.run_id).info.lifecycle_stage) == "active"
        except MlflowException as error:
            if error.error_code not in _NOT_THERE:
                raise
            return False

    def log_files(self, run_id: str, directory: str, files: Mapping[str, bytes]) -> None:
        """Keep files, by name, as artifacts of a run."""
        with tempfile.TemporaryDirectory(prefix="movierec-") as scratch:
            for name, content in files.items():
                (Path(scratch) / name).write_bytes(content)
            self.client.log_artifacts(run_id, scratch, directory)

    def name_challenger(self, number: int) -> None:
        """Let a version carry the challenger alias."""
        self.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, str(number))

    def record(self, number: int, decision: Decision) -> None:
        """Move the champion alias if a decision says so, and write it on the version it is about.

        The alias goes first: a version never says that it was promoted when it was not.
        """
        if decision.promoted:
            self.client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(number))
        self.note(number, decision.outcome, decision.reason)

    def note(self, number: int, outcome: str, reason: str) -> None:
        """Write a decision on the version it is about."""
        for name, value in {"promotion_outcome": outcome, "promotion_reason": reason[:_LONGEST_TAG]}.items():
            self.client.set_model_version_tag(MODEL_NAME, str(number), name, value)
        self.describe(number)

    def set_tag(self, number: int, name: str, value: str) -> None:
        """Write a tag on a version."""
        self.client.set_model_version_tag(MODEL_NAME, str(number), name, value)

    def load(self, version: Version) -> Recommender:
        """The recommender of a version, read from its artifacts.

        Raises
        ------
        VersionFilesError
            When they are gone or damaged; names a version that can be promoted instead.
        """
        try:
            return self._read(version)
        except version_files.UnreadableError as error:
            # Alone, because who shows a failed step looks for the innermost error.
            raise VersionFilesError(version.number, str(error), self._remedy(version)) from None

    def problem_of(self, version: Version) -> str | None:
        """What is wrong with the files of a version, without a full stop; None when it loads."""
        try:
            self._read(version)
        except version_files.UnreadableError as error:
            return str(error)
        return None

    def _read(self, version: Version) -> Recommender:
        artifacts = None if self._through_server else self._artifacts
        return version_files.read(self.client, MODEL_NAME, version.number, artifacts)

    def _remedy(self, broken: Version) -> str:
        """What to do about a version that does not load: promote another one of the same data, or train."""
        others = [version for version in self.versions() if version.number != broken.number]
        alike = [version for version in others if _learned_from(version) == _learned_from(broken)]
        # One that was champion before is better known than one that was kept.
        for version in sorted(alike, key=lambda each: each.tags.get("promotion_outcome") in ("kept", "rejected", None)):
            if self.problem_of(version) is None:
                return (
                    f"`movierec model promote {version.number}` makes version {version.number} the champion instead; "
                    "`movierec run --job train` trains a new one."
                )
        return (
            "No other version of its data loads: train one with `movierec run --job train`, or put the files back. "
            "`movierec model promote N` makes a version of other data the champion; `movierec model list` shows which "
            "there are."
        )

    def load_copied(self, version: Version) -> Recommender:
        """The recommender of the champion from its copy on the local disk, which is made unless it is there."""
        copied = self.copy.read(version)
        if copied is None:
            copied = self.load(version)
            self.copy.keep(version, copied)
        return copied

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


def _learned_from(version: Version) -> tuple[int | None, float | None]:
    return version.dataset.id if version.dataset else None, version.positive_threshold


def _version(found: Any) -> Version:
    """MLflow's version; its number is text over REST and a number from a database."""
    created = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC) if found.creation_timestamp else None
    return Version(int(found.version), str(found.run_id), str(found.source), dict(found.tags), created)
