"""The schema of the ratings database, as numbered steps that Alembic runs once each, in order.

Belongs here: what Alembic needs (`env.py`, the template of a new step) and, in `versions/`, one module a step. A step
that was released is never edited: a change is a new step. When and how they run is in `tables.migrations`.
"""
