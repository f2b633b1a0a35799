"""The machine that a benchmark ran on, as the report describes it.

Belongs here: cores, memory and versions. Does not: names of hosts and directories, which a report must not show.
"""

from __future__ import annotations

import platform
from importlib.metadata import version

import psutil

from movierec_assets import __version__

_LIBRARIES = ("dagster", "mlflow", "implicit", "numpy", "scipy", "pandas", "polars", "psycopg2-binary", "sqlalchemy")


def describe(postgres: str, load: float) -> dict[str, str]:
    """Names and values for the report.

    Parameters
    ----------
    postgres : str
        Version of the server.
    load : float
        Load average before the benchmark. Above a few tenths, other work took part of the cores.
    """
    return {
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before": f"{load:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "movierec-assets": __version__,
        "Python": platform.python_version(),
        "Postgres": postgres,
        **{name: version(name) for name in _LIBRARIES},
    }
