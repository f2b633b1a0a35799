"""Answering people: recommendations from the champion.

Belongs here: what the command line, the API and MLflow's pyfunc answer with. Imports `recsys` and `resources`,
never `defs`.
"""
