"""Containers: what docker-compose.yml at the top level builds and runs.

Belongs here: the image, and the small programs of its containers: secrets, health, the door to the outside. Does not:
what the platform's own commands do (`cli`).
"""
