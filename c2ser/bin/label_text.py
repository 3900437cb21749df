"""Label utterances by their words, with a language model."""

from pathlib import Path

from c2ser.chat.config import ChatConfig, ChatName
from c2ser.cli import run

GROUP = "Label and annotate speech"


def main(data: Path, out: Path, chat: ChatConfig, reader: ChatName = "local") -> None:
    """Write the table OUT: the emotion of each transcript, or "unparsed".

    Args:
        data: data directory.
        out: the table.
        chat: the language model.
        reader: how it is reached.
    """
    from c2ser.chat.connect import describe_model, open_journal
    from c2ser.labelling.text import text_prompt
    from c2ser.scoring.judge import judge_all
    from c2ser.tables import TableMap, read_table, write_json

    texts = read_table(data / "text")
    with open_journal(reader, chat, out) as journal, TableMap(out) as job:
        judge_all(journal, {name: texts.get(name, "") for name in read_table(data / "wav.scp")}, job, text_prompt)
        write_json(out.with_name(f"{out.name}.json"), {"reader": reader, **describe_model(chat)})


if __name__ == "__main__":
    run(main)
