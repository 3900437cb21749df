"""How probable each of the seven emotions is: the answers that would name it are scored, not searched for.

Implicit models are asked for the short answer of Table I's style, "The emotion of this speech is …", once for each
emotion. Explicit ones have said what they heard before they come to the emotion; there the model's own answer is kept
up to that word, and each emotion is scored as its end. So the figures are those of the answer at hand, and the
model is never asked in a style that it has not learnt.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from c2ser.cot.prompts import SENTENCES, Style
from c2ser.emotions import EMOTIONS, WORDS
from c2ser.model.c2ser import C2SER
from c2ser.model.perception import Vectors
from c2ser.scoring.labels import EMOTION_PATTERNS, QUOTES

FULL_STOP = {"en": ".", "zh": "。"}


def label_scores(
    model: C2SER, speech: Vectors, style: Style, languages: Sequence[str | None], answers: Sequence[str] | None
) -> Tensor:
    """Return the log-probability of each emotion's answer, end token included, from one forward pass.

    Log-probabilities are sums over all tokens of an answer, not means: the emotions' answers are alternatives, of which
    the model would say one. Where the language is unknown, both forms of each are scored and their probabilities added.

    Args:
        model: the model.
        speech: embeddings (batch, time, size of the language model).
        style: what the model is asked for.
        languages: ISO 639-1 code of each utterance, None where unknown.
        answers: the model's own answers; explicit scores need them.

    Returns:
        float64, shape (batch, 7), in the order of `EMOTIONS`.

    Raises:
        ValueError: explicit without answers.
    """
    if style == "explicit" and answers is None:
        raise ValueError("probabilities of explicit models follow from their answers; let them answer")
    if style == "explicit":
        forms = [[endings(answer, language)] for answer, language in zip(answers, languages, strict=True)]
    else:
        forms = [short_answers(language) for language in languages]
    flat = [[text for form in row for text in form] for row in forms]
    scores = model.score(speech, style, flat)
    rows = [row.double().view(-1, len(EMOTIONS)).logsumexp(dim=0) for row in scores]  # (languages, 7) to (7,)
    return torch.stack(rows).cpu()


def short_answers(language: str | None) -> list[list[str]]:
    """Return the seven implicit answers in the language that they would come in, or in both where it is unknown."""
    known = ["zh", "en"] if not language else ["zh" if language == "zh" else "en"]
    return [[SENTENCES["implicit"][prose].format(emotion=WORDS[e][prose]) for e in EMOTIONS] for prose in known]


def endings(answer: str, language: str | None) -> list[str]:
    """Return an explicit answer seven times, ending with each of the emotions.

    It is kept up to the first emotion named outside quotations. Where it names none, Table I's conclusion follows.
    """
    unquoted = QUOTES.sub(lambda quoted: " " * len(quoted.group()), answer)
    named = [found for pattern in EMOTION_PATTERNS.values() if (found := pattern.search(unquoted))]
    if named:
        first = min(named, key=re.Match.start)
        prose, stem = "en" if first.group().isascii() else "zh", answer[: first.start()]
        return [stem + WORDS[emotion][prose] + FULL_STOP[prose] for emotion in EMOTIONS]
    prose = "zh" if (language or "zh") == "zh" and re.search("[\u4e00-\u9fff]", unquoted) else "en"
    gap, conclusion = " " if prose == "en" else "", SENTENCES["explicit"][prose].partition("{text}”")[2].lstrip(".。 ")
    return [f"{answer.strip()}{gap}" + conclusion.format(emotion=WORDS[emotion][prose]) for emotion in EMOTIONS]


def probabilities(scores: Tensor, temperature: float) -> Tensor:
    """Return the softmax over the seven emotions of log-probabilities (…, 7) divided by the temperature."""
    return (scores / temperature).softmax(dim=-1)
