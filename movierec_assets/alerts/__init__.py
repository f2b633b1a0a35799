"""Alerts: what goes wrong is told to people, once a cause, and again when it is over.

Belongs here: causes, their storage, and the channels. Does not: Dagster's sensors that find causes (`defs`).
"""
