"""What training hands to evaluation and promotion.

Belongs here: the fit that is scored, and which registered version it speaks for. The version itself holds another
fit of the same recipe, on all positives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from movierec_assets.recsys.als import Confidence, Factors, Recipe
from movierec_assets.recsys.interactions import Arrays


@dataclass(frozen=True)
class Challenger:
    """A trained recipe.

    Attributes
    ----------
    version : int
        Its number in the registry.
    run_id : str
        Its MLflow run.
    recipe : Recipe
    scored : Factors
        Fit on everything before the test part; never saw a test pair.
    provenance : dict of str
        Fingerprints of what it was made from: `split`, and `positives` (all of it, what the version was fitted on).
    """

    version: int
    run_id: str
    recipe: Recipe
    scored: Factors
    provenance: dict[str, str]

    def to_arrays(self) -> Arrays:
        """Factors as they are, everything else as JSON."""
        about = {
            "version": self.version,
            "run_id": self.run_id,
            "recipe": self.recipe.as_dict(),
            "provenance": self.provenance,
        }
        return {
            "user_factors": self.scored.users,
            "movie_factors": self.scored.movies,
            "movie_weight": self.scored.confidence.movie_weight,
            "mean_length": np.array(self.scored.confidence.mean_length),
            "about": np.array(json.dumps(about)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back what `to_arrays` gave."""
        about = json.loads(str(arrays["about"]))
        recipe = Recipe.from_dict(about["recipe"])
        confidence = Confidence(recipe.confidence, arrays["movie_weight"], float(arrays["mean_length"]))
        return cls(
            version=about["version"],
            run_id=about["run_id"],
            recipe=recipe,
            scored=Factors(arrays["user_factors"], arrays["movie_factors"], confidence),
            provenance=about["provenance"],
        )
