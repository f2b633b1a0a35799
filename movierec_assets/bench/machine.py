"""On what a benchmark ran, without saying where.

Belongs here: cores, memory and versions; no host names, no paths.
"""

from __future__ import annotations

import platform
from importlib.metadata import version

import psutil

from movierec_assets import __version__

_LIBRARIES = ("dagster", "mlflow", "implicit", "numpy", "scipy", "pandas", "polars", "psycopg2-binary", "sqlalchemy")


def describe(postgres: str) -> dict[str, str]:
    """Names and values, as the report shows them."""
    return {
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "movierec-assets": __version__,
        "Python": platform.python_version(),
        "Postgres": postgres,
        **{name: version(name) for name in _LIBRARIES},
    }
