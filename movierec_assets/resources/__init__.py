"""What assets, the API and the command line are handed: the database, the model registry, stored artefacts.

Belongs here: talking to Postgres, MLflow and the file store. Does not: what is computed (`recsys`), or Dagster
assets (`defs`). Modules that import Dagster say so; the others stay importable without it.
"""
