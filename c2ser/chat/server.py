"""A model behind an OpenAI-compatible server: vLLM, SGLang, `transformers serve`, or a paid service."""

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

import urllib3

from c2ser.chat.config import ServerConfig
from c2ser.chat.protocol import TRANSIENT, Line, response

FATAL = (401, 403, 404, 405)
"""Statuses that every other request would get too."""

MAX_FAILURES = 5
"""Failed requests in a row, each after all its retries, that mean that the server is down."""


class ServerChat:
    """Sends several requests at once.

    Args:
        config: how the server is asked.

    Raises:
        ValueError: the address does not begin with http:// or https://.
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
            status_forcelist=TRANSIENT,
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
                free = self.config.concurrency - len(pending)  # a kill loses what is not in the journal
                pending |= {workers.submit(self._send, line) for line in islice(todo, free)}
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
            reply = self.pool.request("POST", url, body=json.dumps(line["body"]), headers=self.headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            return self._failed(line, 0, f"{type(reason).__name__} after {self.config.retries} retries")
        body = _json(reply.data)
        if reply.status in FATAL:
            text = response("", reply.status, body)["error"]["message"]
            raise OSError(f"{url}: status {reply.status} ({text}); check server.url, model and the key")
        if reply.status in TRANSIENT:
            return self._failed(line, reply.status, body)
        with self._lock:
            self._failures = 0
        return response(line["custom_id"], reply.status, body)

    def _failed(self, line: Line, status: int, body: Any) -> Line:
        with self._lock:
            self._failures += 1
            failures = self._failures
        outcome = response(line["custom_id"], status, body)
        if failures >= MAX_FAILURES:
            text = outcome["error"]["message"]
            raise OSError(f"{self.config.url}: {failures} requests in a row failed, the last with status {status} "
                          f"({text}); repair the server and run this again; it goes on where it stopped")  # fmt: skip
        return outcome

    def _pace(self) -> None:
        """Wait until this request may be sent."""
        if self.config.rate <= 0:
            return
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + 1 / self.config.rate
        time.sleep(max(0.0, turn - time.monotonic()))


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):  # not JSON, not text, or nested too deeply
        return data[:200].decode("utf-8", errors="replace")
