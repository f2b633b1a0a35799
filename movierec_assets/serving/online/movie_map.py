"""A movie and its neighbours on a plane.

Belongs here: the projection. Does not: which movies are near (`neighbours`), and drawing (`serving.app`).
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.interactions import FloatArray

AXES = 2


def projected(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The first two principal components of directions.

    Parameters
    ----------
    vectors : float array, shape (n, factors)
        Of any length; a zero vector stays one.

    Returns
    -------
    positions : float64 array, shape (n, 2)
        Around 0. The value of an axis that is farthest from 0 is positive, so that the same vectors have the same
        positions.
    shares : float64 array, shape (2,)
        Of the variance that each axis shows; 0 without any.
    """
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    unit = np.divide(exact, lengths, out=np.zeros_like(exact), where=lengths > 0)
    unit -= unit.mean(axis=0)
    left, sizes, _ = np.linalg.svd(unit, full_matrices=False)
    found, shares = np.zeros((len(unit), AXES)), np.zeros(AXES)
    shown = min(AXES, len(sizes))
    found[:, :shown] = left[:, :shown] * sizes[:shown]
    total = float(sizes @ sizes)
    if total > 0:
        shares[:shown] = sizes[:shown] ** 2 / total
    farthest = found[np.abs(found).argmax(axis=0), np.arange(AXES)]
    return found * np.where(farthest < 0, -1.0, 1.0), shares
