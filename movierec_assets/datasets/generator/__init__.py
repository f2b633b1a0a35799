"""Synthetic MovieLens: ratings of the shape and size of a release, from a seed instead of a download.

Belongs here: simulating films, users, their tastes, sittings and ratings, so that counts are exact and a recommender
can find the tastes. Does not: the catalogue of real films (`demo`), fetching (`download`).

In the order of work: `size` holds the numbers of rows that are wanted, `habits` the numbers of behaviour. `marginals`
gives the counts of ratings per user, film and star. `films` makes up films, `tastes` the topics that users follow, and
`sittings` the times. `appeal` finds the odds of films, `watching` draws films and `stars` gives stars. `simulation`
runs all of it and `files` writes the result.

Random numbers come from seeded PCG64 streams, one for each purpose and each block of users, so neither the number of
threads nor their timing changes a byte. Another processor may round a sum of floats differently, and then a rating.
"""

from __future__ import annotations

from movierec_assets.datasets.generator.files import generate
from movierec_assets.datasets.generator.size import DEFAULT_SEED, Size

__all__ = ["DEFAULT_SEED", "Size", "generate"]
