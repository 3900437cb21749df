"""The stability report: each figure against a case worked out by hand, and the report from what is there."""

import itertools
import math
import time

import numpy as np
import pytest
import soundfile
from entry import run_entry

from c2ser.audio import SAMPLE_RATE
from c2ser.corpus import read_data_dir
from c2ser.cot.prompts import PARAPHRASES, instruction
from c2ser.data.perturb import perturb, read_perturbation
from c2ser.emotions import EMOTIONS, UNPARSED
from c2ser.scoring.agreement import agreement, changes, flip_intervals, flip_rate, reader_gap, same_text
from c2ser.scoring.bootstrap import interval
from c2ser.scoring.calibration import calibration, reliability, selective
from c2ser.scoring.faithfulness import answer_kinds, level_figures, rationale_figures, transcript_figures
from c2ser.scoring.groups import duration_group, in_parts, slices
from c2ser.scoring.metrics import scores
from c2ser.scoring.stability import explains, measure_stability, read_decoded
from c2ser.scoring.stability_report import report_page
from c2ser.tables import read_json, read_table, write_table

ANSWER = "The speaker spoke at a {} pace, with a {} tone and {} level: “{}”. The emotion was inferred to be {}."


def test_kinds_of_answers_add_up_to_the_invalid():
    reference = dict.fromkeys("abcdefgh", "anger") | {"i": "fear"}
    answers = {
        "a": "It is anger.",
        "b": "",
        "c": "anger or fear",
        "d": "not angry",
        "e": "He is bored.",
        "f": "Sadness.",
    }
    answers |= {"g": "Sorry, I cannot help.", "h": "“anger”"}
    labels = {"a": "anger", "f": "sadness"} | dict.fromkeys("bcdegh", UNPARSED)
    kinds = answer_kinds(answers, reference, labels, {})
    assert kinds == pytest.approx(
        {"invalid": 8 / 9, "unreadable": 7 / 9}
        | dict.fromkeys(("missing", "out_of_set", "empty", "several", "denied", "foreign", "refusal", "nothing"), 1 / 9)
    )


def test_transcripts_by_word_or_character():
    texts = {"a": "one two three four", "b": "你好 吗", "c": "!?", "d": "one two"}
    languages = {"a": "en", "b": "zh", "c": "en", "d": "en"}
    answers = {"a": "“One, two: free four five.” Anger.", "b": "“你好”", "c": "“hm”", "d": "anger"}
    figures = transcript_figures(answers, texts, languages)
    assert figures["quoted"] == pytest.approx(2 / 3)
    assert figures["wer"] == pytest.approx((1 + 1 + 2) / 6) and figures["wer_insertions"] == pytest.approx(1 / 6)
    assert figures["cer"] == pytest.approx(1 / 3) and figures["cer_insertions"] == 0
    assert transcript_figures({"c": "“hm”"}, texts, languages) == {}


def test_levels_by_attribute():
    levels = {"a": "high low low", "b": "high low medium", "c": "low low high"}  # pitch, loudness, rate
    answers = {
        "a": ANSWER.format("low", "high", "medium", "x", "fear"),
        "b": ANSWER.format("high", "high", "low", "x", "fear"),
        "c": "The tone is high. Fear.",
    }
    figures = level_figures(answers, levels)
    assert figures["pitch"] == pytest.approx({"stated": 1, "balanced_accuracy": (1 + 0) / 2, "contradicted": 1 / 3})
    assert figures["loudness"] == pytest.approx({"stated": 2 / 3, "balanced_accuracy": 1 / 3, "contradicted": 1 / 2})
    assert figures["rate"] == pytest.approx({"stated": 2 / 3, "balanced_accuracy": 1 / 3, "contradicted": 1 / 2})
    assert "contradicted" not in level_figures({"a": "fear"}, levels)["pitch"]


