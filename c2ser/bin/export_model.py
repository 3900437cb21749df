"""Write a trained model as a folder to pass on."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Use a model"


def main(model: Path, out: Path, merge_lora: bool = False) -> None:
    """Write the model as the new folder OUT: weights, tokeniser, temperature, a card with its data and scores.

    Args:
        model: folder of a trained model, or its id on the Hugging Face hub.
        out: the new folder.
        merge_lora: add the adapters to the language model's weights and put those into the folder too.
    """
    from c2ser.model.export import export

    export(model, out, merge_lora)


if __name__ == "__main__":
    run(main)
