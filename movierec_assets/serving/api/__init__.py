"""The HTTP service: routes, and what surrounds every request.

Belongs here: HTTP. Does not: answers (`serving.online`), tables (`tables`).
"""
