"""Decisions about the champion as Dagster's metadata: what is shown, and what an evaluation says it compared.

Belongs here: reading and writing metadata around promotion, shared by `champion_model` and the operations on the
registry. Decisions themselves are `models.decisions`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dagster import AssetKey, AssetMaterialization, AssetObservation, MetadataValue

from movierec_assets.defs.presentation import table
from movierec_assets.models.decisions import Record
from movierec_assets.recsys.errors import RecsysError

if TYPE_CHECKING:
    from movierec_assets.models.decisions import Promotions

CHAMPION_ASSET = AssetKey("champion_model")
EVALUATION_ASSET = AssetKey("model_evaluation")


def require_compared_with(champion: int | None, compared: int | None) -> None:
    """Refuse an evaluation that was made beside another champion.

    Parameters
    ----------
    champion : int or None
        Champion now, of the dataset and the kind of likes that the challenger was trained on.
    compared : int or None
        Champion the challenger was scored beside.

    Raises
    ------
    RecsysError
    """
    if champion == compared:
        return
    made = f"was made beside champion {compared}" if compared else "was made when there was no champion"
    now = f"Version {champion} is the champion now" if champion else "There is no champion any more"
    raise RecsysError(
        f"{now}, and model_evaluation {made}, so nothing was decided. "
        "Materialize champion_refit, model_evaluation and champion_model again."
    )


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
                record.outcome if record.state == "done" else f"{record.outcome} ({record.state})",
                str(record.previous or ""),
                record.reason,
                record.decided_by,
            ]
            for record in records
        ],
    )


def outside_event(record: Record, promotions: Promotions) -> AssetMaterialization | AssetObservation:
    """A change that was made in MLflow, as an event of champion_model: another champion, or the loss of it."""
    if record.promoted:
        return champion_event(record, promotions)
    return AssetObservation(
        asset_key=CHAMPION_ASSET,
        description=f"{record.outcome}: {record.reason}",
        metadata={**shown_decision(record), "history": shown_history(promotions.history(10))},
    )


def champion_event(record: Record, promotions: Promotions) -> AssetMaterialization:
    """A change of the champion outside champion_model, as an event of that asset."""
    return AssetMaterialization(
        asset_key=CHAMPION_ASSET,
        description=f"{record.outcome}: {record.reason}",
        metadata={
            "champion_version": MetadataValue.int(record.version),
            **shown_decision(record),
            "history": shown_history(promotions.history(10)),
        },
        tags={"dagster/data_version": str(record.version)},
    )
