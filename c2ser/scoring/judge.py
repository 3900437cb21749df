"""A language model as judge of what an answer says (section V.B)."""

from collections.abc import Callable, Mapping

from c2ser.chat.journal import Journal
from c2ser.chat.protocol import Prompt
from c2ser.emotions import EMOTIONS, UNPARSED
from c2ser.log import progress
from c2ser.scoring.labels import read_label
from c2ser.tables import TableMap

PROMPT = (
    "Given the following text, determine its corresponding emotion and output only the single most appropriate emotion "
    "label. The possible labels are: anger, happiness, neutral, sadness, surprise, disgust, fear"
)
"""The paper's prompt, word for word."""


def judge_prompt(text: str) -> str:
    """Return what the judge reads about a text."""
    return f"{PROMPT}\n\n{text}"


def read_judgement(reply: str) -> str:
    """Return the label that a judge gave, or "unparsed"; it was told to say a label and nothing else."""
    word = reply.strip(" \n.。!*`'\"‘’“”").lower()
    return word if word in EMOTIONS else read_label(reply)


def judge_all(
    journal: Journal, texts: Mapping[str, str], job: TableMap, ask: Callable[[str], str] = judge_prompt
) -> None:
    """Fill a table with the judge's labels; a text of which it says nothing usable is rejected with the reason.

    Args:
        journal: the way to the judge.
        texts: what is judged, by utterance. Answers must come without their quotations: what a speaker said could hold
            instructions. An empty text is unparsed without asking.
        job: the table.
        ask: what the judge reads about a text.
    """
    for utterance in job.todo(texts):
        if not texts[utterance].strip():
            job.write(utterance, UNPARSED)
    prompts = [Prompt(utterance, ask(texts[utterance])) for utterance in job.todo(texts)]
    for prompt, reply in progress(journal.ask(prompts), "judgements", len(prompts)):
        if reply.problem:
            job.reject(prompt.name, reply.problem)
        else:
            job.write(prompt.name, read_judgement(reply.text))
