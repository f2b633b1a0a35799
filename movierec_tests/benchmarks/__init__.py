"""Benchmarks of the platform, outside the package: time and memory of a whole run, and false decisions of the gate.

Belongs here: programs that `make bench` runs in workspaces of their own, what they are compared with, and their
reports. Does not: measuring a recipe on one's own data, which is `movierec evaluate`.
"""
