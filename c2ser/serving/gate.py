"""What a request must pass before any of the application sees it: the token, the size and the time of its body."""

import asyncio
import hmac
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from c2ser.serving.config import Limits

COOKIE = "c2ser_token"
OPEN_PATHS = ("/health",)
"""What needs no token."""

INTERFACE = "/v1/"
"""Where the answers begin that are counted."""

HEADERS = {
    # nothing comes from elsewhere, and nothing goes there; Gradio compiles the templates of its page
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob: data:; "
    "font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Gate:
    """ASGI middleware around a whole application.

    Args:
        app: the application.
        limits: size and time of an upload.
        token: what each request must know; None lets everybody in.
        count: is told the status of each answer of the interface.
    """

    def __init__(self, app: ASGIApp, limits: Limits, token: str | None, count: Callable[[int], None]) -> None:
        self.app, self.limits, self.token, self._count = app, limits, token, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # there are no web sockets
        headers, send = Headers(scope=scope), self._with_headers(scope, send)
        if self.token is not None and scope["path"] not in OPEN_PATHS:
            if scope["method"] == "GET" and self._matches(_query_token(scope)):
                await _keep_token(scope, self.token)(scope, receive, send)
                return
            if not self._matches(_sent_token(headers)):
                await _refuse_stranger()(scope, receive, send)
                return
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self.limits.upload_bytes:
            error = self._too_large()
            await JSONResponse({"detail": error.detail}, error.status_code, error.headers)(scope, receive, send)
            return
        await self.app(scope, self._limited(receive), send)

    def _matches(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "replace"), (self.token or "").encode("utf-8"))

    def _limited(self, receive: Receive) -> Receive:
        """Return a `receive` that ends bodies which are too large or too slow."""
        deadline = time.monotonic() + self.limits.seconds
        size, whole = 0, False

        async def limited() -> Message:
            """Return the next piece of the body, or refuse what is too large or too slow."""
            nonlocal size, whole
            if whole:
                return await receive()  # waits until the client goes
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408, f"the upload took over {self.limits.seconds:g} s; send fewer or smaller files"
                ) from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > self.limits.upload_bytes:
                raise self._too_large()
            return message

        return limited

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def with_headers(message: Message) -> None:
            """Send a message; the first one gets our headers."""
            if message["type"] == "http.response.start":
                if scope["path"].startswith(INTERFACE):
                    self._count(message["status"])
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        return with_headers

    def _too_large(self) -> HTTPException:
        return HTTPException(
            413,
            f"over {self.limits.upload_mb:g} MB in one request; send fewer files, or shorter ones",
            {"Connection": "close"},
        )


def _query_token(scope: Scope) -> str:
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]


def _sent_token(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _keep_token(scope: Scope, token: str) -> RedirectResponse:
    """Put the token of an address into a cookie, so that it stands in no link or history from then on."""
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=scope["scheme"] == "https")
    return response


def _refuse_stranger() -> JSONResponse:
    detail = "a token is needed; send the header 'Authorization: Bearer TOKEN', or open the address /?token=TOKEN"
    return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Bearer", "Connection": "close"})
