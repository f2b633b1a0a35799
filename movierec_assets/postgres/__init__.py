"""The private Postgres server of a machine without one.

Belongs here: its programs, its processes and its life. Does not: any table (`tables`).
"""
