"""Migrations of MLflow and Dagster in directories with a percent sign in their path.

Belongs here: a repair of Alembic. MLflow and Dagster write paths into its configuration, where a percent sign begins a
variable. Does not: running migrations.
"""

from __future__ import annotations

import os
from typing import Any


class _Arguments(dict[str, str]):
    """Variables of a configuration; the percent signs of `here`, the directory of its file, are doubled."""

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value.replace("%", "%%") if name == "here" else value)


def allow_percent() -> None:
    """Let Alembic in this process work in directories with a percent sign in their path."""
    from alembic.config import Config  # noqa: PLC0415

    configuration: Any = Config
    prepare, set_option = configuration.__init__, configuration.set_main_option
    if getattr(prepare, "allows_percent", False):
        return

    def __init__(self: Any, *args: Any, **named: Any) -> None:  # noqa: N807
        prepare(self, *args, **named)
        self.config_args = _Arguments(self.config_args)

    def set_main_option(self: Any, name: str, value: str) -> None:
        as_it_is = name == "script_location" and "%" in value and os.path.isdir(value)
        set_option(self, name, value.replace("%", "%%") if as_it_is else value)

    __init__.allows_percent = True  # type: ignore[attr-defined]
    configuration.__init__ = __init__
    configuration.set_main_option = set_main_option
