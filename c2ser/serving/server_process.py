"""A server as a process: its address, its token, its end."""

import contextlib
import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from c2ser.serving.config import Limits

if TYPE_CHECKING:  # slow to import
    from c2ser.recordings.speech_model import SpeechModel

LOCAL = "127.0.0.1"
LOCAL_NAMES = [LOCAL, "localhost"]
"""What a browser on this machine calls it; another name there means that a foreign page pretends to be this server."""

VARIABLE = "C2SER_TOKEN"
SHORTEST_TOKEN = 16


def choose_token(host: str | None, file: Path | None) -> str | None:
    """Return the token that requests need, None where they need none.

    Args:
        host: address to listen on; None for this machine alone.
        file: holds the token; None for the variable C2SER_TOKEN.

    Raises:
        ValueError: the token is too short or not ASCII.
        OSError: the file cannot be read.
    """
    token = file.read_text("utf-8").strip() if file else os.environ.get(VARIABLE)
    if token is None:
        return secrets.token_urlsafe(24) if host is not None else None
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable() and " " not in token):
        raise ValueError(
            f"{file or VARIABLE}: no good token; give {SHORTEST_TOKEN} or more ASCII characters without blanks"
        )
    return token


def listen(host: str | None, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ValueError: the address cannot be used.
    """
    address = host or LOCAL
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{address}:{port}: cannot listen there ({reason}); give another --host or --port") from None


def serve(model: "SpeechModel", name: str, opened: socket.socket, limits: Limits, token: str | None) -> None:
    """Serve a model until SIGINT or SIGTERM.

    Args:
        model: the model.
        name: what people call it.
        opened: where to listen.
        limits: what is accepted.
        token: what each request must know; None lets everybody in who reaches the address.

    Raises:
        ValueError: a package is missing.
    """
    try:
        import uvicorn
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from c2ser.serving.app import make_app
        from c2ser.serving.service import Service
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name}: this package is missing; pip install 'c2ser[serve]'") from None
    host, port = opened.getsockname()[:2]
    app = make_app(Service(model, name, limits), token)
    if host == LOCAL:
        app = TrustedHostMiddleware(app, LOCAL_NAMES)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, ws="none", timeout_graceful_shutdown=5
    )
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    page = f"{address}/?token={token}" if token else f"{address}/"
    print(f"{page}   (the page; {address}/docs describes the interface)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([opened])
