"""The results of training that evaluation and promotion use: the challenger, and the champion beside it.

Belongs here: the scored fits, each with the registered version of the same recipe. Does not: the served fit of a
version, which is fitted to all positives (`recsys.recommender`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.interactions import Arrays, BoolArray
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import ConfidenceKind, Recipe

_REFIT = "refit_"


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
        Fit to the likes before the test part.
    provenance : dict of str
        Fingerprints of its data: `split`, and `positives`, to which the version was fitted.
    unseen : bool array, shape (n_users,)
        Rows of the matrices whose held-out likes neither `scored` nor a fit that it continued was fitted to.
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
        # The order is part of the fingerprint that is recorded.
        arrays = {
            "user_factors": self.scored.users,
            "movie_factors": self.scored.movies,
            "movie_weight": self.scored.confidence.movie_weight,
            "mean_length": np.array(self.scored.confidence.mean_length),
            "about": np.array(json.dumps(about)),
        }
        if self.scored.next_movies is not None:
            arrays |= self.scored.next_movies.to_arrays()
        # Left out where all rows are unseen, so that the fingerprints that earlier releases recorded stay valid.
        all_unseen = self.unseen.all() and len(self.unseen) == len(self.scored.users)
        return arrays if all_unseen else arrays | {"unseen": self.unseen}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back the arrays of `to_arrays`."""
        about = json.loads(str(arrays["about"]))
        recipe = Recipe.from_dict(about["recipe"])
        return cls(
            version=about["version"],
            run_id=about["run_id"],
            recipe=recipe,
            scored=_factors_in(arrays, recipe.confidence),
            provenance=about["provenance"],
            unseen=arrays["unseen"] if "unseen" in arrays else np.ones(len(arrays["user_factors"]), dtype=bool),
        )


@dataclass(frozen=True)
class ChampionFit:
    """The champion's side of the comparison with the challenger.

    Attributes
    ----------
    champion : int or None
        Version of the champion of the same dataset and definition of a like; None when there is none.
    recipe : Recipe or None
        The champion's, with which `scored` is folded in.
    same_recipe : bool
        Whether the challenger has the champion's recipe.
    changed_data : bool
        Whether the champion was trained on other likes than the challenger.
    scored : Factors or None
        Scored fit of the champion's recipe: its own where the challenger has the same recipe, else a fit to today's
        history. None when there is no champion, or it has no such fit.
    unseen : bool array, shape (n_users,)
        Rows of the matrices whose held-out likes are not in the data of that fit.
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
        """The fit where there is no champion to compare with."""
        return cls(None, None, False, False, None, np.zeros(users, dtype=bool), None)

    def to_arrays(self) -> Arrays:
        """Factors as they are, everything else as JSON; without factors or refit where they are None."""
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
            if self.scored.next_movies is not None:
                arrays |= self.scored.next_movies.to_arrays()
        if self.refit is not None:
            arrays |= {f"{_REFIT}{name}": array for name, array in self.refit.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back the arrays of `to_arrays`."""
        about = json.loads(str(arrays["about"]))
        scored = None
        if "movie_factors" in arrays:
            scored = _factors_in(arrays, cast(ConfidenceKind, str(arrays["confidence"])))
        of_refit = {name.removeprefix(_REFIT): arrays[name] for name in arrays if name.startswith(_REFIT)}
        refit = Challenger.from_arrays(of_refit) if of_refit else None
        recipe = None if about["recipe"] is None else Recipe.from_dict(about["recipe"])
        same, changed = about["same_recipe"], about["changed_data"]
        return cls(about["champion"], recipe, same, changed, scored, arrays["unseen"], refit, about["only_removed"])


def _factors_in(arrays: Mapping[str, npt.NDArray[Any]], kind: ConfidenceKind) -> Factors:
    confidence = Confidence(kind, arrays["movie_weight"], float(arrays["mean_length"]))
    return Factors(arrays["user_factors"], arrays["movie_factors"], confidence, NextMovies.from_arrays(arrays))
