"""The floor: a route with the body model of `/recommend`, in the same application, that answers with ready bytes.

Belongs here: what no answer of this application can be faster than. Does not: measuring (`rates`).
"""

from __future__ import annotations

_MOVIES = b",".join(b'{"movie_id":%d,"title":"%s"}' % (number, b"x" * 110) for number in range(11))
READY = b'{"movies":[' + _MOVIES + b"]}"
"""1.5 KB of JSON, as long as ten recommended movies."""
