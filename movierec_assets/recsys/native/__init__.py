"""The solver in C, where it could be built.

Belongs here: the C sources, and the one module that calls them, `library`. Does not: which equations are solved
(`als`, `least_squares`).
"""
