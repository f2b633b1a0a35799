"""All solvers run in turn on one matrix, and the figures come back from JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
from scipy.sparse import random as random_matrix

from movierec_assets.recsys.native import library
from movierec_tests.benchmarks.solvers import IMPLICIT, OURS, measure, solvers_of


def test_every_solver_has_an_iteration_in_every_round() -> None:
    matrix = random_matrix(200, 100, 0.1, format="csr", dtype=np.float32, random_state=1)
    found = measure(matrix, rounds=2)
    assert {each.name for each in found.solvers} >= {IMPLICIT} | (set() if library.why_not() else {OURS})
    assert [len(seconds) for seconds in found.seconds] == [2] * len(found.solvers)
    assert min(map(min, found.seconds)) > 0
    assert (found.positives, found.users, found.movies) == (2000, 200, 100)
    assert min(found.gemm + found.read) > 0
    assert solvers_of(json.loads(json.dumps(asdict(found)))) == found
