"""Codes of languages, over all that eSpeak knows."""

import pytest

from c2ser.attributes.languages import SHORT, espeak_voice, plain_code
from c2ser.attributes.rate import _backend, count_phonemes


@pytest.fixture(scope="module")
def voices():
    return _backend("en").supported_languages()


def test_every_language_of_espeak_is_found_by_its_codes(voices):
    assert len(voices) > 100
    for voice in voices:
        assert espeak_voice(voice, voices) == voice or voice == "es"
        assert espeak_voice(voice.upper().replace("-", "_"), voices) == espeak_voice(voice, voices)
        language = voice.partition("-")[0]
        assert espeak_voice(language, voices) is not None, language
        assert espeak_voice(f"{language}-XX", voices) == espeak_voice(language, voices)
    lacking = {code for code in SHORT if espeak_voice(code, voices) is None}
    assert lacking == {"zho", "chi"}  # Mandarin is counted in Pinyin


@pytest.mark.parametrize(
    ("language", "voice"),
    [
        ("fr", "fr-fr"), ("fr-CA", "fr-fr"), ("fr_BE", "fr-be"), ("fra", "fr-fr"), ("fre", "fr-fr"), ("no", "nb"),
        ("nn", "nb"), ("nno", "nb"), ("nb-NO", "nb"), ("de-AT", "de"), ("deu", "de"), ("en", "en-us"), ("eng", "en-us"),
        ("en-GB", "en-gb"), ("en-AU", "en-us"), ("es", "es-419"), ("es-ES", "es"), ("es-MX", "es-419"),
        ("pt", "pt"), ("pt-BR", "pt-br"), ("iw", "he"), ("chr", "chr-US-Qaaa-x-west"), ("yue", "yue"), ("xx", None),
        ("und", None), ("", None),
    ],
)  # fmt: skip
def test_codes_and_regions(voices, language, voice):
    assert espeak_voice(language, voices) == voice


@pytest.mark.parametrize("language", ["zh", "zho", "cmn", "chi", "zh-CN", "ZH_tw", "cmn-Hans-CN"])
def test_all_codes_of_mandarin_count_initials_and_finals(language):
    assert plain_code(language).startswith("zh") and count_phonemes("你好", language) == 4


def test_languages_under_other_codes_count_alike():
    assert count_phonemes("Bonjour à tous.", "fr") == count_phonemes("Bonjour à tous.", "fra-FR") > 8
    with pytest.raises(ValueError, match="eSpeak has no language 'xx'; use an ISO 639-1 code in utt2lang"):
        count_phonemes("hello", "xx")
