"""The platform on one machine: the work of `movierec` commands.

Belongs here: preparing the environment for Dagster and MLflow, driving a run, keeping the servers up. Does not:
arguments and text for people (`cli`), assets (`defs`), answers (`serving`).
"""

from movierec_assets.errors import ExplainedError


class CommandError(ExplainedError, RuntimeError):
    """A command cannot be carried out; the user sees the message as it is."""
