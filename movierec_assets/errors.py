"""The errors whose message is all that a user needs.

Belongs here: what they have in common, so that the command line knows them without importing the rooms they come from.
Each room words its own.
"""

from __future__ import annotations


class ExplainedError(Exception):
    """Something cannot be done; the message says what, why, and what to do about it."""
