"""Make a model folder of the authors' published checkpoint."""

from pathlib import Path

from c2ser.cli import run
from c2ser.cot.config import Style

GROUP = "Use a model"


def main(
    checkpoint: Path,
    emotion2vec: Path,
    out: Path,
    llm: str = "Qwen/Qwen2-7B",
    whisper: str = "openai/whisper-medium",
    style: Style = "implicit",
) -> None:
    """Write the new folder OUT, a model that hears and answers as the authors' code does.

    Args:
        checkpoint: C2SER_llm.pt or C2SER_model.pt, or a DeepSpeed state of one.
        emotion2vec: checkpoint.pt of Emotion2Vec-S, or a model folder of it.
        out: the new folder.
        llm: folder or hub id of the language model; for sizes, tokeniser and weights that the file lacks.
        whisper: folder or hub id of Whisper, for sizes.
        style: what the checkpoint was trained to say last.
    """
    from c2ser.model.published import Sources, convert

    convert(checkpoint, Sources(llm, whisper, emotion2vec), style, out)


if __name__ == "__main__":
    run(main)
