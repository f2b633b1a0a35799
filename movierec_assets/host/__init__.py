"""The platform on one machine: what the `movierec` command does, below its command line.

Belongs here: preparing the environment for Dagster and MLflow, driving a run and reporting it, keeping the servers
up, finding titles people type. Does not: parsing arguments (`cli`), assets (`defs`), answers (`serving`).
"""

from movierec_assets.errors import ExplainedError


class CommandError(ExplainedError, RuntimeError):
    """The command cannot do what was asked; the message is shown to the user as it is."""
