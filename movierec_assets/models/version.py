"""A registered version: where it is, and what its tags say of how it was made.

Belongs here: names of the tags and aliases, and reading them. Asking MLflow for versions is in `registry`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from movierec_assets.recsys.promotion import opponent
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.known_datasets import DatasetRef

MODEL_NAME = "movierec-als"
EXPERIMENT = "movierec"
CHAMPION = "champion"
CHALLENGER = "challenger"
DATASET_ID, DATASET, POSITIVE_THRESHOLD = "dataset_id", "dataset", "positive_threshold"
"""Tags of a version: number and name of its dataset, and the stars from which a rating was a like."""
POSITIVES_FINGERPRINT = "positives_fingerprint"
"""Tag of a version: hash of the likes it was trained on."""
TRAINING_KEY = "training_key"
"""Tag of a version: hash of everything that its training depends on. It is the last tag that a new version gets."""
PROVENANCE = "provenance"
"""Tag of a version: JSON of what people may want to know of its making. Earlier releases wrote a tag for each."""


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes
    ----------
    number : int
    run_id : str
        MLflow run it came from.
    source : str
        Where its artifacts are.
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
    def recipe(self) -> Recipe:
        """The recipe it was trained with."""
        return Recipe.from_dict(json.loads(self.tags.get("recipe", "{}")))

    @property
    def dataset(self) -> DatasetRef | None:
        """The dataset it was trained on; None for a version that was registered before datasets were told apart."""
        number = self.tags.get(DATASET_ID, "")
        return DatasetRef(int(number), self.tags.get(DATASET, "?")) if number else None

    @property
    def provenance(self) -> dict[str, str]:
        """All tags, with what is packed into one of them as if each had a tag of its own."""
        packed: dict[str, Any] = json.loads(self.tags.get(PROVENANCE, "{}"))
        unpacked = {name: value if isinstance(value, str) else json.dumps(value) for name, value in packed.items()}
        return unpacked | {name: value for name, value in self.tags.items() if name != PROVENANCE}

    @property
    def model_id(self) -> str | None:
        """MLflow's logged model, whose page shows the metrics of the version; None for a version without one."""
        found = self.source.removeprefix("models:/")
        return found if found != self.source and found.startswith("m-") else None

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
        """Whether this version and another have the same recipe, but for the seed, and learned the same likes.

        False when one of them does not say what it learned.
        """
        known = all({"recipe", POSITIVES_FINGERPRINT} <= set(version.tags) for version in (self, other))
        if not known or self.tags[POSITIVES_FINGERPRINT] != other.tags[POSITIVES_FINGERPRINT]:
            return False
        return opponent(self.recipe, other.recipe) == other.recipe
