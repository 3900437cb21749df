"""Checks of a chain of thought: it must say what is known of the utterance and nothing else."""

from c2ser.cot.prompts import Request, Style, single_quotes
from c2ser.emotions import ATTRIBUTES
from c2ser.scoring.labels import QUOTES, read_answer


def problem(request: Request, style: Style, text: str) -> str | None:
    """Return what is wrong with a chain of thought, or None.

    An explicit one must quote the transcript and name the three levels; either must conclude with the true emotion and
    name no other. A text that fails would teach the model to say what is not so.
    """
    reading = read_answer(text, single_quotes(request.text))
    if reading.emotion != request.emotion:
        return f"the text says '{reading.emotion}', not '{request.emotion}'"
    if style == "implicit":
        return None
    if reading.transcript is None or _plain(reading.transcript) != _plain(request.text):
        return "the text does not quote the transcript"
    if len([quoted for quoted in QUOTES.findall(text) if _plain("".join(quoted)) == _plain(request.text)]) > 1:
        return "the text quotes the transcript more than once"
    for attribute in ATTRIBUTES:
        said, true = reading.levels.get(attribute), request.levels[attribute]
        if said != true:
            return f"the text says {said or 'nothing'} of the {attribute}, not {true}"
    return None


def _plain(text: str) -> str:
    """Return the letters and digits of a text: a writer may set its punctuation otherwise."""
    return "".join(sign for sign in text.casefold() if sign.isalnum())
