"""The next-movie matrices of one training: one to score with, and one to serve.

Belongs here: the two matrices, the signal that they were counted for, and whether another signal can use them. Does
not: counting (`next_movies`), and the fits that carry the matrices (`warm_start`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from movierec_assets.progress import Progress
from movierec_assets.recsys.batches import BATCH_BYTES
from movierec_assets.recsys.interactions import Arrays
from movierec_assets.recsys.next_movies import NextMovies, of_split
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.split import Split

_SCORED, _SERVED = "scored_", "served_"


@dataclass(frozen=True)
class NextMoviesOfSplit:
    """The next-movie matrices of a split.

    Attributes
    ----------
    signal : NextMovie
        Its numbers decided the matrices.
    scored, served : NextMovies or None
        Counted in the likes before the test part, and in all likes. None when the signal is off.
    """

    signal: NextMovie
    scored: NextMovies | None = None
    served: NextMovies | None = None

    @classmethod
    def of(
        cls, split: Split, signal: NextMovie, *, batch_bytes: int = BATCH_BYTES, progress: Progress | None = None
    ) -> Self:
        """Count the transitions of a split; of a signal that is off, nothing. Arguments are as for `NextMovies.of`."""
        if not signal.on:
            return cls(signal)
        return cls(signal, *of_split(split, signal, batch_bytes=batch_bytes, progress=progress))

    def usable_for(self, signal: NextMovie) -> Self | None:
        """The matrices for another signal; None when they have to be counted for it."""
        if not signal.on:
            return type(self)(signal)
        return self if self.signal.on and self.signal.matrix == signal.matrix else None

    def to_arrays(self) -> Arrays:
        """Named arrays; the signal is JSON, and a missing matrix has no arrays."""
        arrays = {"signal": np.array(json.dumps(asdict(self.signal)))}
        for prefix, matrix in ((_SCORED, self.scored), (_SERVED, self.served)):
            if matrix is not None:
                arrays |= {f"{prefix}{name}": array for name, array in matrix.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back the arrays of `to_arrays`."""

        def matrix(prefix: str) -> NextMovies | None:
            own = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
            return NextMovies.from_arrays(own)

        return cls(NextMovie(**json.loads(str(arrays["signal"]))), matrix(_SCORED), matrix(_SERVED))
