"""The expected graph, for tests of its definition and of its runs."""

from __future__ import annotations

from dagster import AssetSpec

from movierec_assets.definitions import build

# asset: its dependencies
GRAPH = {
    "raw_movies": set[str](),
    "raw_ratings": {"raw_movies"},
    "eligible_users": {"raw_ratings"},
    "positive_ratings": {"eligible_users"},
    "train_matrix": {"positive_ratings"},
    "validation_matrix": {"positive_ratings"},
    "test_matrix": {"positive_ratings"},
    "id_maps": {"positive_ratings"},
    "hyperparameters": {"train_matrix", "validation_matrix"},
    "next_movies": {"hyperparameters", "train_matrix", "validation_matrix", "test_matrix", "id_maps"},
    "als_model": {"hyperparameters", "next_movies", "train_matrix", "validation_matrix", "test_matrix", "id_maps"},
    "champion_refit": {"als_model", "next_movies", "train_matrix", "validation_matrix", "test_matrix", "id_maps"},
    "return_evaluation": {
        *("als_model", "champion_refit", "train_matrix", "validation_matrix", "test_matrix", "id_maps"),
    },
    "model_evaluation": {
        *("als_model", "champion_refit", "return_evaluation"),
        *("train_matrix", "validation_matrix", "test_matrix", "id_maps"),
    },
    "champion_model": {"als_model", "champion_refit", "return_evaluation", "model_evaluation"},
    "user_recommendations": {"champion_model", "eligible_users"},
    "similar_movies": {"champion_model"},
    "popular_movies": {"champion_model"},
    "trending_movies": {"positive_ratings"},
    "served_feedback": {"champion_model"},
    "backtest": {"positive_ratings"},
}
APART = {"hyperparameters", "served_feedback", "backtest"}
"""Each in a job of its own, in no daily job."""
GROUPS = {
    "ingestion": {"raw_movies", "raw_ratings", "eligible_users"},
    "preprocessing": {"positive_ratings", "train_matrix", "validation_matrix", "test_matrix", "id_maps"},
    "training": {
        *("hyperparameters", "next_movies", "als_model", "champion_refit", "return_evaluation", "model_evaluation"),
        "champion_model",
    },
    "serving": {"user_recommendations", "similar_movies", "popular_movies", "trending_movies"},
    "feedback": {"served_feedback"},
    "backtest": {"backtest"},
}
KINDS = {
    "raw_movies": {"postgres", "csv"},
    "raw_ratings": {"postgres", "csv"},
    "eligible_users": {"postgres", "view"},
    "positive_ratings": {"postgres", "parquet", "pandas"},
    "train_matrix": {"scipy"},
    "validation_matrix": {"scipy"},
    "test_matrix": {"scipy"},
    "id_maps": {"parquet"},
    "hyperparameters": {"optuna", "postgres"},
    "next_movies": {"scipy"},
    "als_model": {"mlflow", "implicit"},
    "champion_refit": {"mlflow", "implicit"},
    "return_evaluation": {"pandas", "parquet"},
    "model_evaluation": {"pandas", "parquet"},
    "champion_model": {"mlflow"},
    "user_recommendations": {"postgres"},
    "similar_movies": {"postgres"},
    "popular_movies": {"postgres"},
    "trending_movies": {"postgres"},
    "served_feedback": {"postgres"},
    "backtest": {"postgres", "implicit"},
}
BLOCKING = {
    "most_rows_loaded",
    "no_future_in_the_past",
    "somebody_can_be_evaluated",
    "factors_are_finite",
    "registered_version_answers",
    "refitted_champion_answers",
    "not_worse_on_return",
    "scores_are_sound",
    "coverage_has_not_collapsed",
    "not_only_popular_movies",
    "lists_are_full_and_unseen",
}
NOT_BLOCKING = {
    *("better_than_popularity", "signal_does_no_harm"),
    *("recommendations_are_sound", "everybody_has_a_full_list", "tables_carry_the_champion", "trending_is_sound"),
}
OF_MONTHS = {"not_below_the_year_before"}
"""Not blocking either, of the job backtest."""
TABLES = (
    *("raw_movies", "raw_ratings", "eligible_users", "positive_ratings", "id_maps"),
    *("return_evaluation", "model_evaluation"),
)
SERVED = ("user_recommendations", "similar_movies", "popular_movies", "trending_movies")


def specs() -> dict[str, AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in build().resolve_all_asset_specs()}
