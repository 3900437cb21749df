"""Checks of a chain of thought: it must agree with the labels of its utterance."""

import re
from itertools import product

from c2ser.cot.config import Style
from c2ser.cot.prompts import INSTRUCTIONS, SENTENCES, Request, single_quotes
from c2ser.emotions import ATTRIBUTES, LEVEL_WORDS, LEVELS
from c2ser.label_sets import PROSES, LabelSet
from c2ser.scoring.labels import QUOTES, mentions, read_answer, read_dimensions, read_label, unquoted


def find_problem(request: Request, style: Style, text: str) -> str | None:
    """Return what is wrong with a chain of thought, or None.

    An explicit one must quote the transcript once and name all levels. Both styles must conclude with the true
    emotion and name no other one. A text that fails would teach the model something false.
    """
    reading, true_text = read_answer(text, single_quotes(request.text), request.labels), _plain(request.text)
    if reading.emotion != request.emotion:
        return f"the text says '{reading.emotion}', not '{request.emotion}'"
    if style == "implicit":
        return None
    if reading.transcript is None or _plain(reading.transcript) != true_text:
        return "the text does not quote the transcript"
    if len([quoted for quoted in QUOTES.findall(text) if _plain("".join(quoted)) == true_text]) > 1:
        return "the text quotes the transcript more than once"
    levels = {**reading.levels, **read_dimensions(text, single_quotes(request.text))}
    for name, true in request.levels.items():
        if levels.get(name) != true:
            return f"the text says {levels.get(name, 'nothing')} of the {name}, not {true}"
    return None


def check_readable(labels: LabelSet) -> None:
    """Refuse classes whose names would be misread in answers, such as "speech" in "The emotion of this speech is …".

    Raises:
        ValueError: a sentence that names a class could not be read; the message names the class that is to blame.
    """
    for style, prose, level in product(INSTRUCTIONS, PROSES, LEVELS):
        words = {**dict.fromkeys(ATTRIBUTES, LEVEL_WORDS[level][prose]), "text": "…"}
        pattern = SENTENCES[style][prose]
        around = next(iter(mentions(unquoted(pattern.format(**words, emotion="…")), labels)), None)
        for name in labels:
            text = pattern.format(**words, emotion=labels.word(name, prose))
            if read_label(text, labels=labels) != name:
                raise ValueError(f"class '{around.emotion if around else name}': answers such as '{text}' could not be "
                                 "read; rename it, or give it other words in labels.json")  # fmt: skip


def _plain(text: str) -> str:
    """Return the letters and digits of a text, as a writer may change the punctuation."""
    return re.sub(r"[\W_]+", "", text.casefold())
