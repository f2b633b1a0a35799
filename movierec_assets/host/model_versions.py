"""Versions of the model as a person lists and changes them.

Belongs here: a version with its history and hold, changes by a person, and the run that publishes them. Does not: text
for people (`cli.model`), how the champion changes (`models.decisions`).
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from movierec_assets.host import CommandError
from movierec_assets.host.listeners import RunListener
from movierec_assets.host.run import run_job
from movierec_assets.models.decisions import Hold, OtherData, Promotions, Record
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import Version
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database

_DECISION_TAGS = ("promotion_outcome", "promotion_reason", "promotion_dagster_run_id")


@dataclass(frozen=True)
class VersionSummary:
    """A version, its aliases and metrics, and the hold on it.

    Attributes
    ----------
    version : Version
    aliases : list of str
    metrics : dict of str to float
    hold : Hold or None
    """

    version: Version
    aliases: list[str]
    metrics: dict[str, float]
    hold: Hold | None = None

    @property
    def outcome(self) -> str | None:
        """Outcome of the last decision about it."""
        return self.version.tags.get("promotion_outcome")

    @property
    def reason(self) -> str | None:
        """Reason of the last decision about it."""
        return self.version.tags.get("promotion_reason")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "version": self.version.number,
            "aliases": self.aliases,
            "created": self.version.created.isoformat() if self.version.created else None,
            "dataset": self.version.dataset.name if self.version.dataset else None,
            "dataset_id": self.version.dataset.id if self.version.dataset else None,
            "positive_threshold": self.version.positive_threshold,
            "outcome": self.outcome,
            "reason": self.reason,
            "metrics": self.metrics,
            "held_back": self.hold.as_dict() if self.hold else None,
        }


@dataclass(frozen=True)
class VersionDetails:
    """A version and all decisions about it, newest first."""

    summary: VersionSummary
    decisions: list[Record]

    @property
    def recipe(self) -> dict[str, Any]:
        """Its recipe, as the tag has it."""
        recipe = json.loads(self.summary.version.tags.get("recipe", "{}"))
        return dict(recipe) if isinstance(recipe, dict) else {}

    @property
    def provenance(self) -> dict[str, str]:
        """Its MLflow run and source, and its tags without the recipe and the decision."""
        version = self.summary.version
        tags = {name: text for name, text in version.provenance.items() if name not in ("recipe", *_DECISION_TAGS)}
        return dict(sorted(tags.items())) | {"mlflow_run_id": version.run_id, "source": version.source}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return self.summary.as_dict() | {
            "recipe": self.recipe,
            "provenance": self.provenance,
            "decisions": [record.as_dict() for record in self.decisions],
        }


@dataclass(frozen=True)
class ModelVersions:
    """Versions in the registry, with their history."""

    registry: ModelRegistry
    promotions: Promotions
    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The versions of a platform."""
        registry = ModelRegistry.of(settings)
        return cls(registry, Promotions(registry, Database(settings.databases.ratings)), settings)

    def newest(self, count: int) -> list[VersionSummary]:
        """The newest versions and every version with an alias, newest first."""
        with self.registry.reachable():
            versions, aliases, holds = self.registry.versions(), self.registry.aliases(), self.promotions.holds()
            return [
                self._summary(version, aliases, holds)
                for index, version in enumerate(versions)
                if index < count or version.number in aliases
            ]

    def details(self, number: int | None) -> VersionDetails:
        """A version; the champion without a number.

        Raises
        ------
        NoSuchVersionError, NoChampionError, RegistryUnavailableError
        """
        with self.registry.reachable():
            version = self.promotions.champion() if number is None else self.registry.version(number)
            summary = self._summary(version, self.registry.aliases(), self.promotions.holds())
        return VersionDetails(summary, self.promotions.history(version=version.number))

    def _summary(self, version: Version, aliases: Mapping[int, list[str]], holds: list[Hold]) -> VersionSummary:
        hold = next((hold for hold in holds if hold.covers_version(version)), None)
        return VersionSummary(version, aliases.get(version.number, []), self.registry.metrics(version), hold)

    def promote(self, number: int, reason: str, *, force: bool) -> Record:
        """Make a version the champion."""
        return self.promotions.promote(number, reason, f"movierec model promote ({getpass.getuser()})", force=force)

    def rollback(self, reason: str, *, force: bool) -> Record:
        """Return to the previous champion."""
        return self.promotions.rollback(reason, f"movierec model rollback ({getpass.getuser()})", force=force)

    def release(self, number: int | None) -> list[Hold]:
        """Release the holds on a version, or all holds; returns the released ones."""
        return self.promotions.release(f"movierec model release ({getpass.getuser()})", number)

    def other_data(self, record: Record) -> OtherData | None:
        """The data of a promoted version and the loaded data when they differ."""
        return self.promotions.other_data(self.registry.version(record.version))

    def publish(self, record: Record, listener: RunListener) -> None:
        """Write the serving tables of a new champion, in a Dagster run.

        Parameters
        ----------
        record : Record
        listener : RunListener
            Receives the events of the run.

        Raises
        ------
        CommandError
            When the run fails.
        """
        from dagster import DagsterInstance  # noqa: PLC0415

        from movierec_assets.defs.decision_metadata import champion_event  # noqa: PLC0415

        with DagsterInstance.get() as instance:
            instance.report_runless_asset_event(champion_event(record, self.promotions))
        report = run_job("publish", self.settings, listener)
        if not report.succeeded:
            why = "\n".join(report.failures)
            raise CommandError(
                f"Version {record.version} is the champion, but its recommendations could not be written; the tables "
                f"are as they were. Run `movierec run --job publish` when this is mended:\n{why}\n"
                f"Run {report.run_id}; everything it printed is in {report.log}"
            )
