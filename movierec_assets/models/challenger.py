"""The challenger and the champion as training hands them to evaluation and promotion.

Belongs here: the scored fits, and the registered version that each one stands for. Does not: the served fits of the
same recipes on all positives, which the versions hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from movierec_assets.recsys.als import Confidence, Factors, Recipe
from movierec_assets.recsys.interactions import Arrays, BoolArray
from movierec_assets.recsys.recipe import ConfidenceKind


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
        Fingerprints of its data: of the split, and of all positives, which the version was fitted to.
    unseen : bool array, shape (n_users,)
        Users whose held-out likes neither `scored` nor a fit that it continued knows.
    """

    version: int
    run_id: str
    recipe: Recipe
    scored: Factors
    provenance: dict[str, str]
    unseen: BoolArray

    def to_arrays(self) -> Arrays:
        """Factors as they are, everything else as JSON."""
        about = {
            "version": self.version,
            "run_id": self.run_id,
            "recipe": self.recipe.as_dict(),
            "provenance": self.provenance,
        }
        arrays = {
            "user_factors": self.scored.users,
            "movie_factors": self.scored.movies,
            "movie_weight": self.scored.confidence.movie_weight,
            "mean_length": np.array(self.scored.confidence.mean_length),
            "about": np.array(json.dumps(about)),
        }
        # Left out where it is the default: earlier releases did not store it, and the recorded fingerprint is of that.
        is_default = self.unseen.all() and len(self.unseen) == len(self.scored.users)
        return arrays if is_default else arrays | {"unseen": self.unseen}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back the arrays of `to_arrays`."""
        about = json.loads(str(arrays["about"]))
        recipe = Recipe.from_dict(about["recipe"])
        confidence = Confidence(recipe.confidence, arrays["movie_weight"], float(arrays["mean_length"]))
        return cls(
            version=about["version"],
            run_id=about["run_id"],
            recipe=recipe,
            scored=Factors(arrays["user_factors"], arrays["movie_factors"], confidence),
            provenance=about["provenance"],
            unseen=arrays["unseen"] if "unseen" in arrays else np.ones(len(arrays["user_factors"]), dtype=bool),
        )


@dataclass(frozen=True)
class ChampionFit:
    """The champion as the challenger is compared with it.

    Attributes
    ----------
    champion : int or None
        Version of the champion of the same dataset and definition of a like; None when there is none.
    recipe : Recipe or None
        The champion's; users of `scored` are folded in with it.
    same_recipe : bool
        Whether the challenger has the champion's recipe.
    changed_data : bool
        Whether the champion was trained on other likes than the challenger.
    scored : Factors or None
        Scored fit of the champion's recipe: the champion's own where both have one recipe, else one on today's history.
        None when there is no champion, or it left no scored fit.
    unseen : bool array, shape (n_users,)
        Users whose held-out likes `scored` does not know.
    refit : Challenger or None
        The champion's recipe trained on changed data and registered, where the challenger has another recipe.
    only_removed : bool
        Whether all of the challenger's likes are the champion's as well, where both have one recipe.
    """

    champion: int | None
    recipe: Recipe | None
    same_recipe: bool
    changed_data: bool
    scored: Factors | None
    unseen: BoolArray
    refit: Challenger | None
    only_removed: bool = False

    @classmethod
    def none(cls, users: int) -> Self:
        """For no champion to compare with."""
        return cls(None, None, False, False, None, np.zeros(users, dtype=bool), None)

    def to_arrays(self) -> Arrays:
        """Factors as they are, everything else as JSON, without missing parts."""
        about = {
            "champion": self.champion,
            "recipe": None if self.recipe is None else self.recipe.as_dict(),
            "same_recipe": self.same_recipe,
            "changed_data": self.changed_data,
            "only_removed": self.only_removed,
        }
        arrays = {"about": np.array(json.dumps(about)), "unseen": self.unseen}
        if self.scored is not None:
            arrays |= {
                "user_factors": self.scored.users,
                "movie_factors": self.scored.movies,
                "confidence": np.array(self.scored.confidence.kind),
                "movie_weight": self.scored.confidence.movie_weight,
                "mean_length": np.array(self.scored.confidence.mean_length),
            }
        if self.refit is not None:
            arrays |= {f"{_REFIT}{name}": array for name, array in self.refit.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back the arrays of `to_arrays`."""
        about = json.loads(str(arrays["about"]))
        scored = None
        if "movie_factors" in arrays:
            confidence = Confidence(
                cast(ConfidenceKind, str(arrays["confidence"])), arrays["movie_weight"], float(arrays["mean_length"])
            )
            scored = Factors(arrays["user_factors"], arrays["movie_factors"], confidence)
        of_refit = {name.removeprefix(_REFIT): arrays[name] for name in arrays if name.startswith(_REFIT)}
        refit = Challenger.from_arrays(of_refit) if of_refit else None
        recipe = None if about["recipe"] is None else Recipe.from_dict(about["recipe"])
        same, changed = about["same_recipe"], about["changed_data"]
        return cls(about["champion"], recipe, same, changed, scored, arrays["unseen"], refit, about["only_removed"])


_REFIT = "refit_"
