"""A route that answers bytes: without the machinery of FastAPI, which costs more than a list of movies.

Belongs here: reading, checking and answering of such routes. Does not: guards (`guard`), and the routes.

The route is declared like any other, so that the schema shows its body, parameters and answer. A POST gets its body
from `model_validate_json`; other routes are not made faster.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from movierec_assets.serving.api.body_reading import read_body
from movierec_assets.serving.api.problems import unusable

_JSON = (b"content-type", b"application/json")
_NO_BODY = [{"type": "missing", "loc": ("body",), "msg": "Field required"}]
"""What FastAPI says of a body that is missing."""


class ReadyRoute(APIRoute):
    """A POST whose endpoint takes `(request, body)` and returns the bytes of its answer.

    The endpoint is a coroutine function, its parameter `body` a pydantic model.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        model = endpoint.__annotations__["body"]
        if isinstance(model, str):
            model = endpoint.__globals__[model]
        self._model: type[BaseModel] = model
        self._endpoint: Callable[[Request, Any], Awaitable[bytes]] = endpoint
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = await read_body(receive)
        if not sent:
            raise unusable(_NO_BODY)
        try:
            body = self._model.model_validate_json(sent)
        except ValidationError as error:
            raise unusable(error.errors(include_url=False, include_input=False), "body") from None
        content = await self._endpoint(Request(scope, receive), body)
        headers = [_JSON, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})
