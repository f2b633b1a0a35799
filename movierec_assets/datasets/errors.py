"""The error of this room.

Belongs here: the class. Does not: messages. Each module writes its own; they name the file or the release, the line or
the field, and what to do.
"""

from __future__ import annotations

from movierec_assets.errors import ExplainedError


class DatasetError(ExplainedError, ValueError):
    """A dataset cannot be found, fetched or read; the message says where, why and what to do."""
