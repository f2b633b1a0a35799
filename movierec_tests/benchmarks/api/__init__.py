"""The API under load: rates beside a floor route, memory, changes of the champion, and servers that are killed.

Belongs here: the load generator, the servers under test, and what is asked of them. Does not: a whole run of the graph
(`benchmark`).
"""
