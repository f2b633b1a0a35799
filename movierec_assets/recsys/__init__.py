"""The recommender itself, on numpy, scipy and `implicit`; Optuna in the search only.

Belongs here: interactions and their split, the ALS recipe, fold-in, ranking, metrics, comparison and the
promotion rule. Does not: Dagster, MLflow, databases, files, settings. Functions take arrays and return arrays, so
the room can be used alone, in a notebook.
"""
