"""A model behind an OpenAI-compatible server: vLLM, SGLang, `transformers serve`, or a paid service."""

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any

import urllib3

from c2ser.chat.protocol import PASSING, Line, response

HOPELESS = (401, 403, 404, 405)
"""Statuses that every other request will meet too."""

MAX_FAILURES = 5
"""So many failed requests in a row, each after all its retries, mean that the server is down."""


@dataclass
class ServerConfig:
    """How a server is asked.

    Attributes:
        url: where its API begins, such as http://localhost:8000/v1.
        key: the environment variable that holds the key, where the server wants one.
        concurrency: requests under way at once.
        rate: new requests per second, at most; 0 for no limit.
        timeout: seconds to wait for an answer.
        retries: how often a request is sent anew when the server is busy, fails or does not answer.
        backoff: seconds before the second retry; doubled each time up to a minute, plus as much chance. What a server
            asks for with Retry-After goes before.
    """

    url: str = "http://localhost:8000/v1"
    key: str = "OPENAI_API_KEY"
    concurrency: int = 64
    rate: float = 0.0
    timeout: float = 120.0
    retries: int = 8
    backoff: float = 0.5


class ServerChat:
    """Sends requests side by side.

    Args:
        config: how.

    Raises:
        ValueError: the address is not one of http or https.
    """

    def __init__(self, config: ServerConfig) -> None:
        if not config.url.startswith(("http://", "https://")):
            raise ValueError(f"{config.url}: not an address; give server.url as http://host:port/v1")
        self.config = config
        self.headers = {"Content-Type": "application/json"}
        if key := os.environ.get(config.key):
            self.headers["Authorization"] = f"Bearer {key}"
        retry = urllib3.Retry(
            total=config.retries,
            redirect=0,
            allowed_methods=None,
            status_forcelist=PASSING,
            raise_on_status=False,
            backoff_factor=config.backoff,
            backoff_jitter=config.backoff,
            backoff_max=60,
            retry_after_max=600,
        )
        self.pool = urllib3.PoolManager(maxsize=config.concurrency, retries=retry, timeout=config.timeout)
        self._lock, self._next, self._failures = threading.Lock(), 0.0, 0

    def responses(self, requests: Sequence[Line]) -> Iterator[Line]:
        """Yield responses as they come in; see `Chat`."""
        todo = iter(requests)
        workers = ThreadPoolExecutor(self.config.concurrency)
        try:
            pending: set[Future[Line]] = set()
            while True:
                room = self.config.concurrency - len(pending)  # what is not in the journal is lost by a kill
                pending |= {workers.submit(self._send, line) for line in islice(todo, room)}
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            workers.shutdown(wait=False, cancel_futures=True)

    def _send(self, line: Line) -> Line:
        self._pace()
        url = self.config.url.rstrip("/") + "/chat/completions"
        try:
            answer = self.pool.request("POST", url, body=json.dumps(line["body"]), headers=self.headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            return self._failed(line, 0, f"{type(reason).__name__} after {self.config.retries} retries")
        body = _json(answer.data)
        if answer.status in HOPELESS:
            text = response("", answer.status, body)["error"]["message"]
            raise OSError(f"{url}: status {answer.status} ({text}); check server.url, model and the key")
        if answer.status in PASSING:
            return self._failed(line, answer.status, body)
        with self._lock:
            self._failures = 0
        return response(line["custom_id"], answer.status, body)

    def _failed(self, line: Line, status: int, body: Any) -> Line:
        with self._lock:
            self._failures += 1
            failures = self._failures
        answered = response(line["custom_id"], status, body)
        if failures >= MAX_FAILURES:
            text = answered["error"]["message"]
            raise OSError(f"{self.config.url}: {failures} requests in a row failed, the last with status {status} "
                          f"({text}); see to the server and run this again, it goes on")  # fmt: skip
        return answered

    def _pace(self) -> None:
        """Wait for this request's turn."""
        if self.config.rate <= 0:
            return
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + 1 / self.config.rate
        time.sleep(max(0.0, turn - time.monotonic()))


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):  # no JSON, no text, or nested without end
        return data[:200].decode("utf-8", errors="replace")
