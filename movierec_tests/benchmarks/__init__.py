"""Measuring the platform: what a run costs, beside the original recipe and a bare fit, in one run of `make bench`.

Belongs here: running what users run in a throw-away state directory, what it is measured against, and the report.
Nothing else in the package imports this room, but for the command line.
"""
