"""Dagster objects, one module per stage: assets, checks, jobs, schedules, sensors.

Belongs here: what exists in the graph, how it is described, and what an engineer sees of it in the UI. An asset
body reads like the sentence that describes it; computing is in `recsys`, talking to servers in `resources`.
"""
