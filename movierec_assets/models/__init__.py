"""Versions of the model in MLflow, and which one is the champion.

Belongs here: the registry, the files of versions, and decisions about the champion with their history. Does not: the
rule (`recsys.promotion`), training and Dagster (`defs`).
"""
