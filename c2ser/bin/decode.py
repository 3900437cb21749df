"""Let a trained C²SER model answer for each utterance of a data directory."""

from pathlib import Path

from c2ser.cli import run
from c2ser.model.config import DecodeConfig

GROUP = "Decode and score"


def main(model: Path, data: Path, out: Path, decode: DecodeConfig, device: str = "auto", wording: int = 0) -> None:
    """Write the table of answers OUT, and utt2ms and utt2prob beside it.

    Args:
        model: folder of a trained model, or its id on the Hugging Face hub.
        data: data directory.
        out: table of answers.
        decode: how answers are decoded.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
        wording: 0 asks as in training, 1 to 10 in other words.
    """
    from c2ser.devices import move
    from c2ser.model import decoding
    from c2ser.model.c2ser import C2SER

    loaded = move(C2SER.from_pretrained(model), device)
    loaded.network.wording = wording
    decoding.decode(loaded, data, out, decode)


if __name__ == "__main__":
    run(main)
