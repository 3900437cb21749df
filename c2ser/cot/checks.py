"""Checks of a chain of thought: it must agree with the labels of its utterance."""

from itertools import product

from c2ser.cot.config import Style
from c2ser.cot.prompts import Request, sentence, single_quotes
from c2ser.emotions import ATTRIBUTES, LEVELS
from c2ser.label_sets import LabelSet
from c2ser.scoring.labels import QUOTES, read_answer


def find_problem(request: Request, style: Style, text: str) -> str | None:
    """Return what is wrong with a chain of thought, or None.

    An explicit one must quote the transcript once and name the three levels. Both styles must conclude with the true
    emotion and name no other one. A text that fails would teach the model something false.
    """
    reading = read_answer(text, single_quotes(request.text), request.labels)
    if reading.emotion != request.emotion:
        return f"the text says '{reading.emotion}', not '{request.emotion}'"
    if style == "implicit":
        return None
    if reading.transcript is None or _plain(reading.transcript) != _plain(request.text):
        return "the text does not quote the transcript"
    if len([quoted for quoted in QUOTES.findall(text) if _plain("".join(quoted)) == _plain(request.text)]) > 1:
        return "the text quotes the transcript more than once"
    for attribute in ATTRIBUTES:
        stated, true = reading.levels.get(attribute), request.levels[attribute]
        if stated != true:
            return f"the text says {stated or 'nothing'} of the {attribute}, not {true}"
    return None


def check_readable(labels: LabelSet) -> None:
    """Refuse classes whose names could not be read in answers, such as "speech" in "The emotion of this speech is …".

    Raises:
        ValueError: of a class the emotion of a sentence that names it would be misread; the message names the class.
    """
    for name, language in product(labels, ("en", "zh")):
        for level in LEVELS:
            request = Request("", language, "…", name, dict.fromkeys(ATTRIBUTES, level), labels)
            for style in ("explicit", "implicit"):
                text = sentence(request, style)
                if (found := read_answer(text, request.text, labels).emotion) != name:
                    raise ValueError(f"class '{name}': in the answer '{text}' one would read '{found}'; rename it, or "
                                     "give it other words in labels.json")  # fmt: skip


def _plain(text: str) -> str:
    """Return the letters and digits of a text, as a writer may change the punctuation."""
    return "".join(character for character in text.casefold() if character.isalnum())
