"""Let a trained C²SER model answer for each utterance of a data directory."""

from pathlib import Path

import torch

from c2ser.cli import run
from c2ser.model.c2ser import C2SER
from c2ser.model.decoding import DecodeConfig, decode


def main(model: Path, data: Path, out: Path, search: DecodeConfig, device: str = "auto", wording: int = 0) -> None:
    """Write the table of answers OUT, and utt2ms beside it.

    Args:
        model: folder of a trained model.
        data: data directory.
        out: table of answers.
        search: how answers are searched for.
        device: "cpu", "cuda", …; "auto" takes a graphics card where there is one.
        wording: 0 asks as in training, 1 to 10 in other words.
    """
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    loaded = C2SER.from_pretrained(model).to(chosen)
    loaded.wording = wording
    decode(loaded, data, out, search)


if __name__ == "__main__":
    run(main)
