"""Speech from the espeak-ng library that the wheel espeakng-loader brings."""

import ctypes
from dataclasses import dataclass

import espeakng_loader
import numpy as np

SYNCHRONOUS, UTF8 = 2, 1
PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4}
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """How a sentence is spoken.

    Attributes:
        name: language and variant as espeak-ng names them, such as "en-us+f3".
        rate: words per minute.
        pitch: 0 to 99, 50 being the voice's own.
        range: variation of the pitch, 0 to 99.
        volume: 0 to 200, 100 being normal.
    """

    name: str
    rate: float
    pitch: float
    range: float
    volume: float


class Synthesiser:
    """The library, once for each process.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self) -> None:
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate = self.library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
        if self.rate <= 0:
            raise OSError("espeak-ng does not start; install espeakng-loader again")
        self.chunks: list[np.ndarray] = []
        self.callback = CALLBACK(self._keep)  # a member, so that it lives as long as the library may call it
        self.library.espeak_SetSynthCallback(self.callback)

    def _keep(self, samples: ctypes.Array, count: int, events: int) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: Voice) -> np.ndarray:
        """Return int16 samples of a sentence at `self.rate` Hz.

        Raises:
            ValueError: there is no such voice, or nothing was said.
        """
        if self.library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"{voice.name}: espeak-ng has no such voice; choose another")
        for name, number in PARAMETERS.items():
            self.library.espeak_SetParameter(number, round(getattr(voice, name)), 0)
        self.chunks.clear()
        content = text.encode("utf-8") + b"\0"
        self.library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 0, 0, UTF8, None, None)
        self.library.espeak_Synchronize()
        if not self.chunks:
            raise ValueError(f"{voice.name}: nothing was said for '{text}'; give words of its language")
        return np.concatenate(self.chunks)
