"""Stars for ratings, with exact counts of each number of stars.

Belongs here: turning an order of pleasure into stars. Does not: the pleasure (`watching`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.generator.marginals import STAR_COUNTS, star_quotas

_WHOLE = np.arange(2, 11, 2)


def give_stars(pleasure: npt.NDArray[np.float32], halves_offered: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """Give the most stars to the greatest pleasure.

    Parameters
    ----------
    pleasure : float32 array, shape (n,)
    halves_offered : bool array, shape (n,)
        Ratings that may have half stars. Others have whole stars, unless the counts do not allow it.

    Returns
    -------
    int8 array, shape (n,)
        Half stars, 1 to 10, with the shares of ml-20m over all.
    """
    quotas = star_quotas(len(pleasure))
    before = np.zeros(10, dtype=np.int64)
    early = len(pleasure) - int(halves_offered.sum())
    if early <= quotas[_WHOLE - 1].sum():
        before[_WHOLE - 1] = np.minimum(star_quotas(early, STAR_COUNTS[_WHOLE - 1]), quotas[_WHOLE - 1])
        # Rounding can exceed a quota; the rest goes to the stars with the most room.
        for _ in range(early - int(before.sum())):
            before[_WHOLE[np.argmax((quotas - before)[_WHOLE - 1])] - 1] += 1
        groups = [(~halves_offered, before), (halves_offered, quotas - before)]
    else:
        groups = [(np.ones_like(halves_offered), quotas)]
    stars = np.empty(len(pleasure), dtype=np.int8)
    for where, counts in groups:
        rows = np.flatnonzero(where)
        stars[rows[_ascending(pleasure[rows])]] = np.repeat(np.arange(1, 11, dtype=np.int8), counts)
    return stars


def _ascending(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Stable order of finite values."""
    # Bits of floats, with the negative ones inverted, sort like the floats; packed with the index, there are no ties.
    bits = (values + np.float32(0)).view(np.uint32)  # minus zero becomes zero
    key = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    packed = np.sort((key << np.uint64(32)) | np.arange(len(values), dtype=np.uint64))
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
