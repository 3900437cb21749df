"""How a training learns that it must stop: by a signal, or since its launcher died."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class _Cut(BaseException):
    """What a signal raises within `StopSignals.cutting_short`."""


class StopSignals:
    """Notes signals instead of dying of them."""

    def __init__(self) -> None:
        self._seen, self._parent = False, os.getppid()
        self._previous: dict[int, Any] = {}
        self._cut = False

    def __enter__(self) -> "StopSignals":
        """Take over the signals."""
        self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._seen = True
        if number == signal.SIGINT:  # a second one interrupts
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._cut:
            raise _Cut

    @contextmanager
    def cutting_short(self, allowed: bool) -> Iterator[None]:
        """Let a signal end what is done within; it can be done again.

        Args:
            allowed: otherwise a signal waits for its end.
        """
        try:
            self._cut = allowed
            yield
        except _Cut:
            pass
        finally:
            self._cut = False

    @property
    def asked(self) -> bool:
        """Whether to stop: a signal came, or torchrun was killed, whose processes must not disturb a second run."""
        return self._seen or ("TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != self._parent)