def test_rationales():
    rationales = {"a": "anger", "b": "fear", "c": UNPARSED, "d": "anger"}
    labels = {"a": "anger", "b": "anger", "c": "anger", "d": UNPARSED}
    assert rationale_figures(rationales, labels) == {"compared": 2, "agreement": 0.5}
    assert rationale_figures({"c": UNPARSED}, labels) == {"compared": 0}


def test_flips_count_every_change():
    labels = {"a": "anger", "b": "fear", "c": UNPARSED, "d": "anger"}
    assert flip_rate(labels, labels) == 0
    assert flip_rate(labels, {"a": "fear", "b": "fear", "c": UNPARSED}) == pytest.approx(1 / 2)  # a, and d is missing
    assert flip_rate(labels, {"c": "anger", "a": "anger", "b": "fear", "d": "anger"}) == pytest.approx(1 / 4)
    with pytest.raises(ValueError, match="no utterance in common"):
        flip_rate(labels, {"z": "anger"})


def test_agreement_is_cohens():
    first = dict(zip("abcd", ["anger", "anger", "fear", "fear"], strict=True))
    second = dict(zip("abcd", ["anger", "fear", "fear", "fear"], strict=True))
    found = agreement(first, second)  # observed 3/4, by chance 1/2 * 1/4 + 1/2 * 3/4 = 1/2
    assert found == pytest.approx({"agreement": 0.75, "kappa": 0.5, "utterances": 4})
    assert agreement(first, first)["kappa"] == 1 == agreement({"a": "fear"}, {"a": "fear"})["kappa"]


def test_two_readers():
    reference = {"a": "anger", "b": "anger", "c": "fear", "d": "fear"}
    parsed = {"a": "anger", "b": UNPARSED, "c": "fear", "d": UNPARSED}
    judged = {"a": "anger", "b": "anger", "c": "anger", "d": UNPARSED}
    gap = reader_gap(reference, parsed, judged)
    assert (gap["ua"], gap["gap_ua"], gap["wa"], gap["gap_wa"], gap["differ"]) == (0.5, 0.0, 0.5, 0.0, 2)
    assert gap["kappa"] == pytest.approx((2 / 4 - (3 / 16 + 0 + 2 / 16)) / (1 - 5 / 16))
    assert gap["unreadable"] == 1 and reader_gap(reference, parsed, parsed)["kappa"] == 1 and "intervals" not in gap
    ends = reader_gap(reference, parsed, judged, {"a": "s", "b": "s", "c": "t", "d": "t"})["intervals"]
    # s alone gains a half by the judge, t alone loses one; of a quarter of the draws each
    assert ends["gap_wa"] == [-0.5, 0.5] and ends["wa"] == [0, 1]


def test_same_text_is_chance_for_who_only_reads():
    reference = {"a": "anger", "b": "fear", "c": "anger", "d": "fear", "e": "sadness", "f": "anger", "g": "anger"}
    texts = {"a": "Hello, you!", "b": "hello you", "c": "no", "d": "No.", "e": "no", "f": "alone", "g": ""}
    reads = dict.fromkeys("abcdefg", "anger")
    found = same_text(reference, reads, texts)
    assert (found["texts"], found["utterances"]) == (2, 5)
    assert found["accuracy"] == found["chance"] == pytest.approx((1 / 2 + 1 / 3) / 2) and found["skill"] == 0
    hears = same_text(reference, reference, texts)
    assert (hears["accuracy"], hears["skill"]) == (1, 1)
    assert same_text({"a": "anger", "f": "fear"}, reads, texts) is None


def test_reliability_groups_are_equal_in_size():
    bins = reliability(np.array([0.9, 0.5, 0.7, 0.6]), np.array([True, False, True, False]), 2)
    assert bins == [
        {"confidence": pytest.approx(0.55), "accuracy": 0.0, "utterances": 2},
        {"confidence": pytest.approx(0.8), "accuracy": 1.0, "utterances": 2},
    ]
    assert [b["utterances"] for b in reliability(np.arange(32) / 32, np.ones(32, bool))] == [3, 3] + [2] * 13


