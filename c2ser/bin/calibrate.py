"""Fit the temperature of a model's label probabilities on a validation set."""

from pathlib import Path

from c2ser.cli import run
from c2ser.model.config import DecodeConfig

GROUP = "Decode and score"


def main(model: Path, data: Path, decode: DecodeConfig, device: str = "auto") -> None:
    """Write MODEL/calibration.json.

    Args:
        model: folder of a trained model.
        data: data directory of the validation set.
        decode: how explicit answers are decoded, and how utterances are grouped.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    from c2ser.devices import move
    from c2ser.model.c2ser import C2SER
    from c2ser.model.decoding import calibrate

    if not model.is_dir():
        raise ValueError(
            f"{model}: no such folder to write the temperature into; train it, or make one with export-model"
        )
    calibrate(move(C2SER.from_pretrained(model), device), model, data, decode)


if __name__ == "__main__":
    run(main)
