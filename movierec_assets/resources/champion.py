"""The champion as it is served: over the movies that the catalogue holds today.

Belongs here: bringing registry and catalogue together, for the recommendation assets and for `serving` alike.
"""

from __future__ import annotations

from movierec_assets.recsys.recommender import Recommender
from movierec_assets.resources.database import SCHEMA, Database
from movierec_assets.resources.registry import ModelRegistry, Version


def load_champion(registry: ModelRegistry, database: Database) -> tuple[Version, Recommender]:
    """Load the champion, without movies that have left the catalogue since it was trained.

    Raises
    ------
    NoChampionError
        When there is none.
    """
    champion = registry.champion()
    catalogue = database.columns(f"SELECT movie_id FROM {SCHEMA}.movies ORDER BY movie_id", {"movie_id": "integer"})
    return champion, registry.load(champion).within(catalogue["movie_id"])
