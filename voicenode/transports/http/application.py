"""What is served at which path, and the one form of every error: `{"error": sentence, "code": word}`."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from voicenode.errors import ErrorCode, VoiceServiceError
from voicenode.metrics import CONTENT_TYPE
from voicenode.transports.http.audio_response import CORS, AudioResponse
from voicenode.transports.http.urls import AUDIO_PATH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicenode.health import Health
    from voicenode.transports.http.audio_files import AudioFiles

_log = logging.getLogger(__name__)

_STATUS = {ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND, ErrorCode.BUSY: HTTPStatus.SERVICE_UNAVAILABLE}
_READ = ["GET", "HEAD"]


def create_app(
    files: AudioFiles, health: Callable[[], Health], metrics: Callable[[], Awaitable[bytes]]
) -> FastAPI:
    """The application; it documents itself nowhere, because its clients are players and probes."""

    async def audio(name: str) -> Response:
        return AudioResponse(files, name)

    async def may_ask_for_audio(name: str) -> Response:  # noqa: ARG001 - the same for every name
        return Response(status_code=204, headers=CORS)

    async def tell_health() -> Response:
        now = health()
        return JSONResponse(now.details, 200 if now.can_speak else 503, {"Cache-Control": "no-store"})

    async def tell_metrics() -> Response:
        return Response(await metrics(), media_type=CONTENT_TYPE)

    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.add_api_route(f"{AUDIO_PATH}{{name}}", audio, methods=_READ, response_model=None)
    app.add_api_route(f"{AUDIO_PATH}{{name}}", may_ask_for_audio, methods=["OPTIONS"], response_model=None)
    app.add_api_route("/health", tell_health, methods=_READ, response_model=None)
    app.add_api_route("/metrics", tell_metrics, methods=_READ, response_model=None)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(VoiceServiceError, _fail)
    app.add_exception_handler(Exception, _fail_unforeseen)
    return app


def _error(status: int, code: ErrorCode, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence, "code": code}, status, headers)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    code = ErrorCode.NOT_FOUND if error.status_code == HTTPStatus.NOT_FOUND else ErrorCode.BAD_REQUEST
    # Nothing here takes a body, and what may still come of one is not waited for.
    close = {} if request.method in _READ else {"Connection": "close"}
    return _error(error.status_code, code, error.detail, {**(error.headers or {}), **close})


async def _fail(_: Request, error: Exception) -> Response:
    assert isinstance(error, VoiceServiceError)  # noqa: S101 - it is registered for nothing else
    status = _STATUS.get(error.code, 500)
    if status != HTTPStatus.NOT_FOUND:
        _log.error("%s", error)
    return _error(status, error.code, str(error))


async def _fail_unforeseen(_: Request, __: Exception) -> Response:
    """The traceback is in the log already: uvicorn gets the error too."""
    return _error(500, ErrorCode.INTERNAL, "the node failed; its log tells why")
