"""Recognise emotions in audio files, without a data directory."""

import sys
from pathlib import Path

from c2ser.cli import run
from c2ser.model.config import DecodeConfig

GROUP = "Use a model"
PATHS = "audio"


def main(
    audio: list[Path],
    model: Path | None = None,
    out: Path | None = None,
    language: str | None = None,
    answers: bool = True,
    decode: DecodeConfig | None = None,
    device: str = "auto",
) -> None:
    """Print a tab-separated table: file, emotion, seven probabilities, answer.

    Args:
        audio: audio files, and folders that are searched for them.
        model: folder of a trained model, or its id on the Hugging Face hub; by default the small model of `make demo`.
        out: where the table goes instead, when it is complete.
        language: "zh" or "en" and so on, if all files are in one language.
        answers: whether the model answers in words; implicit models are much faster without.
        decode: how answers are decoded.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    from c2ser.devices import move
    from c2ser.model.c2ser import C2SER
    from c2ser.model.files import predict_files
    from c2ser.model.hub import small_model

    loaded = move(C2SER.from_pretrained(model or small_model()), device)
    predict_files(loaded, audio, out or sys.stdout, language, answers, decode or DecodeConfig())


if __name__ == "__main__":
    run(main, PATHS)
