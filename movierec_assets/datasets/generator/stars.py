"""Stars for ratings, so that each number of stars is given exactly as often as it should be.

Belongs here: turning an order of pleasure into stars. Does not: where the pleasure comes from.
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
        Where half stars can be given; elsewhere they are not unless the counts need them.

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
        # Rounding can leave one over where the quota of a star is met; it goes where there is room.
        for _ in range(early - int(before.sum())):
            before[_WHOLE[np.argmax((quotas - before)[_WHOLE - 1])] - 1] += 1
        groups = [(~halves_offered, before), (halves_offered, quotas - before)]
    else:
        groups = [(np.ones_like(halves_offered), quotas)]
    stars = np.empty(len(pleasure), dtype=np.int8)
    for where, counts in groups:
        places = np.flatnonzero(where)
        stars[places[_ascending(pleasure[places])]] = np.repeat(np.arange(1, 11, dtype=np.int8), counts)
    return stars


def _ascending(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Order of finite values, of equal ones as they come."""
    # Bits of floats, with the negative ones turned round, sort like the floats; packed with the place, without ties.
    bits = (values + np.float32(0)).view(np.uint32)  # minus nought becomes nought
    key = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    packed = np.sort((key << np.uint64(32)) | np.arange(len(values), dtype=np.uint64))
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
