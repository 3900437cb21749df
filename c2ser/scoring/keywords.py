"""The keywords by which texts name emotions and levels, in English and Chinese, and how negation looks."""

import re

from c2ser.emotions import ATTRIBUTES, LEVEL_WORDS, LEVELS

TRADITIONAL = dict(
    zip(
        "愤恼气发兴乐开悦欢奋静伤难过忧丧惊讶诧异厌恶弃讨惧轻无虑惫紧张适锐响缓调语声为处于显较对错",
        "憤惱氣發興樂開悅歡奮靜傷難過憂喪驚訝詫異厭惡棄討懼輕無慮憊緊張適銳響緩調語聲為處於顯較對錯",
        strict=True,
    )
)
"""Traditional forms of the characters in the keywords below, which stand in the simplified ones."""


def both(keywords: str) -> str:
    """Return a pattern in which each simplified character stands for its traditional form too."""
    return "".join(f"[{sign}{TRADITIONAL[sign]}]" if sign in TRADITIONAL else sign for sign in keywords)


EMOTION_KEYWORDS = {
    "anger": (
        "anger|angry|angrily|angered|mad|irate|furious|furiously|fury|rage|enraged|outrage|outraged",
        "愤怒|生气(?!勃|盎)|恼怒|气愤|怒火|发怒|愤慨|恼火|暴怒|狂怒|盛怒|激怒",
    ),
    "happiness": (
        "happiness|happy|happily|glad|joy|joyful|joyfully|joyous|cheerful|cheerfully|delight|delighted|amused|amusement"
        "|excited|excitement",
        "高兴|快乐|开心|喜悦|愉快|愉悦|欢乐|欢快|幸福|兴奋|欣喜|欢喜",
    ),
    "neutral": ("neutral|neutrality|neutrally|unemotional", "中性|中立|平静|平淡"),
    "sadness": (
        "sadness|sad|sadly|sorrow|sorrowful|unhappy|unhappiness|grief|melancholy|mournful",
        "悲伤|难过|伤心|悲痛|哀伤|悲哀|忧伤|沮丧|失落",
    ),
    "surprise": (
        "surprise|surprised|astonished|astonishment|amazed|amazement",
        "惊讶|惊奇|吃惊|惊喜|震惊|诧异|意外|惊愕|错愕",
    ),
    "disgust": ("disgust|disgusted|revulsion|repulsed", "厌恶|反感|恶心|嫌弃|讨厌|嫌恶"),
    "fear": (
        "fear|fearful|fearfully|afraid|scared|frightened|terrified|terror",
        "恐惧|害怕|惊恐|惧怕|恐慌|畏惧|惊慌",
    ),
}
"""What counts as naming an emotion, in English and Chinese; the merges are the paper's (section IV.A, V.B)."""

FOREIGN_KEYWORDS = (
    "calm|calmness|bored|boredom|contempt|contemptuous|confused|confusion|frustrated|frustration|sleepy|sleepiness"
    "|tired|tiredness|anxious|anxiety|pain|mixed emotions",
    "轻蔑|困惑|无聊|焦虑|疲倦|疲惫|困倦|痛苦|紧张",
)
"""Emotions that are none of the seven, so that an answer with one of them alone is known for what it is."""

REFUSALS = (
    r"\b(?:I(?:'m| am) (?:sorry|unable)|I (?:cannot|can't|can not)|as an AI)\b"
    + "|抱歉|[对對]不起|[无無]法(?:判[断斷]|[确確]定|[识識][别別])"
)
"""How a model says that it will not answer."""

AFFIRMED = (
    r"(?! (?:(?:a|any|the slightest) )?(?:only|just|merely|simply|doubt|wonder|hide|conceal|contain|suppress|control"
    r"|mask|disguise|help)\b)"
)
"""What makes an English negation none: "not only angry", "no doubt", "cannot hide his anger"."""

ENGLISH_NEGATION = (
    r"(?:\b(?:not|no|never|without|neither|nor|cannot|lacks?|lacking|lack of|rather than|instead of|free of|absence of"
    r"|devoid of|anything but|far from|hardly|barely|scarcely|fail(?:s|ed)? to|\w+n['’]t"
    r"|(?:is|was|are|were|do|does|did|ca|wo|would|could)nt)\b"
    rf"{AFFIRMED}(?:\s+(?!(?:but|yet|rather|instead|only|just)\b)[\w'’-]+){{0,6}}\s*|\bnon-)"
)

