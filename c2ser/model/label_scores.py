"""The probability of each of the seven emotions, from the log-probabilities of answers that name it.

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
from c2ser.emotions import EMOTIONS, WORDS
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.perception import Vectors
from c2ser.scoring.labels import EMOTION_PATTERNS, QUOTES

FULL_STOP = {"en": ".", "zh": "。"}


def label_scores(
    network: C2SERNetwork, speech: Vectors, style: Style, languages: Sequence[str | None], answers: Sequence[str] | None
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

    Returns:
        float64, shape (batch, 7), in the order of `EMOTIONS`.

    Raises:
        ValueError: explicit without answers.
    """
    if style == "explicit":
        if answers is None:
            raise ValueError("probabilities of explicit models follow from their answers; let them answer")
        forms = [[endings(answer, language)] for answer, language in zip(answers, languages, strict=True)]
    else:
        forms = [short_answers(language) for language in languages]
    flat = [[text for form in row for text in form] for row in forms]
    scores = network.score(speech, style, flat)
    rows = [row.double().view(-1, len(EMOTIONS)).logsumexp(dim=0) for row in scores]  # (languages, 7) to (7,)
    return torch.stack(rows).cpu()


def short_answers(language: str | None) -> list[list[str]]:
    """Return the seven implicit answers in the language of the speech, or in both languages if it is unknown."""
    codes = ["zh", "en"] if not language else ["zh" if language == "zh" else "en"]
    return [[SENTENCES["implicit"][prose].format(emotion=WORDS[e][prose]) for e in EMOTIONS] for prose in codes]


def endings(answer: str, language: str | None) -> list[str]:
    """Return an explicit answer seven times, ending with each of the emotions.

    It is kept up to the first emotion named outside quotations. If it names none, Table I's conclusion is added.
    """
    unquoted = QUOTES.sub(lambda quoted: " " * len(quoted.group()), answer)
    matches = [match for pattern in EMOTION_PATTERNS.values() if (match := pattern.search(unquoted))]
    if matches:
        first = min(matches, key=re.Match.start)
        prose, stem = "en" if first.group().isascii() else "zh", answer[: first.start()]
        return [stem + WORDS[emotion][prose] + FULL_STOP[prose] for emotion in EMOTIONS]
    prose = "zh" if (language or "zh") == "zh" and re.search("[\u4e00-\u9fff]", unquoted) else "en"
    gap, conclusion = " " if prose == "en" else "", SENTENCES["explicit"][prose].partition("{text}”")[2].lstrip(".。 ")
    return [f"{answer.strip()}{gap}" + conclusion.format(emotion=WORDS[emotion][prose]) for emotion in EMOTIONS]


def probabilities(scores: Tensor, temperature: float) -> Tensor:
    """Return the softmax over the seven emotions of log-probabilities (…, 7) divided by the temperature."""
    return (scores / temperature).softmax(dim=-1)
