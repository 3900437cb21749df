"""Speaking rate in phonemes per second (section III.C)."""

import functools
import re
import threading
import warnings
from typing import Any

from c2ser.attributes.languages import espeak_voice, plain_code
from c2ser.audio import SAMPLE_RATE
from c2ser.transcripts import check_script, spoken

ESPEAK_LOCK = threading.Lock()
"""eSpeak has one state for the whole process, so only one thread may use it at a time."""


def speaking_rate(text: str, language: str, samples: int, utterance: str) -> float:
    """Return the phonemes per second.

    Args:
        text: the transcript.
        language: ISO 639-1 or 639-3 code, with or without a region.
        samples: length of the wave at 16 kHz without the silence around it.
        utterance: its id, for messages.

    Raises:
        ValueError: no transcript, no word or phoneme in it, the script of another language, an unknown language, or no
            samples.
    """
    if not text.strip():
        raise ValueError(f"{utterance}: it has no transcript; add one to text")
    words = spoken(text)
    if not words:
        raise ValueError(f"{utterance}: no word in its transcript '{text[:40]}'; correct it or remove the utterance")
    try:
        check_script(words, plain_code(language).partition("-")[0])
        number = count_phonemes(words, language)
    except ValueError as error:
        raise ValueError(f"{utterance}: {error}") from None
    if number == 0 or samples == 0:
        raise ValueError(f"{utterance}: {number} phonemes in {samples} samples; correct its transcript or remove it")
    return number * SAMPLE_RATE / samples


def count_phonemes(text: str, language: str) -> int:
    """Return the number of phonemes in a text: pinyin initials and finals for Mandarin, eSpeak for other languages.

    Raises:
        ValueError: eSpeak does not know the language.
    """
    with ESPEAK_LOCK:
        spelt = plain_code(language).partition("-latn")[1]  # in Pinyin, for example
        mandarin = plain_code(language).partition("-")[0] == "zh" and not spelt
        return _count_mandarin(text) if mandarin else _count_espeak(text, language)


def _count_espeak(text: str, language: str) -> int:
    from phonemizer.separator import Separator

    separator = Separator(phone=" ", word="|")
    words = _backend(language).phonemize([text], separator=separator, strip=True)[0]
    return sum(len(word.split()) for word in words.split("|"))


@functools.cache
def _backend(language: str) -> Any:
    """Return phonemizer's eSpeak for a language; it is kept, as making it takes longer than a thousand utterances."""
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    voice = espeak_voice(language, EspeakBackend.supported_languages())
    if voice is None:
        raise ValueError(f"eSpeak has no language '{language}'; use an ISO 639-1 code in utt2lang")
    return EspeakBackend(voice, language_switch="remove-flags")


def _count_mandarin(text: str) -> int:
    """Count initials and finals of the Chinese characters; numbers are read in Chinese, other words as English."""
    from pypinyin import Style, pinyin

    count = 0
    english: list[str] = []
    # pypinyin also takes a function that returns lists, whatever its types say
    mark = lambda other: [[f"\0{other}"]]  # noqa: E731
    for (syllable,) in pinyin(_spell_numbers(text), style=Style.NORMAL, errors=mark):  # type: ignore[arg-type]
        if syllable.startswith("\0"):
            english.append(syllable[1:])
        else:
            count += _mandarin_phonemes(syllable)
    rest = " ".join(english)
    return count + (_count_espeak(rest, "en") if any(character.isalnum() for character in rest) else 0)


def _spell_numbers(text: str) -> str:
    """Write numbers as Chinese words; numbers that are too long to have a name stay."""
    if not any(character.isdigit() for character in text):
        return text
    import cn2an

    with warnings.catch_warnings(action="ignore"):  # it warns of long numbers
        return cn2an.transform(re.sub(r"(?<=\d),(?=\d{3})", "", text), "an2cn")


def _mandarin_phonemes(syllable: str) -> int:
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    return bool(to_initials(syllable, strict=True)) + bool(to_finals(syllable, strict=True))
