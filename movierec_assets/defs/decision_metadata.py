"""Decisions about the champion as Dagster's metadata and events.

Belongs here: metadata and events that `champion_model`, the jobs and the sensors share. Does not: the decisions
(`models.decisions`).

Dagster concept: https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dagster import AssetKey, AssetMaterialization, AssetObservation, MetadataValue

from movierec_assets.defs.presentation import table
from movierec_assets.models.decisions import Record

if TYPE_CHECKING:
    from movierec_assets.models.decisions import Promotions

CHAMPION_ASSET = AssetKey("champion_model")
RETURN_ASSET = AssetKey("return_evaluation")
EVALUATION_ASSET = AssetKey("model_evaluation")


def shown_decision(record: Record) -> dict[str, MetadataValue[Any]]:
    """Metadata of a decision."""
    return {
        "decision_id": MetadataValue.int(record.id),
        "previous_champion": MetadataValue.text(str(record.previous) if record.previous else "none"),
        "promoted": MetadataValue.bool(record.promoted),
        "outcome": MetadataValue.text(record.outcome),
        "reason": MetadataValue.text(record.reason),
        "numbers": MetadataValue.json(record.numbers),
        "decided_by": MetadataValue.text(record.decided_by),
    }


def shown_history(records: Sequence[Record]) -> MetadataValue[str]:
    """Decisions as a table, newest first."""
    header = ["decided", "version", "outcome", "champion before", "reason", "by"]
    return table(
        header,
        [
            [
                f"{record.decided_at:%Y-%m-%d %H:%M}",
                str(record.version),
                record.shown_outcome,
                str(record.previous or ""),
                record.reason,
                record.decided_by,
            ]
            for record in records
        ],
    )


def noticed_event(record: Record, promotions: Promotions) -> AssetMaterialization | AssetObservation:
    """A change that was made in MLflow, as an event of champion_model: another champion, or the loss of it."""
    if record.promoted:
        return champion_event(record, promotions)
    return AssetObservation(
        asset_key=CHAMPION_ASSET,
        description=f"{record.outcome}: {record.reason}",
        metadata=_shown_with_history(record, promotions),
    )


def champion_event(record: Record, promotions: Promotions) -> AssetMaterialization:
    """A change of the champion outside champion_model, as an event of that asset."""
    return AssetMaterialization(
        asset_key=CHAMPION_ASSET,
        description=f"{record.outcome}: {record.reason}",
        metadata={
            "champion_version": MetadataValue.int(record.version),
            **_shown_with_history(record, promotions),
        },
        tags={"dagster/data_version": str(record.version)},
    )


def _shown_with_history(record: Record, promotions: Promotions) -> dict[str, MetadataValue[Any]]:
    return {**shown_decision(record), "history": shown_history(promotions.history(10))}
