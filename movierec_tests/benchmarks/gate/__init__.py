"""The benchmark of the gate: how often an improvement is none, and the smallest lead that is found.

Belongs here: comparisons whose right decision is known, and counts of the gate's decisions. Does not: the rule of the
gate and its evidence, which are in `recsys.promotion`, `recsys.comparison` and `recsys.repeated_fits`.
"""
