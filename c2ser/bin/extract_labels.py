"""Read the emotion in each answer."""

from functools import partial
from pathlib import Path
from typing import Literal

from c2ser.chat.config import ChatConfig
from c2ser.cli import run

GROUP = "Decode and score"


def main(
    answers: Path,
    out: Path,
    chat: ChatConfig,
    reader: Literal["parser", "local", "server", "batch"] = "parser",
    text: Path | None = None,
    part: Literal["answer", "rationale"] = "answer",
) -> None:
    """Write the table OUT: the emotion that each answer names, or "unparsed".

    Args:
        answers: table of answers; labels.json beside it holds the classes, if they are not the seven emotions.
        out: table of labels.
        chat: the language model that judges, where one does.
        reader: who reads; the parser's strict rules, or a language model with the paper's prompt.
        text: transcripts, where there are any; a transcript that an answer quotes is ignored, whatever it contains.
        part: what is read: the whole answer, or the text before its conclusion.
    """
    from c2ser.chat.connect import describe_model, open_journal
    from c2ser.label_sets import read_label_set
    from c2ser.scoring.judge import judge_all, judge_prompt
    from c2ser.scoring.labels import rationale, read_label, unquoted
    from c2ser.tables import TableMap, read_table, write_json, write_table

    transcripts = read_table(text) if text else {}
    labels = read_label_set(answers.parent)
    take = unquoted if part == "answer" else partial(rationale, labels=labels)
    texts = {name: take(answer, transcripts.get(name, "")).strip() for name, answer in read_table(answers).items()}
    if reader == "parser":
        write_table(out, {name: read_label(rest, labels=labels) for name, rest in texts.items()})
        return
    with open_journal(reader, chat, out) as journal, TableMap(out) as job:
        judge_all(journal, texts, job, partial(judge_prompt, labels=labels), labels)
        write_json(out.with_name(f"{out.name}.json"), {"part": part, "reader": reader, **describe_model(chat)})


if __name__ == "__main__":
    run(main)
