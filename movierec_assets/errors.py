"""The base class of errors that explain themselves.

Belongs here: that class, so that the command line recognizes such errors without importing any room. Does not: the
errors, which each room defines.
"""

from __future__ import annotations


class ExplainedError(Exception):
    """The message is all that a user needs: what cannot be done, where, why, and what to do about it."""
