"""The probability of each emotion that a model knows, from the log-probabilities of answers that name it.

For implicit models the short answer of Table I, "The emotion of this speech is …", is scored once for each emotion.
Explicit models describe the speech before they name the emotion; there the model's own answer is kept up to that word,
and each emotion is scored as its end. So the probabilities belong to the answer that was generated, and the model is
never asked in a style that it has not learnt.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from c2ser.cot.prompts import SENTENCES, Style
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.key_values import Reading
from c2ser.model.perception import Vectors
from c2ser.scoring.labels import named_places, unquoted

FULL_STOP = {"en": ".", "zh": "。"}
CHINESE = re.compile("[\u4e00-\u9fff]")


def label_scores(
    network: C2SERNetwork,
    speech: Vectors,
    style: Style,
    languages: Sequence[str | None],
    answers: Sequence[str] | None,
    reading: Reading | None = None,
) -> Tensor:
    """Return the log-probability of each emotion's answer, end token included, from one forward pass.

    Log-probabilities are sums over all tokens of an answer, not means: the emotions' answers are alternatives, of which
    the model would say one. Where the language is unknown, both forms of each are scored and their probabilities added.

    Args:
        network: the model's network.
        speech: embeddings (batch, time, size of the language model).
        style: the chain of thought that the model is asked for.
        languages: ISO 639-1 code of each utterance, None where unknown.
        answers: the model's own answers; explicit scores need them.
        reading: what was read to give these answers, so that it is not read again.

    Returns:
        float64, shape (batch, classes), in the order of the network's classes.

    Raises:
        ValueError: explicit without answers.
    """
    labels = network.labels
    if style == "explicit":
        if answers is None:
            raise ValueError("probabilities of explicit models follow from their answers; let them answer")
        forms = [[endings(answer, language, labels)] for answer, language in zip(answers, languages, strict=True)]
    else:
        forms = [short_answers(language, labels) for language in languages]
    flat = [[text for form in row for text in form] for row in forms]
    scores = network.score(speech, style, flat, reading)
    # (languages, classes) to (classes,)
    rows = [row.double().view(-1, len(labels)).logsumexp(dim=0) for row in scores]
    return torch.stack(rows).cpu()


def short_answers(language: str | None, labels: LabelSet = SEVEN) -> list[list[str]]:
    """Return the implicit answer of each class in the language of the speech, or in both languages if it is unknown."""
    codes = ["zh", "en"] if not language else ["zh" if language == "zh" else "en"]
    sentences = SENTENCES["implicit"]
    return [[sentences[prose].format(emotion=labels.word(name, prose)) for name in labels] for prose in codes]


def endings(answer: str, language: str | None, labels: LabelSet = SEVEN) -> list[str]:
    """Return an explicit answer once for each class, ending with it.

    It is kept up to the first emotion named outside quotations. If it names none, Table I's conclusion is added.
    """
    if places := named_places(answer, labels):
        start, end = places[0]
        prose = "zh" if CHINESE.search(answer[start:end]) else "en"
        return [answer[:start] + labels.word(name, prose) + FULL_STOP[prose] for name in labels]
    prose = "zh" if (language or "zh") == "zh" and CHINESE.search(unquoted(answer)) else "en"
    gap, conclusion = " " if prose == "en" else "", SENTENCES["explicit"][prose].partition("{text}”")[2].lstrip(".。 ")
    return [f"{answer.strip()}{gap}" + conclusion.format(emotion=labels.word(name, prose)) for name in labels]


def probabilities(scores: Tensor, temperature: float) -> Tensor:
    """Return the softmax over the classes of log-probabilities (…, classes) divided by the temperature."""
    return (scores / temperature).softmax(dim=-1)
