"""Answering people: recommendations from the champion.

Belongs here: the answers of the command line, of MLflow's pyfunc and of any later service. Does not: Dagster.
"""
