"""Movie recommendations from MovieLens ratings as a Dagster asset graph."""

__version__ = "0.1.0"
