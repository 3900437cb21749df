"""Classes as data: their names, how answers are read, and a model with classes of its own from data to predict."""

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from fixtures.sound import voice

from c2ser import C2SER
from c2ser.bin.argmax_labels import main as argmax_main
from c2ser.bin.extract_labels import main as extract_main
from c2ser.bin.measure_stability import main as stability_main
from c2ser.bin.score import main as score_main
from c2ser.chat.config import ChatConfig
from c2ser.corpus import Utterance, read_data_dir
from c2ser.cot.checks import check_readable, find_problem
from c2ser.cot.prompts import SENTENCES, Request, sentence
from c2ser.data.datasets import read_items
from c2ser.emotions import EMOTIONS, UNPARSED, WORDS
from c2ser.label_sets import (
    LABELS,
    SEVEN,
    LabelSet,
    common_label_set,
    own_classes,
    read_label_set,
    write_label_set,
)
from c2ser.model.config import C2SERConfig, ConnectorConfig, DecodeConfig, LoraSettings, TinyLlm, TinyWhisper
from c2ser.model.decoding import calibrate, decode
from c2ser.model.export import export
from c2ser.model.fingerprints import tokenizer_fingerprint
from c2ser.model.label_scores import endings, short_answers
from c2ser.model.tiny import make_tiny_models
from c2ser.prep.describe import Corpus
from c2ser.prep.join import Source, join
from c2ser.prep.writer import write_corpus
from c2ser.scoring.judge import PROMPT, judge_prompt, read_judgement
from c2ser.scoring.keywords import EMOTION_KEYWORDS
from c2ser.scoring.labels import read_kind, read_label
from c2ser.tables import read_json, read_table, write_json, write_table
from c2ser.training.c2ser_data import Corpus as Material
from c2ser.training.c2ser_objective import C2SERObjective
from c2ser.training.config import BatchConfig, LossConfig, ValidConfig

CALLS = LabelSet(
    ("calm", "frustrated", "pleasant_surprise", "surprise"),
    {"calm": {"zh": "平静"}, "pleasant_surprise": {"en": "pleasant surprise"}},
    {"calm": "neutral", "frustrated": "anger"},
)

WRONG = [
    ('{"labels": []}', "no classes; write"),
    ('{"names": []}', "no class; name those to keep"),
    ('{"names": ["a", "a"]}', "class 'a': given twice; give it once"),
    ('{"names": ["Calm", "calm"]}', "'calm' is both Calm and calm; give each class words of its own"),
    ('{"names": ["a", "so so"]}', "class 'so so': has a blank; write 'so_so', and the blank in its words"),
    ('{"names": ["a", "b\\tc"]}', "class 'b\\tc': holds a line break, a tab or two blanks; use letters"),
    ('{"names": ["a", "<|im_end|>"]}', "class '<|im_end|>': holds the sign <; use letters"),
    ('{"names": ["a", "“b”"]}', "class '“b”': holds the sign “; use letters"),
    ('{"names": ["a", "b\\u200b"]}', "holds a line break, a tab or two blanks"),
    ('{"names": ["a", ""]}', "class '': no name; write a word"),
    ('{"names": ["a", 7]}', "class 7: no name; write a word"),
    ('{"names": ["a", "unparsed"]}', "class 'unparsed': tables call something else so; rename it"),
    ('{"names": ["a", "%s"]}' % ("x" * 41), "41 characters long; write 40 at most"),
    ('{"names": ["a", "b"], "words": {"c": {}}}', "words: 'c' is no class; the classes are a, b"),
    ('{"names": ["a", "b"], "words": {"a": {"de": "x"}}}', "words: a: no answers are in 'de'; give en or zh"),
    ('{"names": ["a", "b"], "words": {"a": {"en": "B"}}}', "'b' is both a and b; give each class words of its own"),
    ('{"names": ["a", "b"], "words": {"a": "x"}}', "write words as"),
    ('{"names": ["a", "b"], "seven": {"a": "rage"}}', "seven: a: 'rage' is none of anger, happiness"),
    ('{"names": ["a", "b"], "colour": 1}', "'colour' means nothing here; leave names, words and seven alone in it"),
    ("[", "not JSON"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_one_line_says_what_is_wrong_with_classes(content, message, tmp_path):
    (tmp_path / LABELS).write_text(content)
    with pytest.raises(ValueError) as caught:
        read_label_set(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / LABELS)) and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_the_file_has_the_seven(tmp_path):
    assert read_label_set(tmp_path) == SEVEN and SEVEN.names == EMOTIONS
    write_label_set(tmp_path, CALLS)
    assert read_label_set(tmp_path) == CALLS and common_label_set([tmp_path, tmp_path]) == CALLS
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"other: other classes than .* write both with one labels.json"):
        common_label_set([tmp_path, tmp_path / "other"])
    write_label_set(tmp_path, SEVEN)
    assert not (tmp_path / LABELS).exists()
    assert own_classes(["fear", "anger"]) == SEVEN and own_classes(["calm", "fear", "anger"]).names[2] == "calm"


