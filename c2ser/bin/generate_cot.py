"""Write chains of thought for a data directory."""

from pathlib import Path

from c2ser.chat.config import ChatConfig
from c2ser.cli import run
from c2ser.cot.prompts import Request, Style
from c2ser.cot.writers import Fallback, WriterName, describe, open_writer, write_all
from c2ser.emotions import ATTRIBUTES, check_emotion
from c2ser.tables import TableMap, read_table, write_json


def main(
    data: Path,
    out: Path,
    style: Style,
    chat: ChatConfig,
    writer: WriterName = "template",
    attempts: int = 3,
    fallback: Fallback = "reject",
) -> None:
    """Write the table OUT of explicit or implicit chains of thought.

    Beside it stand OUT.writer, who wrote each and in which attempt, and OUT.json, the settings and the licence.

    Args:
        data: data directory with utt2emo, utt2lang and, for explicit ones, text and utt2level.
        out: table of chains of thought.
        style: explicit or implicit.
        chat: the language model, for all writers but the template.
        writer: who writes them.
        attempts: how often a text that fails its checks is written anew.
        fallback: whether utterances whose texts all fail are rejected or get the template's text.
    """
    check_attempts(attempts, writer, chat)
    settings = {"style": style, **describe(writer, chat), "attempts": attempts, "fallback": fallback}
    with open_writer(writer, chat, out) as opened, TableMap(out, out.with_name(f"{out.name}.writer")) as job:
        write_all(opened, requests(data, style, job), style, attempts, job, fallback)
        write_json(out.with_name(f"{out.name}.json"), settings)


def check_attempts(attempts: int, writer: WriterName, chat: ChatConfig) -> None:
    """Refuse attempts that cannot differ.

    Raises:
        ValueError: there is none, or the same text would be written again and again.
    """
    if attempts < 1:
        raise ValueError(f"--attempts {attempts}: at least one is needed")
    if writer != "template" and attempts > 1 and chat.sampling.temperature == 0:
        raise ValueError("--chat.sampling.temperature 0 writes the same text in each attempt; give --attempts 1")


def requests(data: Path, style: Style, job: TableMap) -> list[Request]:
    """Return what is known of each utterance; utterances of which too little is known are rejected."""
    emotions, languages, texts = (read_table(data / name) for name in ("utt2emo", "utt2lang", "text"))
    levels = read_table(data / "utt2level") if style == "explicit" else {}
    made = []
    for utterance in job.todo(emotions):
        try:
            words = _levels(utterance, levels, texts) if style == "explicit" else {}
            emotion = check_emotion(emotions[utterance], utterance)
        except ValueError as error:
            job.reject(utterance, str(error))
        else:
            made.append(Request(utterance, languages[utterance], texts.get(utterance, ""), emotion, words))
    return made


def _levels(utterance: str, levels: dict[str, str], texts: dict[str, str]) -> dict[str, str]:
    if utterance not in levels:
        raise ValueError(f"{utterance}: it has no levels; see utt2attr.rejected for the reason")
    if not texts.get(utterance, "").strip():
        raise ValueError(f"{utterance}: it has no transcript; add one to text")
    return dict(zip(ATTRIBUTES, levels[utterance].split(), strict=True))


if __name__ == "__main__":
    run(main)
