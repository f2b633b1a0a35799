"""Errors of backups.

Belongs here: the classes. Does not: their messages, which say what happened, where, and what to do.
"""

from movierec_assets.errors import ExplainedError


class BackupError(ExplainedError, RuntimeError):
    """A backup could not be made, read or restored; what was there before is as it was."""


class DamagedBackupError(BackupError):
    """A file is no whole backup: it was cut short or changed, or is something else."""
