"""Dagster objects, one module per stage: assets, checks, jobs, schedules, sensors.

Belongs here: the graph, its descriptions and its metadata in the UI. An asset body reads like the sentence that
describes it. Does not: computing (`recsys`), or the resources that an asset is handed (`resources`).
"""
