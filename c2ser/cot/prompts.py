"""What is asked: of C²SER (instructions) and of the writer of chains of thought (requests).

A request is filled from one utterance's labels. Its wording follows Table I; the Chinese one says the same.
"""

import re
from dataclasses import dataclass
from typing import Literal

from c2ser.emotions import LEVEL_WORDS, WORDS

Style = Literal["explicit", "implicit"]

INSTRUCTIONS: dict[Style, str] = {
    "explicit": "Please describe the speaking style, content, and the speaker's emotional state of this speech.",
    "implicit": "Please consider the speaking style, content, "
    "and directly provide the speaker's emotion in this speech.",
}
"""The published prompts of the two training stages (`prompt_config.yaml` of the authors' code)."""

SENTENCES: dict[Style, dict[str, str]] = {
    "explicit": {
        "en": "The speaker spoke at a {rate} pace, with a {pitch} tone and {loudness} level: “{text}”. "
        "Based on the analysis of speech characteristics, the emotion was inferred to be {emotion}.",
        "zh": "说话者以{rate}的语速、{pitch}的音调和{loudness}的音量说道：“{text}”。"
        "根据对语音特征的分析，推断情绪为{emotion}。",
    },
    "implicit": {"en": "The emotion of this speech is {emotion}.", "zh": "这条语音的情感为{emotion}。"},
}
"""The example sentence of Table I, and the short answer of the implicit stage."""

REQUESTS: dict[Style, dict[str, str]] = {
    "explicit": {
        "en": "Based on the provided speech features—including a speaking rate of {rate}, a volume level of "
        "{loudness}, and a pitch of {pitch}—along with the text content ‘{text}’ and the emotion {emotion}, generate a "
        "natural and logical emotional description. Here is an example: ‘{example}’ "
        "Ensure including all speech features and logic of the description.",
        "zh": "已知一段语音的语速为{rate}，音量为{loudness}，音调为{pitch}，文本内容为‘{text}’，情绪为{emotion}。"
        "请据此写一段自然且合乎逻辑的情绪描述。例如：‘{example}’请务必包含所有语音特征以及推断的逻辑。",
    },
    "implicit": {
        "en": "A speech was said with the emotion {emotion}. State that emotion in one short sentence, without "
        "reasons. Here is an example: ‘{example}’",
        "zh": "一段语音的情绪为{emotion}。请用一句简短的话说出这一情绪，不要说明理由。例如：‘{example}’",
    },
}
"""Table I's prompt for the writer, and its counterparts."""


@dataclass(frozen=True)
class Request:
    """What is known of an utterance whose chain of thought is wanted.

    Attributes:
        utterance: its id.
        language: ISO 639-1; Chinese is written in Chinese, everything else in English.
        text: its transcript.
        emotion: its true emotion.
        levels: level by attribute; empty for implicit chains.
    """

    utterance: str
    language: str
    text: str
    emotion: str
    levels: dict[str, str]

    @property
    def prose(self) -> str:
        """The language of the chain of thought: "zh" or "en"."""
        return "zh" if self.language == "zh" else "en"

    def words(self) -> dict[str, str]:
        """Return what fills the braces of a sentence."""
        levels = {attribute: LEVEL_WORDS[level][self.prose] for attribute, level in self.levels.items()}
        return {**levels, "text": single_quotes(self.text), "emotion": WORDS[self.emotion][self.prose]}


def single_quotes(text: str) -> str:
    """Return a transcript whose own quotations do not end the quotation that it stands in."""
    return text.translate(str.maketrans('“”「」"', "‘’‘’'"))


def published_spelling(text: str) -> str:
    """Return a text as the published model learnt it: lower case, no blanks beside Chinese characters, "<" and ">"."""
    return re.sub(r"\s*([\u4e00-\u9fff<>])\s*", r"\1", text).lower()


def instruction(style: Style) -> str:
    """Return what C²SER itself is asked in a style."""
    return INSTRUCTIONS[style]


def sentence(request: Request, style: Style) -> str:
    """Return Table I's example sentence, or the implicit one, filled in."""
    return SENTENCES[style][request.prose].format(**request.words())


def request_prompt(request: Request, style: Style) -> str:
    """Return the prompt that a language model gets as a writer."""
    return REQUESTS[style][request.prose].format(**request.words(), example=sentence(request, style))
