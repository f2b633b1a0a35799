"""Backups of the whole state: databases, champion, model versions, storage, settings without secrets.

Belongs here: making, checking and restoring archives. Does not: commands (`cli`) and the scheduled job (`defs`).
"""
