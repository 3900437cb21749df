"""The words by which texts name emotions and levels, in English and Chinese, and how negation looks."""

import re

from c2ser.emotions import ATTRIBUTES, LEVELS

EMOTION_WORDS = {
    "anger": (
        "anger|angry|angrily|angered|furious|furiously|fury|rage|enraged|outrage|outraged",
        "愤怒|生气|恼怒|气愤|怒火|发怒|愤慨|恼火",
    ),
    "happiness": (
        "happiness|happy|happily|joy|joyful|joyfully|joyous|cheerful|cheerfully|delight|delighted|amused|amusement"
        "|excited|excitement",
        "高兴|快乐|开心|喜悦|愉快|愉悦|欢乐|欢快|幸福|兴奋",
    ),
    "neutral": ("neutral|neutrality|neutrally|unemotional", "中性|中立|平静|平淡"),
    "sadness": (
        "sadness|sad|sadly|sorrow|sorrowful|unhappy|unhappiness|grief|melancholy|mournful",
        "悲伤|难过|伤心|悲痛|哀伤|悲哀|忧伤|沮丧|失落",
    ),
    "surprise": (
        "surprise|surprised|astonished|astonishment|amazed|amazement",
        "惊讶|惊奇|吃惊|惊喜|震惊|诧异|意外",
    ),
    "disgust": ("disgust|disgusted|revulsion|repulsed", "厌恶|反感|恶心|嫌弃|讨厌|嫌恶"),
    "fear": (
        "fear|fearful|fearfully|afraid|scared|frightened|terrified|terror",
        "恐惧|害怕|惊恐|惧怕|恐慌|畏惧|惊慌",
    ),
}
"""What counts as naming an emotion, in English and Chinese; the merges are the paper's (section IV.A, V.B)."""

FOREIGN_WORDS = (
    "calm|calmness|bored|boredom|contempt|contemptuous|confused|confusion|frustrated|frustration|sleepy|sleepiness"
    "|tired|tiredness|anxious|anxiety|pain|mixed emotions",
    "轻蔑|困惑|无聊|焦虑|疲倦|疲惫|困倦|痛苦|紧张",
)
"""Emotions that are none of the seven, so that an answer with one of them alone is known for what it is."""

REFUSALS = (
    r"\b(?:I(?:'m| am) (?:sorry|unable)|I (?:cannot|can't|can not)|as an AI)\b|抱歉|对不起|无法(?:判断|确定|识别)"
)
"""How a model says that it will not answer."""

NEGATION = re.compile(
    r"(?:\b(?:not(?! (?:only|just|merely|simply)\b)|no|never|without|neither|nor|lacks?|lacking|rather than"
    r"|instead of|free of|absence of|\w+n['’]t)\b(?:\s+(?!but\b|yet\b|rather\b|instead\b)[\w'’-]+){0,4}\s*"
    r"|(?:不(?![仅只但禁由断少])|并非|没有|毫无|无(?!比)|而非|(?<!除)非(?!常))(?:(?!而|但|却)[^，。；！？,.;!?]){0,4})$",
    re.IGNORECASE,
)
"""Matches what stands before an emotion that is denied: "not angry", "no sign of fear", "不是愤怒"."""

LEVEL_SYNONYMS = {
    "pitch": {
        "low": ("low|lower|deep", "低沉|低"),
        "medium": ("medium|moderate|normal|average|mid", "中等|适中|正常"),
        "high": ("high|higher", "高昂|高亢|尖锐|高"),
    },
    "loudness": {
        "low": ("low|lower|soft|quiet", "低|轻柔|微弱|轻|小"),
        "medium": ("medium|moderate|normal|average", "中等|适中|正常"),
        "high": ("high|higher|loud", "响亮|洪亮|高|大"),
    },
    "rate": {
        "low": ("low|slow|slower", "缓慢|低|慢"),
        "medium": ("medium|moderate|normal|average", "中等|适中|正常"),
        "high": ("high|fast|faster|quick|rapid|brisk", "快速|急促|快|高"),
    },
}
"""How texts name the levels of each attribute, in English and Chinese."""

NOUNS = {
    "pitch": (r"tone|pitch|intonation", "音[调高]|语调|声调"),
    "loudness": (r"volume|loudness|energy|level(?! of (?!volume|loudness|energy))", "音量|响度|能量"),
    "rate": (r"pace|rate|speed|tempo", "语速|速度"),
}
"""How texts name the attributes, in English and Chinese."""

FILLERS = {
    "pitch": "-pitched| vocal| overall",
    "loudness": " vocal| overall| energy| volume",
    "rate": "-paced| speaking| speech| overall",
}
"""What may stand between the word of a level and the attribute, such as "low-pitched tone"."""

ADVERBS = {
    "pitch": {},
    "loudness": {"low": "softly|quietly|in a (?:soft|quiet) voice", "high": "loudly|in a loud voice"},
    "rate": {"low": "slowly", "high": "quickly|rapidly"},
}
"""Adverbs that name a level alone."""

OTHER_NOUNS = "tone|pitch|volume|pace|rate|speed|tempo|loudness|energy"
VERBS = r"(?: level)?,?(?: (?:is|was|being|remains|remained|stays|stayed|of|at|as|sounds|sounded))?(?: at)?(?: an?)?"
DEGREES = r"(?: (?:very|rather|quite|relatively|fairly|somewhat|slightly))?"
CHINESE_VERBS = "(?:水平)?(?:上)?(?:为|是|处于|保持在?|显得)?(?:较为?|偏|很|比较|非常|稍微?|相对)?"


def _level_pattern(attribute: str, level: str) -> re.Pattern[str]:
    english, chinese = LEVEL_SYNONYMS[attribute][level]
    noun, chinese_noun = NOUNS[attribute]
    forms = [
        rf"\b(?:{english})(?:{FILLERS[attribute]})* (?:{noun})\b",
        rf"\b(?:{english})-(?:{noun})\b",
        rf"\b(?:{noun}){VERBS}{DEGREES} (?:{english})\b(?!-| (?:{OTHER_NOUNS}))",
        rf"(?:{chinese})的?(?:{chinese_noun})",
        rf"(?:{chinese_noun}){CHINESE_VERBS}(?:{chinese})",
    ]
    if adverbs := ADVERBS[attribute].get(level):
        forms.append(rf"\b(?:{adverbs})\b")
    return re.compile("|".join(forms), re.IGNORECASE)


LEVEL_PATTERNS = {attribute: {level: _level_pattern(attribute, level) for level in LEVELS} for attribute in ATTRIBUTES}
"""What names a level of an attribute."""


def _emotion_pattern(words: tuple[str, str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words[0]})\b|{words[1]}", re.IGNORECASE)


EMOTION_PATTERNS = {emotion: _emotion_pattern(words) for emotion, words in EMOTION_WORDS.items()}
FOREIGN_PATTERN = _emotion_pattern(FOREIGN_WORDS)
REFUSAL_PATTERN = re.compile(REFUSALS, re.IGNORECASE)