def test_words():
    assert [CALLS.word("pleasant_surprise", prose) for prose in ("en", "zh")] == [
        "pleasant surprise",
        "pleasant_surprise",
    ]
    assert CALLS.word("surprise", "zh") == WORDS["surprise"]["zh"] and CALLS.word("calm", "zh") == "平静"
    assert [CALLS.emotion_of(name) for name in CALLS] == ["neutral", "anger", None, "surprise"]


def test_no_keyword_of_one_emotion_lies_in_one_of_another():
    """So that nothing changes for the seven where a longer form goes before a shorter one."""
    words = {word: emotion for emotion, texts in EMOTION_KEYWORDS.items() for word in "|".join(texts).split("|")}
    chinese = {word: emotion for word, emotion in words.items() if not word.isascii()}
    assert not [(a, b) for a in chinese for b in chinese if a != b and a in b and chinese[a] != chinese[b]]


@pytest.mark.parametrize(
    ("answer", "label", "kind"),
    [
        ("The emotion of this speech is calm.", "calm", "label"),
        ("这条语音的情感为平静。", "calm", "label"),
        ("The emotion is pleasant surprise.", "pleasant_surprise", "label"),
        ("The emotion is pleasant_surprise.", "pleasant_surprise", "label"),
        ("The speaker is astonished.", "surprise", "label"),
        ("The speaker is frustrated, not calm.", "frustrated", "label"),
        ("Neither calm nor frustrated.", UNPARSED, "denied"),
        ("Calm or surprise.", UNPARSED, "several"),
        ("“I am calm”, she says with anger.", UNPARSED, "foreign"),
        ("A calmer voice.", UNPARSED, "nothing"),
    ],
)
def test_answers_are_read_by_the_words_of_the_classes(answer, label, kind):
    assert read_label(answer, labels=CALLS) == label and read_kind(answer, labels=CALLS) == kind


def test_a_related_keyword_of_the_seven_is_not_taken_for_another_class():
    labels = LabelSet(("happiness", "excitement"))
    assert read_label("The speaker is excited.") == "happiness"
    assert read_label("The speaker is excited.", labels=labels) == UNPARSED
    assert read_label("The speaker is joyful.", labels=labels) == "happiness"


@pytest.mark.parametrize("name", ["speech", "high", "spoke", "语音"])
def test_classes_that_could_not_be_read_are_refused(name):
    check_readable(CALLS), check_readable(SEVEN)
    with pytest.raises(ValueError, match=f"class '{name}': answers such as .* could not be read; rename it"):
        check_readable(LabelSet((name, "calm")))


def test_chains_of_thought_name_the_classes():
    levels = dict.fromkeys(("pitch", "loudness", "rate"), "low")
    made = Request("u", "en", "I am calm.", "pleasant_surprise", levels, CALLS)
    text = sentence(made, "explicit")
    assert text.endswith("the emotion was inferred to be pleasant surprise.")
    assert find_problem(made, "explicit", text) is None
    assert "not 'pleasant_surprise'" in find_problem(made, "implicit", "The emotion of this speech is calm.")


def test_the_judge_is_told_the_classes():
    assert judge_prompt("x", CALLS).splitlines()[0].endswith(": calm, frustrated, pleasant_surprise, surprise")
    assert judge_prompt("x") == f"{PROMPT}\n\nx" and PROMPT.endswith(", ".join(EMOTIONS))
    assert read_judgement("Calm.", CALLS) == "calm" and read_judgement("anger", CALLS) == UNPARSED
    assert read_judgement("It is a pleasant surprise", CALLS) == "pleasant_surprise"


