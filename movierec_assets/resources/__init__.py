"""What Dagster hands to assets: resources, IO managers, MLflow runs, and the lock of the only run.

Belongs here: adapters between Dagster and the rooms below. Does not: assets (`defs`), or work that programs without
Dagster need as well (`postgres`, `tables`, `models`, `datasets`).

Dagster concept: resources, https://docs.dagster.io/guides/build/external-resources
"""
