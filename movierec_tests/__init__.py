"""Tests of the platform, in the rooms of the package; `end_to_end` does what a user does."""
