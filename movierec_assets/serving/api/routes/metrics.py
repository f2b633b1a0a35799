"""Figures about the service.

Belongs here: the route. Does not: the metrics (`serving.api.metrics`).
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from movierec_assets.serving.api.roles import READER, refuse_bound
from movierec_assets.serving.api.worker import worker_of

router = APIRouter(tags=["operations"])


@router.get("/metrics", response_class=PlainTextResponse, **READER)
async def show_metrics(request: Request) -> PlainTextResponse:
    """Requests, latency, sources of answers, fold-in, model, and queues of all workers, for Prometheus."""
    refuse_bound(request)
    metrics = request.app.state.metrics
    metrics.look(worker_of(request), request.app.state.admission.running)
    return PlainTextResponse(metrics.text(), media_type=CONTENT_TYPE_LATEST)
