"""Links from assets to the code that makes them.

Belongs here: the file and line of each asset, which Dagster's UI shows and opens in an editor. Does not: the version of
the code that a model records (`running_code`).

Dagster concept: https://docs.dagster.io/guides/build/assets/metadata-and-tags/index-metadata
"""

import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from dagster import BetaWarning, load_assets_from_modules, with_source_code_references


def load_assets(modules: Sequence[ModuleType]) -> list[Any]:
    """The assets of some modules, each with the file and line of its function."""
    with warnings.catch_warnings():
        # Dagster calls code references beta, and warns once for each asset and start.
        warnings.simplefilter("ignore", BetaWarning)
        return list(with_source_code_references(load_assets_from_modules(modules)))
