"""What MLflow loads of this package in each process that imports it, its server's included.

Belongs here: the entry point of pyproject.toml. What it does is in `artifact_locations` and `alembic_paths`.

MLflow concept: plugins, https://mlflow.org/docs/latest/ml/plugins/
"""

from movierec_assets.models.artifact_locations import repository
from movierec_assets.sql.alembic_paths import allow_percent

__all__ = ["repository"]

allow_percent()