CHINESE_NEGATION = (
    "(?:(?:(?<!不得)不是|[并並]非|[没沒]有(?![掩隐隱克压壓控])|[没沒](?=表|显|顯|流|听|聽|感)|缺[乏少]|毫[无無](?!疑)"
    "|未(?![免来來知]))(?:(?![而但却卻只更反])[^，。；！？,.;!?]){0,9}"
    "|(?:(?<!不得)不(?![仅僅只但禁由断斷少住满滿耐安甘解悦悅屑停已堪舍捨自时時掩是同]|可[抑遏思]|加掩|能自已|得不|敢[相置]"
    "|知所|幸(?!福))|(?<!毫)[无無](?![比疑奈助力言尽盡穷窮辜论論聊语語非]|法[掩抑控压壓遏隐隱自]|可[抑遏])|[没沒](?![有想完了])"
    "|(?<![除并並无無莫])非(?!常))(?:(?![而但却卻只更反])[^，。；！？,.;!?]){0,4}"
    "|(?<![特分区區个個级級类類差告性识識])[别別][再太]?)"
)

NEGATION = re.compile(f"(?:{ENGLISH_NEGATION}|{CHINESE_NEGATION})$", re.IGNORECASE)
"""Matches what stands before an emotion that is denied: "not angry", "no sign of fear", "不是愤怒"."""

DENIAL = re.compile(
    r"\s+(?:(?:is|was|are|were|can|could|do|does|did|has|had)(?:n['’]t|not|\s+(?:not|never|hardly))\b"
    r"(?!\s+(?:only|just|merely|simply|hidden|concealed))|(?:is|was)\s+(?:absent|missing|lacking|ruled out)\b)"
    "|(?:的?情[绪緒]|感)?(?:[并並]?不(?:存在|明[显顯]|成立)|[并並]?[没沒]有(?:出[现現]|表[现現]|体现|體現))",
    re.IGNORECASE,
)
"""Matches what stands behind an emotion that is denied: "anger is not heard", "愤怒并不明显"."""

LISTED = re.compile(
    r"\s*(?:(?P<comma>[,，])|(?:[,，]\s*)?(?:\b(?:or|nor)\b|[、或和与與及]|或者|以及)(?:\s*(?:any|even|much|明[显顯]的))?)\s*",
    re.IGNORECASE,
)
"""Matches what stands between the emotions of a list, "no anger, fear or sadness"; a comma alone does not end one."""

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
    "pitch": (r"tone|pitch|intonation", "音调|音高|语调|声调"),
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
CHINESE_VERBS = both("(?:水平)?(?:上)?(?:为|是|处于|保持在?|显得)?(?:较为?|偏|很|比较|非常|稍微?|相对)?")


def _level_pattern(attribute: str, level: str) -> re.Pattern[str]:
    english, chinese = LEVEL_SYNONYMS[attribute][level]
    noun, chinese_noun = NOUNS[attribute]
    chinese, chinese_noun = both(chinese), both(chinese_noun)
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

DIMENSION_NOUNS = {"valence": "效价", "arousal": "唤醒度", "dominance": "支配度"}
"""How Chinese texts name the dimensions."""


def _dimension_pattern(dimension: str, level: str) -> re.Pattern[str]:
    word, chinese, noun = LEVEL_WORDS[level]["en"], both(LEVEL_WORDS[level]["zh"]), both(DIMENSION_NOUNS[dimension])
    verbs = rf"(?: level)? (?:is|was|sounds|of|at){DEGREES}"
    forms = [rf"\b{word} {dimension}\b", rf"\b{dimension}{verbs} {word}\b", rf"(?:{chinese})的?(?:{noun})"]
    return re.compile("|".join([*forms, rf"(?:{noun}){CHINESE_VERBS}(?:{chinese})"]), re.IGNORECASE)


DIMENSION_PATTERNS = {name: {level: _dimension_pattern(name, level) for level in LEVELS} for name in DIMENSION_NOUNS}
"""What names a level of a dimension."""


def _emotion_pattern(keywords: tuple[str, str]) -> re.Pattern[str]:
    # letters alone bound an English word: in "情绪为anger" it stands beside Chinese ones
    return re.compile(rf"(?<![a-z])(?:{keywords[0]})(?![a-z]|-(?:less|free))|{both(keywords[1])}", re.IGNORECASE)


EMOTION_PATTERNS = {emotion: _emotion_pattern(keywords) for emotion, keywords in EMOTION_KEYWORDS.items()}
FOREIGN_PATTERN = _emotion_pattern(FOREIGN_KEYWORDS)
REFUSAL_PATTERN = re.compile(REFUSALS, re.IGNORECASE)
