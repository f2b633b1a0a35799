"""Power: the share of comparisons in which the gate's rule finds a lead that is planted.

Belongs here: planting leads of known size, and counting how often they are found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from movierec_assets.progress import StageProgress
from movierec_tests.benchmarks.gate.fits import Pool, improves

LEADS = tuple(each / 1000 for each in (*range(1, 20), *range(20, 50, 5), *range(50, 200, 10), *range(200, 501, 25)))
"""Leads that are planted, relative to the champion's NDCG@10."""
FOUND = 0.8
"""Share of comparisons from which on a lead counts as found."""


@dataclass(frozen=True)
class Power:
    """How often planted leads are found.

    Attributes
    ----------
    recipes : str
        How alike the compared recipes are, apart from the lead.
    found : dict of float
        Share of comparisons in which it is found, for each lead relative to the champion's NDCG@10.
    """

    recipes: str
    found: dict[float, float]

    @property
    def smallest(self) -> float | None:
        """The smallest lead that is found, and all larger ones with it; None when the largest is not found."""
        smallest = None
        for planted, share in sorted(self.found.items(), reverse=True):
            if share < FOUND:
                break
            smallest = planted
        return smallest


def power(
    pool: Pool,
    recipes: str,
    fits: int,
    margin: float,
    cases: int,
    *,
    progress: StageProgress = lambda *_: None,
) -> Power:
    """Plant leads by taking the score away from a random share of the champion's users.

    Parameters
    ----------
    pool : Pool
    recipes : str
        As for `Pool.comparisons`.
    fits : int
        Of each side of a comparison.
    margin : float
    cases : int
        Comparisons for each lead.
    progress : callable
    """
    found = dict.fromkeys(LEADS, 0)
    random = np.random.default_rng(2)
    for done, (challenger, champion) in enumerate(pool.comparisons(recipes, fits, cases), start=1):
        draws = random.random(len(champion))
        for planted in LEADS:
            # Losing planted / (1 + planted) of its score puts the champion behind by `planted` of the rest.
            weakened = champion * (draws >= planted / (1 + planted))[:, None]
            found[planted] += improves(challenger, weakened, margin)
        progress(f"Planted leads, {recipes}", done, cases)
    return Power(recipes, {planted: times / cases for planted, times in found.items()})
