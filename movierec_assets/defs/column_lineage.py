"""Column lineage: which columns of other assets each column of a table is made from.

Belongs here: the lineage of all tables, in one place. Does not: types and descriptions of columns, which stand at the
assets.

Dagster concept: https://docs.dagster.io/guides/build/assets/metadata-and-tags/column-level-lineage
"""

from collections.abc import Mapping
from typing import Any

from dagster import AssetKey, TableColumnDep, TableColumnLineage

_MOVIE = ("raw_movies.movie_id",)
_LIKES = ("positive_ratings.rating",)
LINEAGE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "raw_ratings": {"movie_id": _MOVIE},
    "eligible_users": {"user_id": ("raw_ratings.user_id",), "ratings": ("raw_ratings.user_id",)},
    "positive_ratings": {
        "user_id": ("raw_ratings.user_id", "eligible_users.user_id"),
        "movie_id": ("raw_ratings.movie_id",),
        "rating": ("raw_ratings.rating",),
        "rated_at": ("raw_ratings.rated_at",),
    },
    "id_maps": {"id": ("positive_ratings.user_id", "positive_ratings.movie_id")},
    "user_recommendations": {"user_id": ("raw_ratings.user_id",), "movie_id": ("id_maps.id",)},
    "similar_movies": {"movie_id": ("id_maps.id",), "similar_movie_id": ("id_maps.id",)},
    "popular_movies": {"movie_id": ("id_maps.id",), "score": ("positive_ratings.user_id",)},
    "trending_movies": {
        "movie_id": ("positive_ratings.movie_id",),
        "score": _LIKES,
        "likes": _LIKES,
        "expected": _LIKES,
        "since": ("positive_ratings.rated_at",),
        "until": ("positive_ratings.rated_at",),
    },
}
"""By asset and column: the columns it is made from, as asset.column. Columns of files have no sources."""


def column_lineage(asset: str) -> dict[str, Any]:
    """Metadata of a materialization: the lineage of the asset's columns."""
    return {
        "dagster/column_lineage": TableColumnLineage(
            {
                column: [TableColumnDep(AssetKey(name), source) for name, source in (each.split(".") for each in made)]
                for column, made in LINEAGE[asset].items()
            }
        )
    }
