"""The recommender itself: numpy, scipy and `implicit` only.

Belongs here: interactions and their split, the ALS recipe, fold-in, ranking, metrics, comparison and the
promotion rule. Does not: Dagster, MLflow, databases, files, settings. Every function takes arrays and returns
arrays, so the room can be used alone, in a notebook.
"""
