"""Answers as JSON, joined from the fragments of their movies.

Belongs here: the form of answers. Does not: their contents (`ranker`), and what the route adds (`serving.api`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from movierec_assets.serving.online.answers import Answer, Neighbours, Reason
from movierec_assets.serving.online.movie_index import Catalogued


def answer_json(answer: Answer, catalogued: Catalogued, recommendation_id: str | None = None) -> bytes:
    """An object with `recommendation_id`, `source`, `model_version`, `moment`, `why_source`, `why_fewer`, `notes`, and
    `movies`: objects with `movie_id`, `title`, `year`, `genres`, `score`, and `reasons` where these were asked for.
    """  # noqa: D205
    moment = answer.moment
    head = orjson.dumps(
        {
            "recommendation_id": recommendation_id,
            "source": answer.source,
            "model_version": answer.model_version,
            "moment": None
            if moment is None
            else {
                "name": moment.name,
                "elapsed_seconds": moment.elapsed_seconds,
                "signal": moment.signal,
                "note": moment.note,
            },
            "why_source": answer.why_source,
            "why_fewer": answer.why_fewer,
            "notes": answer.notes,
        }
    )
    return b'%b,"movies":[%b]}' % (head[:-1], movies_json(answer, catalogued))


def movies_json(answer: Answer, catalogued: Catalogued) -> bytes:
    """The movies of an answer, without brackets around them."""
    fragments = catalogued.fragments
    rows = catalogued.rows_of(answer.movie_ids).tolist()
    if answer.reasons is None:
        return b",".join(
            [b'%b,"score":%.9g}' % (fragments[row], score) for row, score in zip(rows, answer.scores, strict=True)]
        )
    return b",".join(
        [
            b'%b,"score":%.9g,"reasons":%b}'
            % (fragments[row], score, orjson.dumps([_reason(each, catalogued) for each in reasons]))
            for row, score, reasons in zip(rows, answer.scores, answer.reasons, strict=True)
        ]
    )


def neighbours_json(neighbours: Neighbours, catalogued: Catalogued) -> bytes:
    """Movies like a movie, without brackets around them; each has a `similarity`, and for a user a `score`."""
    fragments = catalogued.fragments
    rows = catalogued.rows_of(neighbours.movie_ids).tolist()
    scores: Sequence[float | None] = neighbours.scores or [None] * len(rows)
    return b",".join(
        [
            fragments[row] + b',"similarity":%.9g' % cosine + (b"}" if score is None else b',"score":%.9g}' % score)
            for row, cosine, score in zip(rows, neighbours.similarities, scores, strict=True)
        ]
    )


def _reason(reason: Reason, catalogued: Catalogued) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": reason.kind, "contribution": reason.contribution}
    if reason.movie_id is not None:
        row = int(catalogued.rows_of([reason.movie_id])[0])
        found |= {"movie_id": reason.movie_id, "title": catalogued.catalogue.titles[row]}
    if reason.boost is not None:
        found["boost"] = reason.boost
    return found
