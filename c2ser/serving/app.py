"""The web application of a server: the interface for programs, and the page for people."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

import c2ser
from c2ser.recordings.formats import as_dict
from c2ser.serving.batching import Cancelled
from c2ser.serving.emotion_page import add_page
from c2ser.serving.gate import Gate
from c2ser.serving.schema import Failure, Health, RecordingResult, Refusal
from c2ser.serving.service import Busy, Service
from c2ser.serving.shown import shown_name
from c2ser.serving.templates import fill

SUMMARY = "Speech emotion recognition. For research; decide nothing about people by it."

FILES = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}
"""The body of a request, which the application reads itself, after it has found a place for the request."""

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "No files, or no form"},
    401: {"model": Refusal, "description": "No token, or a wrong one"},
    408: {"model": Refusal, "description": "The upload took too long"},
    413: {"model": Refusal, "description": "The upload is too large"},
    422: {"model": Refusal | list[Failure], "description": "A wrong option, or not one file can be used"},
    429: {"model": Refusal, "description": "Too many requests; the header Retry-After says when to try again"},
    504: {"model": Refusal, "description": "The answer took too long"},
}


def make_app(service: Service, token: str | None) -> ASGIApp:
    """Return the application.

    Args:
        service: does the work; it is closed when the application ends.
        token: what each request must know; None lets everybody in.
    """
    folder = tempfile.TemporaryDirectory(prefix="c2ser-serve-")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        """Close the service and remove its files when the application ends."""
        yield
        service.close()
        folder.cleanup()

    app = FastAPI(
        title="C²SER", summary=SUMMARY, version=c2ser.__version__, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    _add_emotions(app, service)
    _add_reports(app, service)
    _add_errors(app)
    return Gate(add_page(app, service, Path(folder.name)), service.limits, token, service.monitor.count_answer)


def _add_emotions(app: FastAPI, service: Service) -> None:
    @app.post("/v1/emotions", openapi_extra=FILES, responses=REFUSALS, response_description="What was recognised")
    async def recognise_emotions(
        request: Request,
        segments: Annotated[str, Query(description="vad, fixed:SECONDS or none")] = "vad",
        channels: Annotated[Literal["mean", "each"], Query(description="mix them, or treat each alone")] = "mean",
        min_confidence: Annotated[float, Query(ge=0, le=1, description='below it an emotion is "unsure"')] = 0.0,
        language: Annotated[str | None, Query(description="ISO 639-1 code, if all files are in one language")] = None,
        style: Annotated[Literal["explicit", "implicit"] | None, Query(description="chain of thought")] = None,
        answers: Annotated[bool, Query(description="whether the model answers in words")] = True,
    ) -> list[RecordingResult | Failure]:
        """Recognise the emotions in one or more recordings, each a file in the field "files" of a form.

        The answer has one entry for each file, in their order. A file that cannot be used has an error there.
        """
        options = {"segments": segments, "channels": channels, "min_confidence": min_confidence}
        options |= {"language": language, "style": style, "answers": answers}
        with service.admit():
            async with request.form(max_files=service.limits.files, max_fields=0) as form:
                uploads = [upload for upload in form.getlist("files") if isinstance(upload, UploadFile)]
                if not uploads:
                    raise HTTPException(400, "no files; send a form with recordings in the field files")
                results = await asyncio.gather(*(_recognise(service, upload, options) for upload in uploads))
        every_one_failed = all("error" in result for result in results)
        return JSONResponse(results, 422 if every_one_failed else 200)  # type: ignore[return-value]


async def _recognise(service: Service, upload: UploadFile, options: dict[str, Any]) -> dict[str, Any]:
    name = shown_name(upload.filename)
    try:
        return as_dict(await service.recognise(upload.file, name, **options))
    except (ValueError, OSError) as error:
        if isinstance(error, TimeoutError):  # which is an OSError
            raise
        return {"file": name, "error": " ".join(str(error).split())}


def _add_reports(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_description="It works")
    def report_health() -> Health:
        """Say that the server works; no token is needed."""
        return Health(model=service.name, version=c2ser.__version__)

    @app.get("/metrics", response_class=PlainTextResponse, response_description="The counters")
    def report_metrics() -> PlainTextResponse:
        """Report counters in the text format of Prometheus."""
        return PlainTextResponse(service.monitor.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    def describe() -> HTMLResponse:
        """Show the page about the interface."""
        return HTMLResponse(fill("interface.html", openapi=app.openapi()))


def _add_errors(app: FastAPI) -> None:
    def answer(status: int, text: object, **headers: str) -> JSONResponse:
        """Return an error as every refusal has it: its text in one line under detail."""
        return JSONResponse({"detail": " ".join(str(text).split())}, status, headers)

    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
        """Answer a request whose options are wrong."""
        wrong = [f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors()]
        return answer(422, f"{'; '.join(wrong)}; see /docs")

    @app.exception_handler(Busy)
    async def put_off(request: Request, error: Busy) -> JSONResponse:
        """Answer when too many requests are there, and say when to come again."""
        return answer(429, error, **{"Retry-After": str(error.seconds)})

    @app.exception_handler(TimeoutError)
    async def give_up(request: Request, error: TimeoutError) -> JSONResponse:
        """Answer a request that took too long."""
        return answer(504, error)

    @app.exception_handler(Cancelled)
    async def go_down(request: Request, error: Cancelled) -> JSONResponse:
        """Answer what was under way when the server ended."""
        return answer(503, "the server is going down; try again later")

    @app.exception_handler(ClientDisconnect)
    async def forget(request: Request, error: ClientDisconnect) -> JSONResponse:
        """Answer a client that has gone; nobody reads it."""
        return answer(499, "the client has gone")