def test_selective_by_hand():
    found = selective(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, True]))
    assert found["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4) and found["coverage_at_90"] == 0.25
    same = selective(np.array([0.5, 0.5]), np.array([True, False]))  # no order among equals
    assert same == pytest.approx({"aurc": 0.5, "coverage_at_90": 0.0})
    assert selective(np.full(3, 0.5), np.array([True] * 3)) == pytest.approx({"aurc": 0, "coverage_at_90": 1})


def test_calibration_by_hand():
    rows = {"a": "0.7 0.3 0 0 0 0 0", "b": "0.6 0.4 0 0 0 0 0", "stranger": "1 0 0 0 0 0 0"}
    figures = calibration({"a": "anger", "b": "happiness"}, rows)
    assert figures["utterances"] == 2 and figures["accuracy"] == 0.5
    assert figures["ece"] == pytest.approx((0.3 + 0.6) / 2)  # two utterances are two groups
    assert figures["brier"] == pytest.approx((0.3**2 + 0.3**2 + 0.6**2 + 0.6**2) / 2)
    assert figures["nll"] == pytest.approx(-(np.log(0.7) + np.log(0.4)) / 2)
    assert figures["aurc"] == pytest.approx((0 + 0.5) / 2)


def test_a_perfectly_calibrated_model_has_little_error():
    rng = np.random.default_rng(0)
    matrix = rng.dirichlet(np.full(7, 0.4), 4000)
    true = [EMOTIONS[rng.choice(7, p=row)] for row in matrix]
    rows = {f"u{i}": " ".join(map(str, row)) for i, row in enumerate(matrix)}
    assert calibration({f"u{i}": emotion for i, emotion in enumerate(true)}, rows)["ece"] < 0.03


@pytest.mark.parametrize("row", ["0.5 0.5", "1 1 0 0 0 0 0", "1.2 -0.2 0 0 0 0 0", "a b c d e f g"])
def test_what_are_no_probabilities_is_refused(row):
    with pytest.raises(ValueError, match="^u: .*decode again"):
        calibration({"u": "anger"}, {"u": row})


def test_slices():
    reference = {"a": "anger", "b": "fear", "c": "fear", "d": "fear", "e": "fear"}
    labels = {"a": "anger", "b": "anger", "c": "fear"}
    languages = {"a": "en", "b": "en", "c": "zh", "d": "", "e": "zh"}
    found = slices(reference, labels, languages, {"a": "s", "b": "s", "c": "t", "d": "t", "e": "u"})
    assert found["en"] == {"ua": 0.5, "wa": 0.5, "f1_reference": pytest.approx(1 / 3), "utterances": 2, "unreadable": 0}
    assert found["zh"]["ua"] == 0.5 and list(found) == ["en", "zh"] and found["zh"]["unreadable"] == 1
    # a quarter of the draws takes t alone, who is always right, a quarter u alone
    assert found["zh"]["intervals"] == dict.fromkeys(("ua", "wa", "f1_reference"), [0, 1])
    groups = [duration_group(seconds) for seconds in (0.1, 1.99, 2, 5, 10, 99)]
    assert groups == ["under 2 s", "under 2 s", "2 to 5 s", "5 to 10 s", "10 s and more", "10 s and more"]


def many_utterances(number=10000, speakers=100):
    """A set of two languages: reference, labels, and the tables that say which utterance belongs where."""
    rng = np.random.default_rng(3)
    names = [f"u{n:05}" for n in range(number)]
    reference = {name: EMOTIONS[n % 7] for n, name in enumerate(names)}
    labels = {name: emotion if rng.random() < 0.6 else "fear" for name, emotion in reference.items()}
    tables = {
        "utt2spk": {name: f"s{n % speakers}" for n, name in enumerate(names)},
        "utt2lang": {name: "zh" if n % speakers < 20 else "en" for n, name in enumerate(names)},
        "utt2dur": {name: f"{rng.uniform(0.5, 12):.3f}" for name in names},
    }
    return reference, labels, tables


def test_parts_of_a_set_are_sets_of_their_own_and_quickly_scored():
    reference, labels, tables = many_utterances()
    start = time.process_time()
    found = in_parts(reference, labels, tables)
    assert time.process_time() - start < 3  # under 1 on a quiet core
    assert list(found["durations"]) == ["under 2 s", "2 to 5 s", "5 to 10 s", "10 s and more"]
    assert sum(row["utterances"] for row in found["durations"].values()) == 10000
    chinese = {name: emotion for name, emotion in reference.items() if tables["utt2lang"][name] == "zh"}
    said = {name: labels[name] for name in chinese}
    alone = interval(chinese, said, tables["utt2spk"], "wa")
    assert found["languages"]["zh"]["wa"] == pytest.approx(alone.value) == scores(chinese, said)["wa"]
    assert found["languages"]["zh"]["intervals"]["wa"] == [alone.low, alone.high]
    one = in_parts(reference, labels, {**tables, "utt2spk": dict.fromkeys(reference, "s"), "utt2dur": {}})
    assert "intervals" not in one["languages"]["en"] and one["durations"] == {}


def every_draw(speaker, *tables):
    """Yield how many draws take the same speakers, and the tables with these, as copies of the utterances."""
    names = sorted(set(speaker.values()))
    for drawn in itertools.combinations_with_replacement(names, len(names)):
        times = math.factorial(len(names)) // math.prod(math.factorial(drawn.count(name)) for name in names)
        chosen = [(copy, u) for copy, name in enumerate(drawn) for u in speaker if speaker[u] == name]
        yield times, *({f"{copy}-{u}": table[u] for copy, u in chosen if u in table} for table in tables)


@pytest.fixture
def two_ways():
    """Emotions of four speakers' utterances, labels without and with a change, speakers; one label is missing."""
    rng = np.random.default_rng(2)
    speaker = {f"u{n:02}": f"s{n % 4}" for n in range(31)}
    reference = {u: EMOTIONS[n % 3] for n, u in enumerate(speaker)}
    labels = {u: emotion if rng.random() < 0.8 else "fear" for u, emotion in reference.items()}
    rates = dict(zip("0123", (0.0, 0.2, 0.5, 0.9), strict=True))  # speakers differ in how often they flip
    others = {u: UNPARSED if rng.random() < rates[speaker[u][1]] else label for u, label in labels.items()}
    del others["u03"]
    return reference, labels, others, speaker


def test_intervals_of_flips_and_agreement_are_those_of_all_draws(two_ways):
    reference, labels, others, speaker = two_ways
    flips, gains, alike, kappas = [], [], [], []
    for times, true, first, second in every_draw(speaker, reference, labels, others):
        flips += [flip_rate(first, second)] * times
        gains += [scores(true, second)["ua"] - scores(true, first)["ua"]] * times
        both = agreement(first, second)
        alike, kappas = alike + [both["agreement"]] * times, kappas + [both["kappa"]] * times
    assert len(flips) == 4**4
    row = changes(reference, labels, {"noise20": others}, speaker)["variants"]["noise20"]
    assert row["flips"] == flip_rate(labels, others) > 0.2 and row["ua_change"] < 0
    assert row["ua"] == scores(reference, others)["ua"]
    both = agreement(labels, others, speaker)
    for found, draws in (
        (row["intervals"]["flips"], flips), (row["intervals"]["ua_change"], gains),
        (both["intervals"]["agreement"], alike), (both["intervals"]["kappa"], kappas),
    ):  # fmt: skip
        assert found == pytest.approx(np.quantile(draws, [0.025, 0.975]).tolist(), abs=0.02)
        assert found[1] - found[0] > 0.1


def test_flips_of_three_speakers_by_hand():
    speaker = dict(zip("abcdef", "112233", strict=True))
    labels = dict.fromkeys(speaker, "fear")
    first, second = labels | dict.fromkeys("cef", "anger"), labels | dict.fromkeys("abd", "anger")
    one, mean = flip_intervals(labels, [first], speaker)
    # one draw in 27 takes speaker 1 alone, who never flips, and one takes 3, who always does: 3.7 % each
    assert (one.value, one.low, one.high) == (0.5, 0, 1) and mean == one
    one, other, mean = flip_intervals(labels, [first, second], speaker)
    # what the first flips the second does not: their mean is one half whoever is drawn
    assert (one.low, other.high) == (0, 1) and (mean.low, mean.value, mean.high) == (0.5, 0.5, 0.5)


def test_wordings_are_drawn_together_and_one_speaker_has_no_interval(two_ways):
    reference, labels, others, speaker = two_ways
    variants = {"wording1": others, "wording2": labels, "gain6": others}
    found = changes(reference, labels, variants, speaker)
    half = [end / 2 for end in found["variants"]["wording1"]["intervals"]["flips"]]
    assert found["wordings"]["intervals"]["flips"] == pytest.approx(half)
    assert found["wordings"]["worst_ua"] == found["variants"]["gain6"]["ua"] and found["wordings"]["number"] == 2
    assert found["variants"]["wording2"]["intervals"] == {"flips": [0, 0], "ua_change": [0, 0]}
    alone = changes(reference, labels, variants, dict.fromkeys(speaker, "s"))
    assert "intervals" not in alone["variants"]["gain6"] and "intervals" not in alone["wordings"]
    assert "intervals" not in agreement(labels, others, dict.fromkeys(speaker, "s"))
    assert "intervals" not in changes(reference, labels, variants, {})["wordings"]
    with pytest.raises(ValueError, match="^u04: no speaker; complete utt2spk"):
        agreement(labels, others, {u: s for u, s in speaker.items() if u != "u04"})


# --- perturbed data


@pytest.fixture
def speech(tmp_path):
    """A data directory of three sine tones, one of which is cut off after it was written down."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for number in range(3):
        tone = (0.9 * np.sin(2 * np.pi * 440 * time)).astype("float32")
        soundfile.write(tmp_path / f"{number}.wav", tone, SAMPLE_RATE)
    folder, names = tmp_path / "tones", [f"s{number}-x" for number in range(3)]
    write_table(folder / "wav.scp", {name: str(tmp_path / f"{name[1]}.wav") for name in names})
    write_table(folder / "utt2spk", {name: name[:2] for name in names})
    write_table(folder / "utt2emo", dict(zip(names, EMOTIONS, strict=False)))
    (tmp_path / "2.wav").write_bytes((tmp_path / "2.wav").read_bytes()[:9000])
    return folder


def frequency(wave):
    return np.abs(np.fft.rfft(wave)).argmax() * SAMPLE_RATE / len(wave)


def test_perturbed_copies_keep_names_and_labels(speech, tmp_path):
    waves = {}
    for name in ("noise20", "gain6", "gain-6", "speed0.8", "hum10", "crosstalk10", "offset5", "clip10"):
        perturb(speech, tmp_path / name, name)
        copy = read_data_dir(tmp_path / name)
        assert list(copy) == ["s0-x", "s1-x"] and [u.emotion for u in copy.values()] == ["anger", "happiness"]
        assert list(read_table(tmp_path / name / "rejected")) == ["s2-x"]
        waves[name] = {i: soundfile.read(u.wav)[0] for i, u in copy.items()}
        assert copy["s0-x"].duration == pytest.approx(len(waves[name]["s0-x"]) / SAMPLE_RATE, abs=1e-3)
    clean = soundfile.read(read_data_dir(speech)["s0-x"].wav)[0]
    noise = waves["noise20"]["s0-x"] - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(noise**2)) == pytest.approx(20, abs=0.2)
    assert not np.allclose(noise, waves["noise20"]["s1-x"] - clean)
    assert (
        waves["gain6"]["s0-x"] == pytest.approx(clean * 10 ** (6 / 20), abs=1e-6) and waves["gain6"]["s0-x"].max() > 1
    )
    assert waves["gain-6"]["s0-x"] == pytest.approx(clean * 10 ** (-6 / 20), abs=1e-6)
    hum = waves["hum10"]["s0-x"] - clean
    assert frequency(hum) == 50 and 10 * np.log10(np.mean(clean**2) / np.mean(hum**2)) == pytest.approx(10, abs=1e-3)
    assert waves["offset5"]["s0-x"] == pytest.approx(clean + 0.05, abs=1e-6)
    cut = np.abs(waves["clip10"]["s0-x"])
    assert np.mean(cut >= cut.max() - 1e-6) == pytest.approx(0.1, abs=0.02) and cut.max() < np.abs(clean).max()
    slow = waves["speed0.8"]["s0-x"]
    assert len(slow) == SAMPLE_RATE / 0.8 and frequency(slow) == pytest.approx(440 * 0.8, abs=1)
    voice = waves["crosstalk10"]["s1-x"] - soundfile.read(read_data_dir(speech)["s1-x"].wav)[0]
    assert abs(np.corrcoef(voice, np.resize(clean, len(voice)))[0, 1]) == pytest.approx(1, abs=1e-3)
    perturb(speech, tmp_path / "again", "noise20")
    for number in range(2):
        name = f"wav/{number:07}.wav"
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "noise20" / name).read_bytes()


@pytest.mark.parametrize(
    "name", ["noise", "echo3", "speed0", "speed-1", "gain100", "noise20;rm", "gain1e9", "../noise20", "hum", "clip100"]
)
def test_other_perturbations_are_refused(name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        read_perturbation(name)


def test_wordings():
    assert instruction("explicit") == instruction("explicit", 0) != instruction("explicit", 10)
    for style, texts in PARAPHRASES.items():
        assert len({instruction(style), *texts}) == 11
    with pytest.raises(ValueError, match="wording 11: there is no such wording; give 0 to 10"):
        instruction("implicit", 11)


# --- the report


@pytest.fixture
def decoded(tmp_path):
    """A set of 60 utterances and what two models and a probe said of it."""
    rng = np.random.default_rng(1)
    names = [f"s{n % 6}-{n:02}" for n in range(60)]
    emotions = {name: EMOTIONS[n % 3] for n, name in enumerate(names)}
    data = tmp_path / "data/test"
    write_table(data / "utt2emo", emotions)
    write_table(data / "utt2spk", {name: name[:2] for name in names})
    write_table(data / "utt2lang", {name: ("en", "zh")[n % 2] for n, name in enumerate(names)})
    write_table(data / "text", {name: ("hello there", "你好吗")[n % 2] for n, name in enumerate(names)})
    write_table(data / "utt2level", dict.fromkeys(names, "high medium low"))
    for model in ("explicit", "implicit"):
        said = {name: emotion if rng.random() < 0.7 else "fear" for name, emotion in emotions.items()}
        folder = tmp_path / "exp" / model / "decode_test"
        text = {"explicit": ANSWER.format("low", "high", "medium", "hello there", "{}"), "implicit": "It is {}."}[model]
        write_table(folder / "answer", {name: text.format(emotion) for name, emotion in said.items()})
        write_table(folder / "utt2emo", said)
        rows = {}
        for name, emotion in said.items():
            row = rng.dirichlet(np.full(7, 0.3)) * 0.5
            row[EMOTIONS.index(emotion)] += 0.5
            rows[name] = " ".join(f"{p:.6f}" for p in row)
        write_table(folder / "utt2prob", rows)
        for variant in ("noise20", "wording1", "wording2", "a-set-of-its-own"):
            flipped = {name: "anger" if rng.random() < 0.2 else emotion for name, emotion in said.items()}
            write_table(folder.with_name(f"decode_test-{variant}") / "utt2emo", flipped)
    write_table(tmp_path / "exp/probe/decode_test/utt2emo", emotions)
    return tmp_path


def test_the_report_holds_what_is_there_and_nothing_else(decoded):
    data, exp = decoded / "data/test", decoded / "exp"
    report = measure_stability(data, read_decoded(exp, "test"))
    explicit, implicit, probe = (report["models"][name] for name in ("explicit", "implicit", "probe"))
    assert set(probe) == {"ua", "wa", "f1_reference", "f1_union", "intervals", "languages", "same_text"}
    assert probe["ua"] == probe["languages"]["zh"]["ua"] == 1
    assert set(implicit) - set(probe) == {"answers", "calibration", "variants", "wordings"}
    assert set(explicit) - set(implicit) == {"transcripts", "levels", "rationales"}
    assert explicit["levels"]["pitch"]["balanced_accuracy"] == 1 and explicit["transcripts"]["wer"] == 0
    assert explicit["answers"]["out_of_set"] > 0.1 and explicit["answers"]["empty"] == 0
    assert set(explicit["variants"]) == {"noise20", "wording1", "wording2"}
    asked = [explicit["variants"][name] for name in ("wording1", "wording2")]
    assert explicit["wordings"]["flips"] == pytest.approx((asked[0]["flips"] + asked[1]["flips"]) / 2)
    assert explicit["wordings"]["worst_ua"] == min(explicit["ua"], asked[0]["ua"], asked[1]["ua"]) < explicit["ua"]
    low, high = report["explicit_implicit"]["intervals"]["agreement"]
    assert 0 < low < report["explicit_implicit"]["agreement"] < high < 1
    for row in (explicit["variants"]["noise20"], explicit["wordings"]):
        low, high = row["intervals"]["flips"]
        assert low < row["flips"] < high
    page = report_page(report)
    assert "| WER % of it | 0.0 | – | – |" in page and "judge" not in page and "nan" not in page
    shown = explicit["variants"]["noise20"]
    ends = shown["intervals"]["flips"]
    assert (
        f"| labels that noise20 flips % | {100 * shown['flips']:.1f} [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}] |"
        in page
    )
    assert "kappa 0." in page and page.count("| UA points gained by") == 3
    assert "| UA % of en |" in page and "UA % of under" not in page
    assert "| labels that noise20 flips % |" in page and "refusals" in page
    with pytest.raises(ValueError, match="run stages 8 and 9 first"):
        read_decoded(exp, "other")


def test_judges_labels_of_answers_and_rationales_are_taken(decoded):
    folder = decoded / "exp/explicit/decode_test"
    labels = read_table(folder / "utt2emo")
    write_table(folder / "utt2judge", labels)
    write_table(folder / "utt2rationale", dict.fromkeys(labels, "anger"))
    report = measure_stability(decoded / "data/test", read_decoded(decoded / "exp", "test"))["models"]["explicit"]
    assert report["judge"]["gap_ua"] == 0 and report["judge"]["kappa"] == 1
    share = sum(label == "anger" for label in labels.values()) / len(labels)
    assert report["rationales"] == {"compared": 60, "agreement": pytest.approx(share)}


def test_explicit_answers_are_known_by_what_they_say():
    assert explains({"a": "“hm”", "b": "fear"}) and explains({"a": "The tone is high."})
    assert not explains({"a": "fear", "b": "fear", "c": "“hm”"}) and not explains({})


def test_entry_points(decoded, speech, root):
    def entry(name, *words):
        return run_entry(name, *words)

    out = decoded / "exp/stability_test"
    done = entry("measure_stability", "--data", decoded / "data/test", "--exp", decoded / "exp", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (out / "stability.md").read_text().strip()
    assert set(read_json(out / "stability.json")["models"]) == {"explicit", "implicit", "probe"}
    assert all((out / picture).stat().st_size > 8000 for picture in ("reliability.png", "flips.png"))
    done = entry("perturb_data", "--data", speech, "--out", decoded / "noisy", "--perturbation", "noise20")
    assert done.returncode == 0 and len(read_data_dir(decoded / "noisy")) == 2, done.stderr
    done = entry("perturb_data", "--data", speech, "--out", decoded / "x", "--perturbation", "echo")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and not (decoded / "x").exists()
