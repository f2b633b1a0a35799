"""The model registry: versions of the recommender in MLflow, their aliases and tags.

Belongs here: reading and writing versions, and the remedy for one that does not load. Does not: reading a version's
files (`version_files`), changing the champion one decision at a time (`decisions`), the rule (`recsys.promotion`).

MLflow concept: https://mlflow.org/docs/latest/ml/model-registry/
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from movierec_assets.models import registry_lookup, version_files, version_page
from movierec_assets.models.champion_copy import ChampionCopy
from movierec_assets.models.errors import NoSuchVersionError, VersionFilesError
from movierec_assets.models.mlflow_connection import MlflowConnection, if_present
from movierec_assets.models.version import CHALLENGER, CHAMPION, MODEL_NAME, TRAINING_KEY, Version
from movierec_assets.recsys.promotion import Decision
from movierec_assets.recsys.recommender import Recommender

_MAX_TAG_LENGTH = 5000


class ModelRegistry(MlflowConnection):
    """Versions of the recommender in MLflow; the champion's copy is kept beside the directory of artifacts."""

    def __init__(self, uri: str, artifacts: Path) -> None:
        super().__init__(uri, artifacts)
        self.copy = ChampionCopy(artifacts.parent / "champion")

    def by_alias(self, alias: str) -> Version | None:
        """The version that carries an alias; None when there is none."""
        try:
            return registry_lookup.by_alias(self.uri, MODEL_NAME, alias)
        except registry_lookup.LookupUnsupportedError:
            self.require_reachable()
            return self._by_alias_of_client(alias)

    def _by_alias_of_client(self, alias: str) -> Version | None:
        return if_present(lambda: _version(self.client.get_model_version_by_alias(MODEL_NAME, alias)))

    def version(self, number: int) -> Version:
        """A version by its number.

        Raises
        ------
        NoSuchVersionError
        """
        found = self.find(number)
        if found is None:
            present = [str(version.number) for version in self.versions()[:10]]
            listed = (
                f"the newest are {', '.join(present)}" if present else "there is none yet; `movierec run` makes one"
            )
            raise NoSuchVersionError(f"{MODEL_NAME} has no version {number}: {listed}.")
        return found

    def find(self, number: int) -> Version | None:
        """A version by its number; None when there is none, or it was deleted."""
        return if_present(lambda: _version(self.client.get_model_version(MODEL_NAME, str(number))))

    def versions(self) -> list[Version]:
        """All versions, newest first."""
        found = self.client.search_model_versions(f"name='{MODEL_NAME}'")
        return sorted(map(_version, found), key=lambda version: -version.number)

    def exists(self) -> bool:
        """Whether the model is registered, with versions or without."""
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
        run = if_present(lambda: self.client.get_run(version.run_id))
        return {} if run is None else dict(run.data.metrics)

    def log_metrics(self, version: Version, metrics: Mapping[str, float], on_page: Collection[str]) -> None:
        """Log metrics of a version, and write its description again.

        Parameters
        ----------
        version : Version
        metrics : mapping of str to float
            Logged on the version's run in one batch: one by one they take seconds.
        on_page : collection of str
            Names of metrics that the page of the version's logged model shows as well.
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
        """Write the description on a version's page: its data, recipe, metrics, and the decision about it."""
        version = self.version(number)
        recipe = version.recipe if version.has_recipe else None
        text = version_page.description(version.provenance, recipe, version.trained_on, self.metrics(version))
        self.client.update_model_version(MODEL_NAME, str(number), text)

    def trained_alike(self, key: str) -> list[Version]:
        """Versions with this training key: the champion first, then newest first.

        A version whose run was deleted in MLflow is left out, because nothing can be logged on it.
        """
        found = [version for version in self.versions() if version.tags.get(TRAINING_KEY) == key]
        champion = self.by_alias(CHAMPION) if found else None
        found.sort(key=lambda version: champion is None or version.number != champion.number)
        return [version for version in found if self._has_run(version)]

    def _has_run(self, version: Version) -> bool:
        run = if_present(lambda: self.client.get_run(version.run_id))
        return run is not None and str(run.info.lifecycle_stage) == "active"

    def name_challenger(self, number: int) -> None:
        """Give a version the challenger alias."""
        self.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, str(number))

    def record(self, number: int, decision: Decision) -> None:
        """Move the champion alias if the decision is a promotion, and write the decision on its version.

        The alias moves first, so that no version says it was promoted when it was not.
        """
        if decision.promoted:
            self.client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(number))
        self.note(number, decision.outcome, decision.reason)

    def note(self, number: int, outcome: str, reason: str) -> None:
        """Write a decision on its version."""
        for name, value in {"promotion_outcome": outcome, "promotion_reason": reason[:_MAX_TAG_LENGTH]}.items():
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
            When they are gone or damaged; the message names a version that can be promoted instead.
        """
        try:
            return self._read(version)
        except version_files.UnreadableError as error:
            # Not chained: a failed step shows the innermost error.
            raise VersionFilesError(version.number, str(error), self._remedy(version)) from None

    def fault_of(self, version: Version) -> str | None:
        """The fault of a version's files, without a full stop; None when it loads."""
        try:
            self._read(version)
        except version_files.UnreadableError as error:
            return str(error)
        return None

    def _read(self, version: Version) -> Recommender:
        artifacts = None if self._through_server else self._artifacts
        return version_files.read(self.client, MODEL_NAME, version.number, artifacts)

    def _remedy(self, broken: Version) -> str:
        """Remedy for a version that does not load: promote another version of the same data, or train."""
        others = [version for version in self.versions() if version.number != broken.number]
        alike = [version for version in others if version.learned == broken.learned]
        # Earlier champions come before versions that were never promoted.
        for version in sorted(alike, key=lambda each: each.tags.get("promotion_outcome") in ("kept", "rejected", None)):
            if self.fault_of(version) is None:
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
        """The champion's recommender from its copy on the local disk; makes the copy unless there is one."""
        copied = self.copy.read(version)
        if copied is None:
            copied = self.load(version)
            self.copy.keep(version, copied)
        return copied


def _version(found: Any) -> Version:
    """MLflow's version; its number is text over REST and a number from a database."""
    created = registry_lookup.time_of(found.creation_timestamp)
    return Version(int(found.version), str(found.run_id), str(found.source), dict(found.tags), created)
