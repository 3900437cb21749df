"""A language model as judge of what an answer says (section V.B)."""

from collections.abc import Callable, Mapping

from c2ser.chat.journal import Journal
from c2ser.chat.protocol import Prompt
from c2ser.emotions import UNPARSED
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.log import progress
from c2ser.scoring.labels import read_label
from c2ser.tables import TableMap

QUESTION = (
    "Given the following text, determine its corresponding emotion and output only the single most appropriate emotion "
    "label. The possible labels are: {labels}"
)
"""The paper's prompt, for any labels."""

PROMPT = QUESTION.format(labels=", ".join(SEVEN))
"""The paper's prompt, word for word."""


def judge_prompt(text: str, labels: LabelSet = SEVEN) -> str:
    """Return what the judge reads about a text."""
    return f"{QUESTION.format(labels=', '.join(labels))}\n\n{text}"


def read_judgement(reply: str, labels: LabelSet = SEVEN) -> str:
    """Return the label that a judge gave, or "unparsed"; it was told to say a label and nothing else."""
    word = reply.strip(" \n.。!*`'\"‘’“”").lower()
    return next((name for name in labels if name.lower() == word), None) or read_label(reply, labels=labels)


def judge_all(
    journal: Journal,
    texts: Mapping[str, str],
    job: TableMap,
    ask: Callable[[str], str] = judge_prompt,
    labels: LabelSet = SEVEN,
) -> None:
    """Fill a table with the judge's labels; a text of which it says nothing usable is rejected with the reason.

    Args:
        journal: the way to the judge.
        texts: what is judged, by utterance. Answers must come without their quotations: what a speaker said could hold
            instructions. An empty text is unparsed without asking.
        job: the table.
        ask: what the judge reads about a text.
        labels: the classes that it may name.
    """
    for utterance in job.todo(texts):
        if not texts[utterance].strip():
            job.write(utterance, UNPARSED)
    prompts = [Prompt(utterance, ask(texts[utterance])) for utterance in job.todo(texts)]
    for prompt, reply in progress(journal.ask(prompts), "judgements", len(prompts)):
        if reply.problem:
            job.reject(prompt.name, reply.problem)
        else:
            job.write(prompt.name, read_judgement(reply.text, labels))
