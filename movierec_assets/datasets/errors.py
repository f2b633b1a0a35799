"""The one error of the room.

Belongs here: the class. Does not: wording; each module writes its own message, and every message
names the file or the release, the line or the field, and what to do about it.
"""

from __future__ import annotations

from movierec_assets.errors import ExplainedError


class DatasetError(ExplainedError, ValueError):
    """A dataset cannot be found, fetched or read; the message says where, why and what to do."""
