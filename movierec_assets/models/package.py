"""A recommender as an MLflow model version: its files, signature and requirements.

Belongs here: logging the model with a training run, and registering the version. Does not: reading versions
(`registry`), the code that answers, of which MLflow keeps a copy (`serving/pyfunc.py`).

MLflow concept: https://mlflow.org/docs/latest/ml/model/
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from movierec_assets.models.version import MODEL_NAME
from movierec_assets.models.version_files import MODEL_FILE
from movierec_assets.models.version_page import MODEL_DESCRIPTION
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.tables.known_datasets import DatasetRef

_CODE = Path(__file__).parent.parent / "serving" / "pyfunc.py"
_QUESTION = ("user_id", "liked_movie_ids", "at")
_EXAMPLE_TIME = "2026-01-01T20:15:00+00:00"
_REQUIREMENTS = ("implicit", "mlflow", "numpy", "pandas", "scipy", "threadpoolctl")


def log_version(
    mlflow: Any, recommender: Recommender, ids: pd.DataFrame, dataset: DatasetRef | None, tags: Mapping[str, str]
) -> int:
    """Log a recommender to the active MLflow run and register it.

    Parameters
    ----------
    mlflow
        The module, or dagster-mlflow's resource, with an active run.
    recommender : Recommender
    ids : DataFrame
        The id maps, logged beside the model for people to read.
    dataset : DatasetRef or None
        The dataset it was trained on; the logged model refuses to answer for another one.
    tags : mapping of str
        Provenance, written on the version in this order.

    Returns
    -------
    int
        Number of the new version.
    """
    with tempfile.TemporaryDirectory(prefix="movierec-") as scratch:
        model_file = Path(scratch) / MODEL_FILE
        named = np.array(dataset.name if dataset else "")
        np.savez(model_file, **cast(Any, recommender.to_arrays()), dataset=named)
        factors_file = Path(scratch) / "factors.npz"
        np.savez(factors_file, users=recommender.user_vectors, movies=recommender.movie_factors)
        ids_file = Path(scratch) / "id_maps.parquet"
        ids.to_parquet(ids_file, index=False)
        mlflow.log_artifact(str(factors_file))
        mlflow.log_artifact(str(ids_file))
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_CODE),
            artifacts={"recommender": str(model_file)},
            signature=_signature(),
            input_example=(_example(recommender), {"k": 5}),
            pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
            registered_model_name=MODEL_NAME,
        )
    number = int(logged.registered_model_version)
    client = mlflow.MlflowClient()
    if not client.get_registered_model(MODEL_NAME).description:
        client.update_registered_model(MODEL_NAME, MODEL_DESCRIPTION)
    for name, value in tags.items():
        client.set_model_version_tag(MODEL_NAME, str(number), name, value)
    return number


def _example(recommender: Recommender) -> pd.DataFrame:
    """A known user at a time, a list of likes, and an empty row."""
    liked = recommender.ids.movie_ids[np.argsort(-recommender.likes, kind="stable")[:2]].tolist()
    user = int(recommender.ids.user_ids[0])
    questions = {
        "user_id": [user, None, None],
        "liked_movie_ids": [None, liked, None],
        "at": [_EXAMPLE_TIME, None, None],
    }
    return pd.DataFrame(questions, dtype=object)


def _signature() -> Any:
    from mlflow.models import ModelSignature  # noqa: PLC0415
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema  # noqa: PLC0415
    from mlflow.types.schema import AnyType  # noqa: PLC0415

    anything: Any = AnyType

    return ModelSignature(
        inputs=Schema([ColSpec(anything(), name, required=False) for name in _QUESTION]),
        outputs=Schema(
            [
                ColSpec(DataType.long, "question"),
                ColSpec(DataType.long, "rank"),
                ColSpec(DataType.long, "movie_id"),
                ColSpec(DataType.string, "title"),
                ColSpec(DataType.double, "score"),
                ColSpec(DataType.string, "source"),
            ]
        ),
        params=ParamSchema([ParamSpec("k", DataType.long, 20), ParamSpec("dataset", DataType.string, "")]),
    )
