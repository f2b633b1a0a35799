"""Tests of the answers of a worker, without HTTP."""
