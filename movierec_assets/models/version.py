"""A registered version: its location, and its training as its tags record it.

Belongs here: names of tags and aliases, reading tags, and the learning problem of a version. Does not: asking
MLflow for versions (`registry`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from movierec_assets.recsys.promotion import same_recipe
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.known_datasets import UNKNOWN_DATASET, DatasetRef

MODEL_NAME = "movierec-als"
EXPERIMENT = "movierec"
CHAMPION = "champion"
CHALLENGER = "challenger"
DATASET_ID, DATASET, POSITIVE_THRESHOLD = "dataset_id", "dataset", "positive_threshold"
"""Tags of a version: number and name of its dataset, and the stars from which a rating was a like."""
POSITIVES_FINGERPRINT = "positives_fingerprint"
"""Tag of a version: hash of the likes it was trained on."""
TRAINING_KEY = "training_key"
"""Tag of a version: hash of everything that its training depends on. A new version gets it last."""
PROVENANCE = "provenance"
"""Tag of a version: JSON of everything else about its training. Earlier releases wrote a tag for each value."""


@dataclass(frozen=True)
class LearningProblem:
    """The likes of one dataset, by one definition of a like.

    Attributes
    ----------
    dataset_id : int or None
    threshold : float or None
        Stars from which a rating is a like. None stands for every dataset, or every threshold.
    """

    dataset_id: int | None = None
    threshold: float | None = None

    @classmethod
    def of(cls, loaded: DatasetRef | None) -> Self:
        """All problems of the loaded dataset; every problem when nothing is loaded."""
        return cls(loaded.id if loaded else None)

    def includes(self, version: Version) -> bool:
        """Whether a version was trained for this problem, as far as was recorded."""
        theirs = version.learned
        pairs = ((self.dataset_id, theirs.dataset_id), (self.threshold, theirs.threshold))
        return all(None in pair or pair[0] == pair[1] for pair in pairs)


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes
    ----------
    number : int
    run_id : str
        MLflow run it came from.
    source : str
        URI of its artifacts.
    tags : dict of str
        Provenance and decision.
    created : datetime or None
    """

    number: int
    run_id: str
    source: str
    tags: dict[str, str]
    created: datetime | None = None

    @property
    def has_recipe(self) -> bool:
        """Whether it records its recipe: not when its training was killed while it was registered."""
        return "recipe" in self.tags

    @property
    def recipe(self) -> Recipe:
        """The recipe it was trained with.

        Raises
        ------
        RecsysError
            When it records none.
        """
        return Recipe.from_dict(json.loads(self.tags.get("recipe", "{}")))

    @property
    def dataset(self) -> DatasetRef | None:
        """The dataset it was trained on; None for a version of a release that did not record datasets."""
        number = self.tags.get(DATASET_ID, "")
        return DatasetRef(int(number), self.tags.get(DATASET, "?")) if number else None

    @property
    def provenance(self) -> dict[str, str]:
        """All tags, and each value that is packed into the tag PROVENANCE."""
        packed: dict[str, Any] = json.loads(self.tags.get(PROVENANCE, "{}"))
        unpacked = {name: value if isinstance(value, str) else json.dumps(value) for name, value in packed.items()}
        return unpacked | {name: value for name, value in self.tags.items() if name != PROVENANCE}

    @property
    def model_id(self) -> str | None:
        """MLflow's logged model, whose page shows the metrics of the version; None for a version without one."""
        found = self.source.removeprefix("models:/")
        return found if found != self.source and found.startswith("m-") else None

    @property
    def learned(self) -> LearningProblem:
        """The learning problem it was trained for, as far as it was recorded."""
        return LearningProblem(self.dataset.id if self.dataset else None, self.positive_threshold)

    @property
    def trained_on(self) -> str:
        """Its dataset and definition of a like, for people; empty where neither was recorded."""
        stars = self.positive_threshold
        likes = "" if stars is None else f"likes from {stars:g} stars"
        return ", ".join(part for part in (str(self.dataset) if self.dataset else "", likes) if part)

    @property
    def positive_threshold(self) -> float | None:
        """Stars from which a rating was a like when it was trained; None where that was not recorded."""
        recorded = json.loads(self.provenance.get("made_from", "{}")).get("positive_threshold")
        stars = self.tags.get(POSITIVE_THRESHOLD, recorded)
        return None if stars is None else float(stars)

    def learned_as(self, other: Version) -> bool:
        """Whether this version and another have the same recipe, apart from the seed, and the same likes.

        False when one of them does not record its likes.
        """
        known = all({"recipe", POSITIVES_FINGERPRINT} <= set(version.tags) for version in (self, other))
        if not known or self.tags[POSITIVES_FINGERPRINT] != other.tags[POSITIVES_FINGERPRINT]:
            return False
        return same_recipe(self.recipe, other.recipe)


@dataclass(frozen=True)
class OtherData:
    """A version that was trained on another dataset than the loaded one.

    Attributes
    ----------
    version : int
    trained : DatasetRef
    loaded : DatasetRef
    """

    version: int
    trained: DatasetRef
    loaded: DatasetRef

    def __str__(self) -> str:
        trained = UNKNOWN_DATASET.name if self.trained == UNKNOWN_DATASET else self.trained
        return f"Version {self.version} was trained on {trained}, and {self.loaded} is loaded; its movies are others."

    @property
    def consequence(self) -> str:
        """What happens to the recommendations when this version is champion."""
        until = f"nothing is served until {self.name} is loaded again"
        return f"the tables of recommendations stay as they are, and {until}"

    @property
    def name(self) -> str:
        """Name of the version's dataset, for a sentence about the version."""
        return "its dataset" if self.trained == UNKNOWN_DATASET else self.trained.name

    @property
    def command(self) -> str:
        """Command that loads the version's dataset."""
        return "`movierec run --job refresh --dataset ...`, with its name or directory"


def other_data(version: Version, loaded: DatasetRef | None) -> OtherData | None:
    """The version and both datasets when they differ; None when they are the same, or one is unknown."""
    trained = version.dataset
    if trained is None or loaded is None or trained.id == loaded.id:
        return None
    return OtherData(version.number, trained, loaded)
