"""Schema and queries as .sql files, read by name.

Belongs here: SQL of several lines, every relation qualified with the schema `movierec`. Does not: running it
(`tables`; for `migrations/`, `tables.migrations`).
"""

from importlib.resources import files

SCHEMA = "movierec"


def read_sql(name: str) -> str:
    """Text of `<name>.sql` in this directory."""
    return (files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
