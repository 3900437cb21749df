"""What of a transcript was spoken: corpora write laughter, noises and remarks between the words."""

import re
import unicodedata

BRACKETS = re.compile(r"\[[^\[\]]*\]|<[^<>]*>|【[^【】]*】|&=\S+")
"""What stands in these is never spoken: `[LAUGHTER]`, `<unk>`, CHAT's `&=laughs`."""

REMARK = re.compile(r"\(+([^()]*)\)+|（([^（）]*)）|\{([^{}]*)\}|\*([^*]*)\*")
"""What stands in these is spoken, unless it is one of `NOISES`: `(breath)`, `{laugh}`, `*sighs*`."""

NOISES = tuple(
    "laugh lacht lachen chuckl giggl breath atm inhal exhal sigh seufz sob schluchz cry weint cough hust sniff gasp "
    "groan moan scream whisper nois geräusch rausch silence stille pause music musik applau inaud unintel unverst "
    "unclear crosstalk overlap beep click vocal throat räusp 笑 哭 叹 咳 喘 噪 沉默 停顿 音乐".split()
)
"""How remarks about something else than words begin."""

MARKS = frozenset("/\\|#_^~*@&<>=+")
"""Signs of transcribers; a word of these alone is not spoken, but for `&`, `+` and `=`, which are read aloud."""

SCRIPTS = {
    "zh": "CJK BOPOMOFO", "yue": "CJK BOPOMOFO", "ja": "CJK HIRAGANA KATAKANA KATAKANA-HIRAGANA", "ko": "HANGUL CJK",
    "el": "GREEK", "he": "HEBREW", "hy": "ARMENIAN", "ka": "GEORGIAN", "am": "ETHIOPIC", "th": "THAI", "ta": "TAMIL",
    "te": "TELUGU", "kn": "KANNADA", "ml": "MALAYALAM", "bn": "BENGALI", "as": "BENGALI", "gu": "GUJARATI",
    "or": "ORIYA", "pa": "GURMUKHI ARABIC", "si": "SINHALA", "my": "MYANMAR", "sd": "ARABIC DEVANAGARI",
    **dict.fromkeys("ru uk be bg mk kk ky tt ba cv".split(), "CYRILLIC"),
    **dict.fromkeys("ar fa ur ps ug".split(), "ARABIC"), **dict.fromkeys("hi mr ne kok sa".split(), "DEVANAGARI"),
}  # fmt: skip
"""Scripts beside the Latin one in which a language is written, as the names of Unicode begin."""

LATIN = frozenset(
    "en de fr es it pt nl sv da no nb nn fi is et lv lt pl cs sk sl hr hu ro sq ca eu gl cy ga tr vi".split()
)
"""Languages that are written in the Latin script alone."""


def spoken(text: str) -> str:
    """Return the words of a transcript, without annotations, emoji and signs that nobody says."""
    text = BRACKETS.sub(" ", text)
    text = REMARK.sub(lambda found: " " if _is_noise(found) else found[0], text)
    if not text.isascii():
        text = "".join(character for character in text if not _is_picture(character))
    words = [word for word in text.split() if word in ("&", "+", "=") or not MARKS.issuperset(word)]
    return " ".join(words) if any(map(str.isalnum, text)) else ""


def _is_noise(found: re.Match[str]) -> bool:
    content = next((group for group in found.groups() if group is not None), "").strip().casefold()
    return not content or any(word.startswith(NOISES) for word in content.split())


def _is_picture(character: str) -> bool:
    if ord(character) < 0x2000:
        return False
    return unicodedata.category(character) in ("So", "Sk", "Cs", "Co", "Cn") or character in "\ufe0f\u200d"


def check_script(text: str, language: str) -> None:
    """Refuse a transcript in a script that its language is not written in: each letter of it would be spelt out.

    Raises:
        ValueError: more than a tenth of its letters are of such a script.
    """
    if language not in SCRIPTS and language not in LATIN:
        return
    allowed = {"LATIN", "FULLWIDTH", *SCRIPTS.get(language, "").split()}
    scripts = [unicodedata.name(letter, "").split(" ")[0] for letter in text if letter.isalpha()]
    foreign = [script for script in scripts if script not in allowed]
    if 10 * len(foreign) > len(scripts):
        raise ValueError(f"{foreign[0]} letters in a transcript in '{language}'; correct text or utt2lang")
