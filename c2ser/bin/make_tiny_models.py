"""Make small random models for trying the recipe out."""

from pathlib import Path

from c2ser.cli import run
from c2ser.model.config import TinyLlm, TinyWhisper

GROUP = "Train"


def main(data: Path, out: Path, whisper: TinyWhisper, llm: TinyLlm, seed: int = 777) -> None:
    """Write OUT/whisper and OUT/llm: random models of the given sizes, and a tokeniser that knows the data's texts.

    Args:
        data: data directory whose chains of thought the tokeniser learns from.
        out: the folder.
        whisper: sizes of the Whisper encoder.
        llm: sizes of the language model.
        seed: decides the random weights.
    """
    from c2ser.model.tiny import make_tiny_models

    make_tiny_models(data, out, whisper, llm, seed)


if __name__ == "__main__":
    run(main)
