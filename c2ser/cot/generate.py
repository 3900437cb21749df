"""The chains of thought of all utterances of a data directory, as a table."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from sys import intern
from types import MappingProxyType

from c2ser.chat.config import ChatConfig
from c2ser.cot.checks import check_readable
from c2ser.cot.config import Fallback, Style, WriterName
from c2ser.cot.prompts import Request
from c2ser.cot.writers import describe, open_writer, write_all
from c2ser.emotions import ATTRIBUTES
from c2ser.label_sets import SEVEN, LabelSet, read_label_set
from c2ser.tables import TableMap, read_rows, read_table, write_json
from c2ser.transcripts import spoken

EMPTY: Mapping[str, Mapping[str, str]] = MappingProxyType({})


def generate_cot(
    data: Path,
    out: Path,
    style: Style,
    chat: ChatConfig,
    writer: WriterName,
    attempts: int,
    fallback: Fallback,
    dimensions: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write the table OUT; beside it OUT.writer (who wrote each text, in which attempt) and OUT.json (the settings).

    Args:
        data: data directory with utt2emo, utt2lang and, for explicit ones, text and utt2level.
        out: table of chains of thought.
        style: explicit or implicit.
        chat: the language model, for all writers but the template.
        writer: who writes them.
        attempts: how often a text is written, at most; a text that fails its checks is written again.
        fallback: what happens to utterances whose texts all fail.
        dimensions: levels of dimensions by utterance, which explicit ones state, too.

    Raises:
        ValueError: the attempts would all give the same text, or there is none; or a class could not be read in it.
    """
    check_attempts(attempts, writer, chat)
    labels = read_label_set(data)
    check_readable(labels)
    settings = {"style": style, **describe(writer, chat), "attempts": attempts, "fallback": fallback}
    stated = (dimensions or {}) if style == "explicit" else {}
    if stated:
        settings["dimensions"] = sorted({name for levels in stated.values() for name in levels})
    with open_writer(writer, chat, out) as opened, TableMap(out, out.with_name(f"{out.name}.writer")) as job:
        write_all(opened, read_requests(data, style, job, labels, stated), style, attempts, job, fallback)
        write_json(out.with_name(f"{out.name}.json"), settings)


def check_attempts(attempts: int, writer: WriterName, chat: ChatConfig) -> None:
    """Refuse a number of attempts that makes no sense.

    Raises:
        ValueError: the attempts would all give the same text, or there is none.
    """
    if attempts < 1:
        raise ValueError(f"--attempts {attempts}: none is too few; give 1 or more")
    if writer != "template" and attempts > 1 and chat.sampling.temperature == 0:
        raise ValueError("--chat.sampling.temperature 0 writes the same text in each attempt; give --attempts 1")


def read_requests(
    data: Path,
    style: Style,
    job: TableMap,
    labels: LabelSet = SEVEN,
    dimensions: Mapping[str, Mapping[str, str]] = EMPTY,
) -> list[Request]:
    """Return the labels of each utterance as a request, its text without annotations; reject those without a label."""
    emotions, languages = read_table(data / "utt2emo"), read_table(data / "utt2lang")
    quoted = style == "explicit" or (data / "text").exists()
    texts = {utterance: spoken(text) for utterance, text, _ in read_rows(data / "text")} if quoted else {}
    levels = read_table(data / "utt2level") if style == "explicit" else {}
    requests = []
    for utterance in job.todo(emotions):
        try:
            level_of = _levels(utterance, levels, texts) if style == "explicit" else {}
            if utterance in dimensions:
                level_of = {**level_of, **dimensions[utterance]}
            emotion = labels.check(emotions[utterance], utterance)
        except ValueError as error:
            job.reject(utterance, str(error))
        else:
            text = texts.get(utterance, "")
            requests.append(Request(utterance, intern(languages[utterance]), text, emotion, level_of, labels))
    return requests


def _levels(utterance: str, levels: Mapping[str, str], texts: Mapping[str, str]) -> Mapping[str, str]:
    if utterance not in levels:
        raise ValueError(f"{utterance}: it has no levels; see utt2attr.rejected for the reason")
    if not texts.get(utterance, "").strip():
        raise ValueError(f"{utterance}: it has no transcript; add one to text")
    return _level_of(levels[utterance])


@cache
def _level_of(row: str) -> Mapping[str, str]:
    """Return the level of each attribute; the few different ones are shared by all utterances."""
    return MappingProxyType(dict(zip(ATTRIBUTES, row.split(), strict=True)))
