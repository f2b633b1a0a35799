"""Requests to the API.

Belongs here: one connection, its errors, and answers as they came. Does not: what is kept of answers (`session`), and
how errors look (`look`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from movierec_assets.errors import ExplainedError
from movierec_assets.settings import Settings, SettingsError

CONNECT_SECONDS, ANSWER_SECONDS = 2.0, 30.0

Params = Mapping[str, str | int | float | bool | None]


def can_be_sent(key: str) -> bool:
    """Whether a header can hold a key. Every key of the platform can; a dash that a chat made longer cannot."""
    return key.isascii() and key.isprintable()


class ApiAway(ExplainedError):  # noqa: N818 - a state that pages show, not a fault of theirs
    """The API does not answer.

    Parameters
    ----------
    message : str
        What was asked, and what happened.
    remedy : str
        What to do.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message, self.remedy = message, remedy


class ApiProblem(ExplainedError):  # noqa: N818 - the name of RFC 9457
    """The API refused a request, or could not answer it.

    Parameters
    ----------
    status : int
        HTTP status.
    title : str
        The kind of problem.
    detail : str
        This case, with the remedy.
    request_id : str or None
        As in the API's log.
    """

    def __init__(self, status: int, title: str, detail: str, request_id: str | None = None) -> None:
        super().__init__(f"{title}: {detail}")
        self.status, self.title, self.detail, self.request_id = status, title, detail, request_id


@dataclass(frozen=True)
class Answer:
    """An answer of the API, of any status.

    Attributes
    ----------
    status : int
        HTTP status.
    seconds : float
        From the request to the end of the answer.
    text : str
        The body.
    json : Any
        The body's value; None where it is not JSON.
    request_id : str or None
        As in the API's log.
    """

    status: int
    seconds: float
    text: str
    json: Any
    request_id: str | None

    @property
    def value(self) -> Any:
        """The value of a good answer.

        Raises
        ------
        ApiProblem
            For a status from 400.
        """
        if self.status < httpx.codes.BAD_REQUEST:
            return self.json
        said = self.json if isinstance(self.json, dict) else {}
        title = str(said.get("title") or f"Status {self.status}")
        detail = str(said.get("detail") or "The answer does not say why; the API's log does.")
        raise ApiProblem(self.status, title, detail, self.request_id)


class Api:
    """The API at one address, over one HTTP session. Any thread may ask.

    Parameters
    ----------
    address : str
        As in http://127.0.0.1:8000.
    key : str, optional
        Sent with each request that has none of its own.
    """

    def __init__(self, address: str, key: str | None = None) -> None:
        self.address = address.rstrip("/")
        self._key = key
        self._client = httpx.Client(
            base_url=self.address,
            headers={"User-Agent": "movierec-app"},
            trust_env=False,  # no proxy between the app and its API
            # Reading the system's certificates takes longer than fifty answers.
            verify=self.address.startswith("https:"),
        )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The API of the settings, with the key of their file.

        Raises
        ------
        SettingsError
            When the file cannot be read, or holds no key.
        """
        file, key = settings.app_api_key_file, None
        if file is not None:
            try:
                key = file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(
                    f"MOVIEREC_APP_API_KEY_FILE: {file} cannot be read ({error}). Write a key of `movierec keys "
                    "create app` into it."
                ) from error
            if not can_be_sent(key):
                raise SettingsError(
                    f"MOVIEREC_APP_API_KEY_FILE: {file} holds no key: it has characters that no key has. Write a key "
                    "of `movierec keys create app` into it."
                )
        return cls(settings.app_api_address, key or None)

    def get(self, path: str, params: Params | None = None, *, key: str | None = None) -> Any:
        """The value at a path; raises as `Answer.value` and `call` do."""
        return self.call("GET", path, params=params, key=key).value

    def post(self, path: str, body: Any, *, key: str | None = None, seconds: float | None = None) -> Any:
        """The value of the answer to a body; raises as `Answer.value` and `call` do."""
        return self.call("POST", path, body=body, key=key, seconds=seconds).value

    def delete(self, path: str, *, key: str | None = None, seconds: float | None = None) -> Any:
        """The value of the answer; raises as `Answer.value` and `call` do."""
        return self.call("DELETE", path, key=key, seconds=seconds).value

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        key: str | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """The answer to a request, of any status.

        Parameters
        ----------
        method, path : str
        params : mapping, optional
            Of the query; None values are left out.
        body : optional
            Sent as JSON, unless None.
        key : str, optional
            In place of the session's key.
        seconds : float, optional
            Longest wait for the answer; `ANSWER_SECONDS` when None.

        Raises
        ------
        ApiAway
            When there is no answer.
        """
        used = key or self._key
        began = time.perf_counter()
        try:
            answer = self._client.request(
                method,
                path,
                params={name: value for name, value in (params or {}).items() if value is not None},
                json=body,
                headers=_headers(method, used),
                timeout=httpx.Timeout(ANSWER_SECONDS if seconds is None else seconds, connect=CONNECT_SECONDS),
            )
        except httpx.TimeoutException as error:
            raise ApiAway(
                f"The API at {self.address} took too long.", "Try again; `movierec status` shows what is busy."
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiAway(
                f"The API at {self.address} does not answer.",
                "Start it with `movierec up`, or `movierec api`. MOVIEREC_APP_API_URL names another address.",
            ) from error
        try:
            value = answer.json() if answer.content else None
        except ValueError:
            value = None
        seconds = time.perf_counter() - began
        return Answer(answer.status_code, seconds, answer.text, value, answer.headers.get("X-Request-ID"))


def _headers(method: str, key: str | None) -> dict[str, str]:
    """The API refuses a POST that a page of another site could send: one that does not say that it is JSON."""
    found = {"Content-Type": "application/json"} if method == "POST" else {}
    return found | ({"Authorization": f"Bearer {key}"} if key else {})
