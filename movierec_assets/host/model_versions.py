"""Versions of the model as a person lists and changes them.

Belongs here: changes by a person, and the run that publishes them. Does not: text for people (`cli.model`), reading
versions (`models.version_details`), how the champion changes (`models.decisions`).
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Self

from movierec_assets.host import CommandError
from movierec_assets.host.listeners import RunListener
from movierec_assets.host.run import request_for, run_job
from movierec_assets.models.decisions import Hold, OtherData, Promotions, Record
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version_details import KnownVersions
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database


@dataclass(frozen=True)
class ModelVersions(KnownVersions):
    """Versions in the registry, with their history, and changes by a person."""

    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The versions of a platform."""
        return cls(Promotions(ModelRegistry.of(settings), Database(settings.databases.ratings)), settings)

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
        report = run_job(request_for("publish"), self.settings, listener)
        if not report.succeeded:
            why = "\n".join(report.failures)
            raise CommandError(
                f"Version {record.version} is the champion, but its recommendations could not be written; the tables "
                f"are as they were. Run `movierec run --job publish` when this is mended:\n{why}\n"
                f"Run {report.run_id}; everything it printed is in {report.log}"
            )
