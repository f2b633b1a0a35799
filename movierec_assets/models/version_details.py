"""Versions of the model with everything that people ask about them: metrics, recipe, provenance, decisions, hold.

Belongs here: reading them, and their plain form for JSON. Does not: text for people (`cli`), changes (`decisions`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from movierec_assets.models.decisions import Hold, Promotions, Record
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import Version

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
class KnownVersions:
    """Versions in the registry, with their history."""

    promotions: Promotions

    @property
    def registry(self) -> ModelRegistry:
        """The registry that holds them."""
        return self.promotions.registry

    def newest(self, count: int) -> list[VersionSummary]:
        """The newest versions and every version with an alias, newest first."""
        with self.registry.reachable():
            versions, aliases, holds = self.registry.versions(), self.registry.aliases(), self.promotions.holds()
            return [
                self._summary(version, aliases, holds)
                for index, version in enumerate(versions)
                if index < count or version.number in aliases
            ]

    def newest_details(self, count: int) -> list[VersionDetails]:
        """The versions of `newest`, with the decisions about each."""
        summaries = self.newest(count)
        decisions = self.promotions.history(since_deletion=True)
        return [
            VersionDetails(
                each, [record for record in decisions if each.version.number in (record.version, record.previous)]
            )
            for each in summaries
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
