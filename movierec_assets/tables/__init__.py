"""The ratings database: its tables, and how data moves into and out of them.

Belongs here: loading, histories, migrations, COPY and locks. Does not: the server (`postgres`), files (`datasets`).
"""
