"""Measuring the platform: the figures of the README, each from one run of `make bench`.

Belongs here: running what users run in a throw-away state directory, measuring it, and writing a report. Nothing
else in the package imports this room.
"""
