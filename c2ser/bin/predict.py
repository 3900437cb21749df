"""Recognise emotions in audio files, without a data directory."""

import sys
from pathlib import Path

from c2ser.cli import run
from c2ser.devices import move
from c2ser.model.c2ser import C2SER
from c2ser.model.files import predict_files
from c2ser.model.recognition import DecodeConfig


def main(
    model: Path,
    audio: list[Path],
    out: Path | None = None,
    language: str | None = None,
    answers: bool = True,
    decode: DecodeConfig | None = None,
    device: str = "auto",
) -> None:
    """Print a tab-separated table: file, emotion, seven probabilities, answer.

    Args:
        model: folder of a trained model.
        audio: audio files, and folders that are searched for them.
        out: where the table goes instead, when it is whole.
        language: "zh" or "en" and so on, where all files are in one language.
        answers: whether the model answers in words; implicit models are much faster without.
        decode: how answers are decoded.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    learner = move(C2SER.from_pretrained(model), device)
    predict_files(learner, audio, out or sys.stdout, language, answers, decode or DecodeConfig())


if __name__ == "__main__":
    run(main, paths="audio")
