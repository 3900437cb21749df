"""The work behind the interface and the page: how many requests there may be, their time, and the model they share."""

import asyncio
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from c2ser.recordings.speech_model import SpeechModel
from c2ser.recordings.timeline import Timeline, make_timeline
from c2ser.serving.batching import Batcher, SharedModel
from c2ser.serving.config import Limits
from c2ser.serving.monitoring import Monitor


class Busy(Exception):
    """There are as many requests as there may be.

    Args:
        seconds: after which another try makes sense.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests at the same time; try again in {seconds} s")
        self.seconds = seconds


class Service:
    """A model at work for many.

    Args:
        model: the model.
        name: what people call it.
        limits: what is accepted.
    """

    def __init__(self, model: SpeechModel, name: str, limits: Limits) -> None:
        self.name, self.classes, self.limits, self.monitor = name, model.classes, limits, Monitor()
        self._batcher = Batcher(model, self.monitor.count_batch)
        self.monitor.segments_waiting.set_function(self._batcher.waiting)
        self._threads = ThreadPoolExecutor(limits.requests, "request")
        self._inside, self._usual_seconds = 0, 1.0

    def close(self) -> None:
        """Drop what waits, and let the batch that runs end."""
        self._batcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold the place of one request.

        Raises:
            Busy: there is none left.
        """
        if self._inside >= self.limits.requests:
            raise Busy(max(1, math.ceil(self._usual_seconds)))
        start = time.monotonic()
        self._inside += 1
        self.monitor.requests_inside.set(self._inside)
        try:
            yield
        finally:
            self._inside -= 1
            seconds = time.monotonic() - start
            self._usual_seconds += 0.2 * (seconds - self._usual_seconds)
            self.monitor.requests_inside.set(self._inside)
            self.monitor.request_seconds.observe(seconds)

    async def recognise(self, source: str | Path | BinaryIO, name: str, **options: Any) -> Timeline:
        """Make the timeline of a recording.

        Args:
            source: its path, or an open file.
            name: what its sender calls it; it is shown, never opened.
            options: those of `make_timeline`.

        Raises:
            ValueError: it cannot be read, or an option is wrong.
            TimeoutError: it takes too long; what is left of it is not begun.
            Cancelled: the server is going down.
        """
        model = SharedModel(self._batcher)
        work = partial(make_timeline, model, source, name=name, **options)
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise TimeoutError(f"{name}: no answer within {self.limits.seconds:g} s; send shorter files") from None
        finally:
            model.cancel()
