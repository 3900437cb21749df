"""The instructions that C²SER gets, and the requests that the writer of chains of thought gets.

A request is filled with the labels of one utterance. Its wording follows Table I; the Chinese text is a translation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from c2ser.cot.config import Style
from c2ser.emotions import LEVEL_WORDS
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.ratings import DIMENSIONS

INSTRUCTIONS: dict[Style, str] = {
    "explicit": "Please describe the speaking style, content, and the speaker's emotional state of this speech.",
    "implicit": "Please consider the speaking style, content, "
    "and directly provide the speaker's emotion in this speech.",
}
"""The published prompts of the two training stages (`prompt_config.yaml` of the authors' code)."""

PARAPHRASES: dict[Style, tuple[str, ...]] = {
    "explicit": (
        "Please describe the speaking style and content, and infer emotion of this speech.",
        "Describe how this is spoken and what is said, then name the speaker's emotion.",
        "What is said here, how is it said, and what does the speaker feel?",
        "Tell me about the delivery and the words of this recording, and conclude with the emotion.",
        "First report speaking style and content of the speech; after that, state the emotion.",
        "请描述这段语音的说话风格、内容以及说话者的情绪。",
        "请说明这段话是怎么说的、说了什么，并推断说话者的情绪。",
        "这段语音说了什么？语气如何？说话者是什么情绪？",
        "请先描述说话方式和内容，再给出情绪。",
        "请分析这段录音的表达方式与文字内容，最后说出情绪。",
    ),
    "implicit": (
        "Please consider the speaking style and content, and directly describe emotion of this speech.",
        "Mind how this is spoken and what is said, and just name the speaker's emotion.",
        "What does the speaker feel? Take words and delivery into account and answer directly.",
        "Name the emotion of this recording at once, judging by its delivery and its words.",
        "State only the emotion of the speech, having regard to style and content.",
        "请考虑说话风格和内容，直接给出这段语音中说话者的情绪。",
        "请结合说话方式和所说的内容，直接说出情绪。",
        "说话者是什么情绪？请综合语气和内容直接回答。",
        "请根据表达方式与文字内容，直接判断这段录音的情绪。",
        "请只说出这段语音的情绪，同时考虑风格与内容。",
    ),
}
"""Other wordings of the instructions, to measure how much answers depend on them; the first of each is the authors'."""

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
"""The prompt of Table I for the writer, and the same for Chinese and for the implicit style."""

DIMENSION_WORDS = {
    "en": {"valence": "{} valence", "arousal": "{} arousal", "dominance": "{} dominance"},
    "zh": {"valence": "{}效价", "arousal": "{}唤醒度", "dominance": "{}支配度"},
}
"""How the level of a dimension is named in a text, by language."""

DIMENSION_SENTENCE = {"en": "It conveys {}. ", "zh": "语音表现出{}。"}
"""Stands before the conclusion of an explicit chain of thought that states levels of dimensions, too."""

DIMENSION_REQUEST = {"en": " Also state: {}.", "zh": "还请说明：{}。"}
"""Stands at the end of a request for such a chain of thought."""


@dataclass(frozen=True, slots=True)
class Request:
    """The labels of an utterance that needs a chain of thought.

    Attributes:
        utterance: its id.
        language: ISO 639-1. Its chain of thought is Chinese for Chinese, English for all other languages.
        text: its transcript.
        emotion: its true emotion.
        levels: level by attribute and, if they are to be stated, by dimension; empty for implicit ones.
        labels: the classes, of which the emotion is one.
    """

    utterance: str
    language: str
    text: str
    emotion: str
    levels: Mapping[str, str]
    labels: LabelSet = SEVEN

    @property
    def prose(self) -> str:
        """The language of the chain of thought: "zh" or "en"."""
        return "zh" if self.language == "zh" else "en"

    def words(self) -> dict[str, str]:
        """Return the values for the braces of a sentence."""
        levels = {attribute: LEVEL_WORDS[level][self.prose] for attribute, level in self.levels.items()}
        return {**levels, "text": single_quotes(self.text), "emotion": self.labels.word(self.emotion, self.prose)}

    def dimensions(self) -> str:
        """Return the levels of dimensions as words, "high arousal, low dominance"; "" without any."""
        words, forms = self.words(), DIMENSION_WORDS[self.prose]
        named = [forms[name].format(words[name]) for name in DIMENSIONS if name in self.levels]
        return {"en": ", ", "zh": "、"}[self.prose].join(named)


def single_quotes(text: str) -> str:
    """Return a transcript with single quotation marks, so that it can stand inside a quotation."""
    return text.translate(str.maketrans('“”「」"', "‘’‘’'"))


def published_spelling(text: str) -> str:
    """Return a text in the form that the published model knows: lower case, no blanks beside Chinese, "<" and ">"."""
    return re.sub(r"\s*([\u4e00-\u9fff<>])\s*", r"\1", text).lower()


def instruction(style: Style, wording: int = 0) -> str:
    """Return the instruction that C²SER gets.

    Args:
        style: explicit or implicit.
        wording: 0 for the published text, which training uses, or the number of a paraphrase, from 1.

    Raises:
        ValueError: there is no such wording.
    """
    wordings = (INSTRUCTIONS[style], *PARAPHRASES[style])
    if not 0 <= wording < len(wordings):
        raise ValueError(f"wording {wording}: there is no such wording; give 0 to {len(wordings) - 1}")
    return wordings[wording]


def sentence(request: Request, style: Style) -> str:
    """Return the example sentence of Table I, or the implicit one, for this utterance."""
    pattern, stated = SENTENCES[style][request.prose], request.dimensions()
    if stated:
        conclusion = pattern.partition("{text}”")[2].lstrip(".。 ")
        before = pattern.removesuffix(conclusion)
        pattern = before + DIMENSION_SENTENCE[request.prose].format(stated) + conclusion
    return pattern.format(**request.words())


def request_prompt(request: Request, style: Style) -> str:
    """Return the prompt that asks a language model to write a chain of thought."""
    asked, stated = REQUESTS[style][request.prose], request.dimensions()
    more = DIMENSION_REQUEST[request.prose].format(stated) if stated else ""
    return asked.format(**request.words(), example=sentence(request, style)) + more
