"""Write chains of thought for a data directory."""

from pathlib import Path

from c2ser.cli import run
from c2ser.cot.prompts import Request, Style
from c2ser.cot.writers import WriterName, make_writer, write_all
from c2ser.emotions import ATTRIBUTES, check_emotion
from c2ser.tables import TableMap, read_table


def main(data: Path, out: Path, style: Style, writer: WriterName = "template", attempts: int = 3) -> None:
    """Write the table OUT of explicit or implicit chains of thought.

    Args:
        data: data directory with utt2emo, utt2lang and, for explicit ones, text and utt2level.
        out: table of chains of thought.
        style: explicit or implicit.
        writer: who writes them.
        attempts: how often a text that fails its checks is written anew.
    """
    with TableMap(out) as job:
        write_all(make_writer(writer), requests(data, style, job), style, attempts, job)


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
