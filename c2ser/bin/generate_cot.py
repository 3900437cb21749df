"""Write chains of thought for a data directory."""

from pathlib import Path

from c2ser.chat.config import ChatConfig
from c2ser.cli import run
from c2ser.cot.config import Fallback, Style, WriterName

GROUP = "Prepare data"


def main(
    data: Path,
    out: Path,
    style: Style,
    chat: ChatConfig,
    writer: WriterName = "template",
    attempts: int = 3,
    fallback: Fallback = "reject",
    dimensions: Path | None = None,
) -> None:
    """Write the table OUT of explicit or implicit chains of thought.

    Two files are written beside it: OUT.writer (who wrote each text, and in which attempt) and OUT.json (the settings
    and the licence of the model).

    Args:
        data: data directory with utt2emo, utt2lang and, for explicit ones, text and utt2level.
        out: table of chains of thought.
        style: explicit or implicit.
        chat: the language model, for all writers but the template.
        writer: who writes them.
        attempts: how often a text is written, at most; a text that fails its checks is written again.
        fallback: whether utterances whose texts all fail are rejected or get the text of the template.
        dimensions: utt2vad of the training set; explicit ones then also state the dimensions that DATA/utt2vad has, as
            low, medium or high, by mean and deviation of that set.
    """
    from c2ser.attributes.levels import dimension_levels
    from c2ser.cot.generate import generate_cot

    table = data / "utt2vad"
    levels = dimension_levels(dimensions, table) if dimensions and style == "explicit" and table.exists() else None
    generate_cot(data, out, style, chat, writer, attempts, fallback, levels)


if __name__ == "__main__":
    run(main)
