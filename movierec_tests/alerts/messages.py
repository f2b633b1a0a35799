"""An alert and its message, for tests of the channels."""

from __future__ import annotations

from datetime import UTC, datetime

from movierec_assets.alerts.causes import Cause
from movierec_assets.alerts.messages import Message, message_of
from movierec_assets.alerts.storage import told_alerts, update
from movierec_assets.tables.database import Database

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PAGES = "http://dagster.example"
CAUSE = Cause(
    "run:als_model", "run", "train failed at als_model", "no <memory> & @everyone", "Add some.", "42", "als_model"
)


def told(database: Database, *causes: Cause, at: datetime = NOW) -> None:
    update(database, causes, ["webhook"], at)


def message(database: Database, reason: str = CAUSE.reason) -> Message:
    told(database, Cause(**(vars(CAUSE) | {"reason": reason})))
    return message_of(told_alerts(database)[0], "open", PAGES)
