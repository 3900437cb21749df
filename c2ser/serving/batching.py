"""Several requests, one model: what they ask for at the same time is recognised in one batch."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import Any

import numpy as np

from c2ser.audio import SAMPLE_RATE
from c2ser.recordings.results import Recogniser, Recognition
from c2ser.recordings.speech_model import SpeechModel

GATHER_SECONDS = 0.02
"""How long an idle model waits for company after the first request: little beside the time of a batch."""

BATCH_WAVES, BATCH_SECONDS = 32, 60.0
"""Waveforms of a batch, and their seconds padded to the longest; small, so that newcomers need not wait long."""

CountBatch = Callable[[int, list[float]], None]
"""Is told of each batch: how many requests share it, and the seconds of its waveforms."""


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Kind:
    """What is asked of a model; only requests for the same can share a batch. See `SpeechModel.recogniser`."""

    language: str | None
    style: str | None
    answers: bool
    decode: Any


class Call:
    """Waveforms that one request wants to have recognised.

    Args:
        waves: mono waveforms at 16 kHz by name, (samples,) float32.
        kind: what is asked of the model.
        cancelled: says that nobody waits for the result any more.
    """

    def __init__(self, waves: Mapping[str, np.ndarray], kind: Kind, cancelled: threading.Event) -> None:
        self.waves, self.kind, self.cancelled = waves, kind, cancelled
        self.todo = deque(waves)
        self.results: dict[str, Recognition] = {}
        self.done: Future[dict[str, Recognition]] = Future()

    def seconds(self, name: str) -> float:
        """Return the duration of a waveform."""
        return len(self.waves[name]) / SAMPLE_RATE


Batch = list[tuple[Call, str]]
"""Waveforms by call and name."""


class Batcher:
    """Runs a model in a thread of its own, and lets calls that wait at the same time share its batches.

    Each call has its turn: a long recording does not keep short ones waiting until its end.

    Args:
        model: the model; only this thread runs it.
        count: is told of every batch.
    """

    def __init__(self, model: SpeechModel, count: CountBatch) -> None:
        self.model, self._count = model, count
        self._calls: deque[Call] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> None:
        """Put a call where the model finds it; `call.done` gets the result.

        Raises:
            Cancelled: the server is going down.
        """
        with self._changed:
            if self._closed:
                raise Cancelled
            self._calls.append(call)
            self._changed.notify()

    def waiting(self) -> int:
        """Return how many waveforms wait for a batch."""
        with self._changed:
            return sum(len(call.todo) for call in self._calls)

    def close(self) -> None:
        """Let the batch that runs end, and drop what waits."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            self._recognise(batch)

    def _next(self) -> Batch:
        """Wait for the next batch; it is empty at the end."""
        with self._changed:
            while not self._closed:
                if not self._calls:
                    self._changed.wait_for(lambda: self._calls or self._closed)
                    self._changed.wait_for(lambda: self._closed, GATHER_SECONDS)
                self._drop([call for call in self._calls if call.cancelled.is_set()])
                if self._calls and not self._closed:
                    return self._take()
            self._drop(list(self._calls))
        return []

    def _drop(self, calls: list[Call]) -> None:
        for call in calls:
            self._calls.remove(call)
            call.done.set_exception(Cancelled())

    def _take(self) -> Batch:
        """Take waveforms of all calls that can share a batch with the first one, one of each call in turn."""
        sharing = [call for call in self._calls if call.kind == self._calls[0].kind]
        rows = zip_longest(*([(call, name) for name in islice(call.todo, BATCH_WAVES)] for call in sharing))
        batch: Batch = []
        longest = 0.0
        for call, name in islice(filter(None, chain.from_iterable(rows)), BATCH_WAVES):
            longest = max(longest, call.seconds(name))
            if batch and longest * (len(batch) + 1) > BATCH_SECONDS:
                break
            batch.append((call, name))
            call.todo.popleft()
        self._calls.rotate(-1)
        for call in sharing:
            if not call.todo:
                self._calls.remove(call)
        return batch

    def _recognise(self, batch: Batch) -> None:
        calls = list(dict.fromkeys(call for call, _ in batch))
        try:
            self._run_model(batch)
        except Exception as error:  # whatever it is: who asked must hear of it, and the next batch must run
            if len(calls) > 1:  # the fault of one request does not harm the others
                for owner in calls:
                    self._recognise([(call, name) for call, name in batch if call is owner])
            else:
                self._fail(calls[0], error)
            return
        self._count(len(calls), [call.seconds(name) for call, name in batch])
        for call in calls:
            if len(call.results) == len(call.waves):
                call.done.set_result({name: call.results[name] for name in call.waves})

    def _run_model(self, batch: Batch) -> None:
        kind = batch[0][0].kind
        recognise = self.model.recogniser(kind.language, kind.style, kind.answers, kind.decode)
        results = recognise({str(row): call.waves[name] for row, (call, name) in enumerate(batch)})
        for row, (call, name) in enumerate(batch):
            call.results[name] = results[str(row)]

    def _fail(self, call: Call, error: Exception) -> None:
        with self._changed:
            if call in self._calls:
                self._calls.remove(call)
        call.done.set_exception(error)


class SharedModel:
    """The model as one request sees it: its recognisers wait for the batches that they share with others.

    Args:
        batcher: what runs the model.
    """

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._cancelled = threading.Event()

    def recogniser(
        self, language: str | None = None, style: str | None = None, answers: bool = True, decode: Any = None
    ) -> Recogniser:
        """Return the function that recognises emotions; see `SpeechModel.recogniser`. It raises `Cancelled`."""
        self._batcher.model.recogniser(language, style, answers, decode)  # refuses what it cannot do
        kind = Kind(language, style, answers, decode)

        def recognise(waves: Mapping[str, np.ndarray]) -> Mapping[str, Recognition]:
            """Put recordings in the queue and wait for their emotions."""
            if self._cancelled.is_set():
                raise Cancelled
            call = Call(waves, kind, self._cancelled)
            self._batcher.submit(call)
            return call.done.result()

        return recognise

    def cancel(self) -> None:
        """Give up: what waits for a batch is dropped."""
        self._cancelled.set()
