"""Schema and queries as .sql files, read by name.

Belongs here: SQL of more than one line, every relation qualified with the schema `movierec`. Running it is done
in `tables.database`, and for `migrations/` in `tables.migrations`.
"""

from importlib.resources import files

SCHEMA = "movierec"


def read_sql(name: str) -> str:
    """Text of `<name>.sql` in this directory."""
    return (files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
