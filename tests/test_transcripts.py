"""What of a transcript was spoken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2ser.attributes.rate import count_phonemes, speaking_rate
from c2ser.cot.generate import read_requests
from c2ser.scoring.faithfulness import transcript_figures
from c2ser.tables import TableMap, write_table
from c2ser.transcripts import check_script, spoken

ANNOTATED = {
    "[LAUGHTER]": "", "(breath)": "", "<unk>": "", "<noise> (laughs) [BREATHING]": "", "...": "", "&&": "", "/ / /": "",
    "[LAUGHTER] Yes. [BREATHING]": "Yes.", "(breath) I see (and you?)": "I see (and you?)", "a && b": "a b",
    "so / well": "so well", "well 😂👍🏽 ok": "well ok", "❤\ufe0f love": "love",
    "Das (lacht) war's": "Das war's", "((inaudible)) x": "x", "*sighs* no *really*": "no *really*", "&=laughs hi": "hi",
    "{laugh} {x}": "{x}",
    "（笑）好": "好", "【噪音】好": "好",
}  # fmt: skip

WORDS = [
    "Ca va ?", "R & B", "it is 50 % at 20 °C", "don't — stop!", "3/4 km/h", "1 + 1 = 2", "C# and AT&T",
    "今天天气很好。", "“quoted” … words", "(he said so)",
]  # fmt: skip


@pytest.mark.parametrize("text", ANNOTATED)
def test_what_nobody_says_is_left_out(text):
    assert spoken(text) == ANNOTATED[text]


@pytest.mark.parametrize("text", WORDS)
def test_words_and_punctuation_stay(text):
    assert spoken(text) == text


@given(st.text())
def test_leaving_out_twice_leaves_nothing_more_out_but_what_the_first_time_joined(text):
    once = spoken(text)
    assert len(once) <= len(text) and once == " ".join(once.split())
    assert not once or any(map(str.isalnum, text))


@pytest.mark.parametrize("noise", ["[LAUGHTER]", "(breath)", "<unk>", "&&", "/", "😂"])
def test_noises_are_no_phonemes(noise):
    plain = speaking_rate("Yes, I do.", "en", 16000, "u")
    assert (
        speaking_rate(f"{noise} Yes, {noise} I do. {noise}", "en", 16000, "u")
        == plain
        == count_phonemes("Yes, I do.", "en")
    )
    with pytest.raises(ValueError, match="u: no word in its transcript"):
        speaking_rate(noise, "en", 16000, "u")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("今天", "en"),
        ("привет", "de"),
        ("مرح", "ru"),
    ],
)
def test_another_script_than_the_languages_is_refused(text, language):
    with pytest.raises(ValueError, match=f"letters in a transcript in '{language}'; correct text or utt2lang"):
        speaking_rate(text, language, 16000, "u")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("naïve café", "en"),
        ("今天 OK", "zh"),
        ("OK", "ja"),
        ("привет", "ru"),
        ("5 µm of the finest wood", "en"),
        ("Добро jutro", "sr"),
    ],
)
def test_a_languages_own_script_passes(text, language):
    check_script(text, language)


def test_chains_of_thought_quote_words_alone(tmp_path):
    write_table(tmp_path / "utt2emo", {"a": "anger", "b": "anger"})
    write_table(tmp_path / "utt2lang", {"a": "en", "b": "en"})
    write_table(tmp_path / "text", {"a": "[LAUGHTER] Well (breath) no.", "b": "<unk>"})
    write_table(tmp_path / "utt2level", {"a": "low low low", "b": "low low low"})
    with TableMap(tmp_path / "x") as job:
        (request,) = read_requests(tmp_path, "explicit", job)
        assert request.text == "Well no." and "no transcript" in job.rejected["b"]
        job.write("a", "x")


def test_annotations_are_no_words_that_an_answer_has_lost():
    answers = {"a": "The speaker said: “Well no.” The emotion is anger."}
    assert transcript_figures(answers, {"a": "[LAUGHTER] Well (breath) no."}, {"a": "en"})["wer"] == 0
