"""The schema of the ratings database, as numbered steps that Alembic runs once each, in order.

Belongs here: the files that Alembic needs (`env.py`, the template of a new step) and, in `versions/`, a module for each
step. A released step is never edited: a change is a new step. Does not: when and how they run (`tables.migrations`).
"""