def test_scored_answers_are_those_of_the_classes():
    assert short_answers("en", CALLS)[0][2] == "The emotion of this speech is pleasant surprise."
    assert (
        endings("So low: “angry”. It must be pleasant surprise!", "en", CALLS)[0] == "So low: “angry”. It must be calm."
    )
    assert endings("推断情绪为平静。", "zh", CALLS)[3] == "推断情绪为惊讶。"


# ---- stage 0


def spoken(path, seed):
    soundfile.write(path, voice(0.6, seed), 16000)
    return path


def recordings(folder, names=("calm", "frustrated", "anger")):
    for number in range(18):
        emotion, set_name = names[number % 3], ("train", "valid", "test")[number // 6]
        path = spoken(folder / f"{number}.wav", number)
        yield Utterance(set_name, f"s{number // 3}", f"{number:02d}", path, emotion, "en", "")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data with three classes and no transcripts, with chains of thought, and parts of a tiny model."""
    folder = tmp_path_factory.mktemp("own classes")
    write_corpus(recordings(folder), folder / "data", labels="raw")
    labels = read_label_set(folder / "data/train")
    for name in ("train", "valid"):
        emotions = read_table(folder / "data" / name / "utt2emo")
        texts = {i: SENTENCES["implicit"]["en"].format(emotion=labels.word(e, "en")) for i, e in emotions.items()}
        write_table(folder / "data" / name / "cot_implicit", texts)
    make_tiny_models(folder / "data/train", folder, TinyWhisper(32, 1, 2), TinyLlm(32, 2, 2, vocabulary=320), seed=1)
    return folder


@pytest.fixture(scope="module")
def folder(place):
    """The folder of a model with the classes of that data."""
    torch.manual_seed(0)
    connector = ConnectorConfig(dim=32, layers=1, heads=2, feed_forward=64)
    named = {"whisper": str(place / "whisper"), "emotion2vec": None, "llm": str(place / "llm")}
    config = C2SERConfig(connector=connector, style="implicit", lora=LoraSettings(r=4), **named)
    C2SER.build(config, read_label_set(place / "data/train")).save_pretrained(place / "exp/implicit")
    return place / "exp/implicit"


def test_stage_0_writes_the_classes_of_the_corpus(place, tmp_path):
    data = place / "data"
    assert read_json(data / "test" / LABELS) == {"names": ["anger", "calm", "frustrated"]}
    assert not (data / "train/text").exists()
    write_corpus(recordings(place), tmp_path / "kept", Corpus(kept=LabelSet(("frustrated", "calm"))), "raw")
    assert read_label_set(tmp_path / "kept/train").names == ("frustrated", "calm")
    assert len(read_table(tmp_path / "kept/train/rejected")) == 2
    seven = ("sadness", "fear", "anger")
    shutil.copytree(tmp_path / "kept", tmp_path / "seven")
    write_corpus(recordings(place, seven), tmp_path / "seven", labels="raw")
    assert not list(tmp_path.glob(f"seven/*/{LABELS}"))  # also where there was one
    join([Source(data / "train"), Source(data / "valid")], tmp_path / "both")
    assert read_label_set(tmp_path / "both") == read_label_set(data / "train")
    with pytest.raises(ValueError, match="other classes than"):
        join([Source(data / "train"), Source(tmp_path / "seven/valid")], tmp_path / "mixed")


def test_tools_for_data_directories_keep_the_classes(place, root, tmp_path):
    import subprocess

    def run(tool, *words, code=0):
        done = subprocess.run([root / "utils" / tool, *words], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stderr

    data = place / "data"
    run("subset_data_dir.sh", data / "train", "3", tmp_path / "three")
    run("combine_data.sh", tmp_path / "all", data / "train", data / "valid")
    run("split_data.sh", data / "train", "2", tmp_path / "parts")
    for made in (tmp_path / "three", tmp_path / "all", tmp_path / "parts/2/data"):
        assert read_label_set(made) == read_label_set(data / "train")
    (tmp_path / "three" / LABELS).unlink()
    assert "other classes than" in run("combine_data.sh", tmp_path / "x", data / "valid", tmp_path / "three", code=1)


# ---- the model


def test_a_folder_keeps_the_classes(folder, place, tmp_path):
    described = read_json(folder / "config.json")
    assert described["format"] == 4 and described["labels"] == {"names": ["anger", "calm", "frustrated"]}
    assert "Recognises anger, calm, frustrated in speech" in (folder / "README.md").read_text("utf-8")
    export(folder, tmp_path / "out", merge=False)
    model = C2SER.from_pretrained(tmp_path / "out")
    result = model.predict(place / "1.wav")
    assert list(result.probabilities) == list(model.classes) == ["anger", "calm", "frustrated"]
    assert sum(result.probabilities.values()) == pytest.approx(1) and result.emotion in model.classes
    timeline = model.predict(place / "1.wav", segments="none")
    assert (
        timeline.differs == result.differs == (read_label(result.answer, labels=model.network.labels) != result.emotion)
    )
    write_json(tmp_path / "out/config.json", {**described, "labels": {"names": ["a", "a"]}})
    with pytest.raises(ValueError, match="its classes: class 'a': given twice; give it once; copy the model"):
        C2SER.from_pretrained(tmp_path / "out")


def test_an_answer_that_names_an_own_class_does_not_differ():
    from c2ser.recordings.results import Recognition

    said = Recognition("pleasant_surprise", {}, "It is a pleasant surprise.", said="pleasant_surprise")
    assert not said.differs and Recognition("calm", {}, "It is a pleasant surprise.", said="pleasant_surprise").differs


def test_nothing_changes_for_the_seven(folder, place, tmp_path):
    network = C2SER.from_pretrained(folder).network
    network.labels = SEVEN
    C2SER(network).save_pretrained(tmp_path / "seven")
    described = read_json(tmp_path / "seven/config.json")
    assert described["format"] == 3 and "labels" not in described
    tokenizer = network.language.tokenizer
    assert described["tokenizer_fingerprint"] == tokenizer_fingerprint(tokenizer)
    assert tokenizer_fingerprint(tokenizer, LabelSet(("calm", "anger"))) != tokenizer_fingerprint(tokenizer)
    assert C2SER.from_pretrained(tmp_path / "seven").classes == EMOTIONS


def test_training_learns_the_classes(place, folder):
    network = C2SER.from_pretrained(folder).network
    train, valid = (read_items(place / "data" / name, ["implicit"]) for name in ("train", "valid"))
    sizes = BatchConfig(seconds=10.0, utterances=6, tokens=4000), ValidConfig(utterances=6, max_new_tokens=12)
    objective = C2SERObjective(network, "direct", Material(train, valid, sizes[0], None, sizes[1]), 1, LossConfig(1.0))
    assert objective.emotion_head.out_features == 3 and objective.chance == pytest.approx(1 / 3)
    figures = objective(objective.make_batch(objective.load_raw(0)), 0)
    assert torch.isfinite(figures["loss"]) and float(figures["emotion_loss"]) > 0
    network.generate = lambda speech, *words: (["The emotion of this speech is calm."] * len(speech.values), None)
    assert objective.validate(0)["ua"] == pytest.approx(1 / 3)
    assert objective.settings()["labels"] == {"names": ["anger", "calm", "frustrated"]}
    network.labels = SEVEN
    with pytest.raises(ValueError, match="unknown emotion 'calm'; map it to one of anger, .* --labels raw"):
        C2SERObjective(network, "direct", Material(train, valid), 1)


def test_fine_tuning_on_other_classes_learns_those(place, folder, caplog):
    from c2ser.training.models import start

    network = start("finetune", C2SERConfig(), folder, 1, SEVEN)
    assert network.labels == SEVEN and "names anger, calm, frustrated; now it learns anger, happiness" in caplog.text


def test_decoding_and_scoring(place, folder, capsys):
    """Answers, probabilities, labels, scores, the stability report and its pictures, of three classes."""
    data, out = place / "data/test", folder / "decode_test"
    model = C2SER.from_pretrained(folder)
    assert calibrate(model, folder, place / "data/valid", DecodeConfig(max_new_tokens=8)) > 0
    decode(model, data, out / "answer", DecodeConfig(max_new_tokens=8))
    write_table(out / "answer", {i: f"It is {u.emotion}." for i, u in read_data_dir(data).items()})
    scored = place / "exp/implicit_label_score/decode_test"
    assert read_label_set(out) == model.network.labels
    assert {len(row.split()) for row in read_table(out / "utt2prob").values()} == {3}
    extract_main(out / "answer", out / "utt2emo", ChatConfig())
    argmax_main(out / "utt2prob", scored / "utt2emo")
    write_label_set(out, LabelSet(("anger", "calm", "frustrated"), seven={"calm": "neutral", "frustrated": "anger"}))
    score_main(data / "utt2emo", out / "utt2emo", out, data)
    score_main(data / "utt2emo", scored / "utt2emo", scored, data)
    figures = read_json(out / "scores.json")
    assert figures["ua"] == 1 and figures["seven"] == {"ua": 1, "wa": 1, "f1_reference": 1, "utterances": 6}
    assert list(figures["per_emotion"]) == ["anger", "calm", "frustrated"]
    stability_main(data, place / "exp", place / "exp/stability_test")
    found = read_json(place / "exp/stability_test/stability.json")["models"]["implicit"]
    assert found["calibration"]["classes"] == 3 and found["answers"]["invalid"] == 0
    assert (place / "exp/stability_test/reliability.png").exists()
    write_label_set(out, SEVEN)
    with pytest.raises(ValueError, match="unknown emotion 'calm'"):
        score_main(data / "utt2emo", out / "utt2emo", out, data)


def test_predict_prints_a_column_for_each_class(place, folder, capsys):
    from c2ser.bin.predict import main as predict_main

    predict_main([place / "2.wav"], str(folder), segments="none", decode=DecodeConfig(max_new_tokens=4))
    head, row = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert head[6:9] == ["anger", "calm", "frustrated"] and sum(map(float, row[6:9])) == pytest.approx(1, abs=2e-4)


# ---- baselines


def test_the_classifier_learns_the_classes(place, tmp_path):
    from c2ser.baselines.classifier import ClassifierAnswers
    from c2ser.model.head_folder import save_head
    from c2ser.model.head_model import HeadModel
    from c2ser.model.head_network import HeadNetwork
    from c2ser.model.perception import WhisperEncoder
    from c2ser.model.speech_encoders import WhisperStates

    labels = read_label_set(place / "data/train")
    encoder = WhisperStates(WhisperEncoder.from_pretrained(str(place / "whisper"), 0.0))
    save_head(HeadNetwork(encoder, labels.names[1:], 8), tmp_path / "classifier", "emotion", labels, {})
    answers = ClassifierAnswers(HeadModel.from_pretrained(tmp_path / "classifier"))
    found = answers.answer({"u": np.ones(16000, np.float32)}, {"u": "en"})["u"]
    assert answers.labels == labels and found.probabilities.shape == (3,) and found.text in labels
    assert found.probabilities[0] == 0  # no training utterance had it


def test_the_cascade_is_told_the_classes():
    from c2ser.baselines.cascade import turns

    chat = turns("hello", LabelSet(("calm", "anger")))
    assert chat[0]["content"].endswith("one of: calm, anger.") and [m["content"] for m in chat[2::2]] == ["anger"]


def test_kinds_of_data_without_words(place, tmp_path):
    """Implicit chains of thought need no transcripts; explicit ones say what is missing."""
    from c2ser.cot.generate import generate_cot

    data = shutil.copytree(place / "data/train", tmp_path / "train")
    (data / "cot_implicit").unlink()
    generate_cot(data, data / "cot_implicit", "implicit", ChatConfig(), "template", 1, "reject")
    assert "The emotion of this speech is frustrated." in read_table(data / "cot_implicit").values()
    with pytest.raises(
        ValueError, match=r"text is missing and explicit chains of thought quote words; add transcripts"
    ):
        read_items(data, ["explicit"])
    write_json(data / LABELS, json.loads('{"names": ["speech", "calm"]}'))
    with pytest.raises(ValueError, match="class 'speech'"):
        generate_cot(data, data / "cot_implicit", "implicit", ChatConfig(), "template", 1, "reject")
