"""C²SER: speech emotion recognition through contextual perception and chains of thought.

from c2ser import C2SER
C2SER.from_pretrained("exp/implicit").predict("speech.wav").emotion
"""

from typing import Any

__version__ = "0.2.0"
__all__ = ["C2SER", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import the model when it is asked for: the text-only tools do without torch."""
    if name == "C2SER":
        from c2ser.model.c2ser import C2SER

        return C2SER
    if name == "load":
        from c2ser.model.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
