"""The inputs of a training: everything that decides the content of a version.

Belongs here: the split with its sources, the recipe and the titles, and the key under which a version with the same
inputs is found again. Does not: training (`versions`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pandas as pd
from dagster import DagsterInstance

from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.running_code import libraries, training_code
from movierec_assets.defs.sources import dataset_of, require_of_loaded
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.recipes import ChosenRecipe
from movierec_assets.models.version import POSITIVE_THRESHOLD, POSITIVES_FINGERPRINT, Version
from movierec_assets.models.version_page import recipe_line, run_name
from movierec_assets.recsys.interactions import IdMaps
from movierec_assets.recsys.split import Split
from movierec_assets.resources.provenance import SOURCES, SPLIT, record
from movierec_assets.tables.database import Database
from movierec_assets.tables.histories import titles_of
from movierec_assets.tables.known_datasets import DatasetRef


@dataclass(frozen=True)
class TrainingData:
    """A split and its sources.

    Attributes
    ----------
    split : Split
    id_maps : DataFrame
        As stored by the asset of that name.
    split_id : str
        Fingerprint of the split.
    sources : dict
        Dataset, loads, and definition of a like.
    """

    split: Split
    id_maps: pd.DataFrame
    split_id: str
    sources: dict[str, Any]

    @classmethod
    def of_loaded(
        cls, instance: DagsterInstance, database: Database, consumer: str, split: Split, id_maps: pd.DataFrame
    ) -> Self:
        """The data of a split, which is of the dataset in the tables.

        Raises
        ------
        ProvenanceError
            When another dataset is loaded.
        """
        recorded = record(instance, "train_matrix")
        sources = dict(recorded.get(SOURCES, {}))
        require_of_loaded(database, consumer, sources)
        return cls(split, id_maps, recorded[SPLIT], sources)

    @cached_property
    def ids(self) -> IdMaps:
        """User ids of the rows, and movie ids of the columns."""
        return ids_from(self.id_maps)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of all positives."""
        return self.split.positives.fingerprint()

    @property
    def counts(self) -> dict[str, int]:
        """Number of positives, users and movies."""
        users, movies = self.split.shape
        return {"positives": len(self.split), "users": users, "movies": movies}

    @property
    def provenance(self) -> dict[str, str]:
        """Fingerprints that a challenger carries."""
        return {"split": self.split_id, "positives": self.fingerprint}

    @property
    def dataset(self) -> DatasetRef | None:
        """The dataset; None where the sources name none."""
        return dataset_of(self.sources)

    @property
    def positive_threshold(self) -> float | None:
        """Stars from which a rating is a like; None where the sources name none."""
        stars = self.sources.get(POSITIVE_THRESHOLD)
        return None if stars is None else float(stars)


def champion_of(data: TrainingData, promotions: Promotions) -> Version | None:
    """The champion of the same dataset and definition of a like, which a training may continue."""
    return promotions.incumbent(data.dataset.id if data.dataset else None, data.positive_threshold)


def has_changed(version: Version, fingerprint: str) -> bool:
    """Whether a version was trained on other likes than those with this fingerprint: fewer, more or corrected ones."""
    return version.tags.get(POSITIVES_FINGERPRINT) != fingerprint


@dataclass(frozen=True)
class TrainingInputs:
    """Data, recipe and titles of one training.

    Attributes
    ----------
    data : TrainingData
    chosen : ChosenRecipe
    titles : list of str
        Of the movies of the columns; a version shows its movies by them.
    """

    data: TrainingData
    chosen: ChosenRecipe
    titles: list[str]

    @classmethod
    def of(cls, data: TrainingData, chosen: ChosenRecipe, database: Database) -> Self:
        """Inputs with the titles of the tables."""
        titles = titles_of(database, data.ids.movie_ids)
        return cls(data, chosen, [titles.get(int(movie_id), "") for movie_id in data.ids.movie_ids])

    @cached_property
    def key(self) -> str:
        """SHA-256 of likes, split, recipe with its seed, titles and code: the same key means the same version."""
        depends_on = {
            "dataset": None if self.data.dataset is None else self.data.dataset.id,
            "positive_threshold": self.data.positive_threshold,
            "split": self.data.split_id,
            "positives": self.data.fingerprint,
            "titles": self.titles,
            "recipe": self.chosen.recipe.as_dict(),
            "libraries": libraries(),
            "code": training_code(),
        }
        return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()

    def run_name(self, action: str) -> str:
        """Name of the MLflow run that trains with these inputs."""
        return run_name(action, self.data.dataset, recipe_line(self.chosen.recipe))
