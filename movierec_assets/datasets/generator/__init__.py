"""Synthetic MovieLens: ratings of the shape and size of a release, from a seed instead of a download.

Belongs here: simulating films, users, their tastes, sittings and ratings, so that counts are exact and taste can
be found. Does not: real films (`demo`), fetching (`download`), and asking anybody what size they want.

In the order of work: `size` says what is wanted and whether it can be had; `marginals` are the counts to be met;
`films` and `tastes` are who there is; `sittings` and `watching` are who rated what and when; `stars` is how;
`simulation` puts these together and `files` writes them.

Random numbers come from seeded PCG64 streams, one for each purpose and each block of users, so neither the number of
threads nor their timing changes a byte. Another processor may round a sum of floats differently, and then a rating.
"""

from __future__ import annotations

from movierec_assets.datasets.generator.files import generate
from movierec_assets.datasets.generator.size import DEFAULT_SEED, Size

__all__ = ["DEFAULT_SEED", "Size", "generate"]
