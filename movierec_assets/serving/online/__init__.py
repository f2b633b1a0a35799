"""What a worker of the API has in memory: the champion, the catalogue, users' live ratings, and the log of lists.

Belongs here: answers to requests, without HTTP. Does not: routes (`serving.api`), MLflow (which
only `keeper` imports), and Dagster.
"""
