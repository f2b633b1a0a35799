"""The entry point by which MLflow loads this package in each process, also in its server.

Belongs here: the names that pyproject.toml registers. Does not: their code (`artifact_locations`, `sql.alembic_paths`).

MLflow concept: plugins, https://mlflow.org/docs/latest/ml/plugins/
"""

from movierec_assets.models.artifact_locations import repository
from movierec_assets.sql.alembic_paths import allow_percent

__all__ = ["repository"]

allow_percent()
