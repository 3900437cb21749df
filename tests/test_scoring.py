"""Metrics against sklearn and by hand; reports; the entry points that score, which do without torch."""

import os
import re
import subprocess
import sys
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from c2ser.bin import score, show_results
from c2ser.emotions import EMOTIONS, UNPARSED
from c2ser.scoring.faithfulness import explicit_figures
from c2ser.scoring.metrics import scores, timing
from c2ser.scoring.palette import GREY, SERIES, class_looks
from c2ser.scoring.pictures import plot_confusion
from c2ser.scoring.results_page import find_results, markdown
from c2ser.scoring.stability import Decoded, measure_stability
from c2ser.tables import read_json, read_table, write_json, write_table

LABELS = st.sampled_from([*EMOTIONS[:4], UNPARSED])


@given(st.lists(st.tuples(st.sampled_from(EMOTIONS[:3]), LABELS), min_size=1, max_size=60))
def test_figures_are_sklearns(pairs):
    reference = {str(i): true for i, (true, _) in enumerate(pairs)}
    labels = {str(i): said for i, (_, said) in enumerate(pairs)}
    true, said = list(reference.values()), list(labels.values())
    figures = scores(reference, labels)
    assert figures["wa"] == pytest.approx(accuracy_score(true, said))
    assert figures["ua"] == pytest.approx(balanced_accuracy_score(true, said))
    assert figures["f1_reference"] == pytest.approx(
        f1_score(true, said, labels=sorted(set(true)), average="macro", zero_division=0)
    )
    union = sorted({*true, *said} - {UNPARSED})
    assert figures["f1_union"] == pytest.approx(f1_score(true, said, labels=union, average="macro", zero_division=0))
    assert figures["utterances"] == len(pairs) == sum(sum(row.values()) for row in figures["confusion"].values())


def test_silence_never_helps():
    reference = {"a": "anger", "b": "anger", "c": "fear", "d": "fear"}
    figures = scores(reference, {"a": "anger", "b": UNPARSED, "c": "fear"})
    assert (figures["ua"], figures["wa"], figures["unreadable"]) == (0.5, 0.5, 2)
    assert (figures["unparsed"], figures["missing"]) == (1, 1)
    assert figures["confusion"] == {"anger": {"anger": 1, "unparsed": 1}, "fear": {"fear": 1, "unparsed": 1}}
    wrong = scores(reference, {"a": "anger", "b": "fear", "c": "fear", "d": "sadness"})
    assert wrong["f1_union"] < wrong["f1_reference"]


def test_strangers_and_missing_emotions_are_refused():
    with pytest.raises(ValueError, match="^b: labelled, but not in the reference"):
        scores({"a": "fear"}, {"b": "fear"})
    for reference, labels in (({"a": UNPARSED}, {}), ({"a": ""}, {}), ({"a": "fear"}, {"a": ""})):
        with pytest.raises(ValueError, match="^a: no emotion; complete utt2emo"):
            scores(reference, labels)
    with pytest.raises(ValueError, match="no utterance"):
        scores({}, {})


@pytest.mark.parametrize(
    ("reference", "labels"), [({"a": "calm", "b": "fear"}, {"b": "fear"}), ({"a": "fear"}, {"a": "rage"})]
)
def test_classes_beyond_the_seven_are_refused_where_answers_are_scored(tmp_path, reference, labels):
    for folder, table in (("test", reference), ("exp/implicit/decode_test", labels)):
        write_table(tmp_path / folder / "utt2emo", table)
    phrase = "^a: unknown emotion '(calm|rage)'; map it to one of anger, .*fear, or keep .* --labels raw$"
    out = tmp_path / "exp/implicit/decode_test"
    with pytest.raises(ValueError, match=phrase):
        score.main(tmp_path / "test/utt2emo", out / "utt2emo", out)
    assert not (out / "scores.json").exists() and not (out / "confusion.png").exists()
    with pytest.raises(ValueError, match=phrase):
        measure_stability(tmp_path / "test", {"implicit": Decoded(labels, {}, {}, {}, {})})


def test_raw_classes_count_as_emotions_do(tmp_path):
    classes = [*EMOTIONS, "calm"]  # RAVDESS' own eight
    reference = {f"{kind}-{i}": kind for kind in classes for i in range(2)}
    labels = {name: name[:-2] for name in reference} | {"calm-1": "neutral", "fear-0": "calm", "anger-1": "boredom"}
    figures = scores(reference, labels)
    assert figures["ua"] == pytest.approx((5 + 3 * 0.5) / 8) and figures["wa"] == pytest.approx(13 / 16)
    assert list(figures["per_emotion"]) == classes and figures["per_emotion"]["calm"] == 0.5
    assert figures["classes"]["calm"] == {"recall": 0.5, "precision": 0.5, "f1": 0.5, "utterances": 2}
    assert figures["f1_union"] == pytest.approx(figures["f1_reference"] * 8 / 9)  # boredom was said, and never true
    assert figures["confusion"]["calm"] == {"neutral": 1, "calm": 1}
    assert figures["confusion"]["fear"] == {"fear": 1, "calm": 1} and figures["confusion"]["anger"]["boredom"] == 1
    assert list(figures["confusion"]) == classes
    page = markdown({("test", "probe"): figures}, "t")
    assert "Chance with 8 emotions: 12.5 % UA" in page and "| fear | calm |" in page
    heads = axes_of_confusion(figures, tmp_path / "raw.png")
    assert heads == ([*classes[:-1], "boredom", "calm"], classes)
    seven = {name: kind for name, kind in reference.items() if kind != "calm"}
    heads = axes_of_confusion(scores(seven, {**seven, "fear-0": UNPARSED}), tmp_path / "seven.png")
    assert heads == ([*EMOTIONS, "unreadable"], [*EMOTIONS])


def test_a_confusion_shows_percent_beside_counts(tmp_path, monkeypatch):
    seen, savefig = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *p, **k: (seen.append(f.axes[0]), savefig(f, *p, **k)))
    reference = {"a": "anger", "b": "anger", "c": "anger", "d": "fear"}
    plot_confusion(scores(reference, {"a": "anger", "b": "anger", "c": UNPARSED}), "t", tmp_path / "x.png")
    assert [text.get_text() for text in seen[0].texts] == ["2\n67 %", "0", "1\n33 %", "0", "0", "1\n100 %"]


def test_all_pictures_share_colours_and_no_two_emotions_a_marker():
    looks = class_looks(EMOTIONS)
    assert len({look.marker for look in looks.values()}) == len({look.colour for look in looks.values()}) == 7
    wong = "#000000 #E69F00 #56B4E9 #009E73 #F0E442 #0072B2 #D55E00 #CC79A7"  # Nature Methods 8, 441 (2011)
    assert {*SERIES, *(look.colour for look in looks.values())} - {*wong.split()} == {GREY}


def axes_of_confusion(figures, path):
    """Draw a confusion matrix, and return what stands under its columns and beside its rows."""
    seen, savefig = [], Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Figure, "savefig", lambda figure, *p, **k: (seen.append(figure.axes[0]), savefig(figure, *p, **k))
        )
        plot_confusion(figures, "t", path)
    assert path.stat().st_size > 5000
    return tuple(
        [label.get_text() for label in labels] for labels in (seen[0].get_xticklabels(), seen[0].get_yticklabels())
    )


ANSWER = (
    "The speaker spoke at a low pace, with a high tone and medium level: “{}”. … the emotion was inferred to be anger."
)


def test_what_explicit_answers_name():
    answers = {"a": ANSWER.format("Hello there, you"), "b": "It is anger.", "c": ANSWER.format("你好吗")}
    levels = {"a": "high medium low", "b": "low low low", "c": "high high high"}
    figures = explicit_figures(answers, levels, {"a": "hello there you", "b": "one two", "c": "你们好"})
    assert figures["names_all"] == pytest.approx(2 / 3)
    assert figures["level_accuracy"] == pytest.approx(4 / 9)
    assert figures["wer"] == pytest.approx((0 + 2 + 2) / (3 + 2 + 3))


def test_timing():
    assert timing({"a": "10.0 5", "b": "30.0 7"}) == {"ms_mean": 20, "ms_median": 20, "tokens_mean": 6}
    with pytest.raises(ValueError, match="^a: "):
        timing({"a": "10.0"})


def test_report_shows_every_model_and_nothing_that_is_not_there(tmp_path):
    figures = scores({"a": "anger", "b": "fear"}, {"a": "anger", "b": "anger"})
    write_json(tmp_path / "implicit/decode_test/scores.json", {**figures, "ms_mean": 12.34})
    write_json(tmp_path / "probe/decode_test/scores.json", figures)
    page = markdown(find_results(tmp_path), "title")
    assert "| implicit | 50.0 | 50.0 |" in page and "| probe |" in page and "| – |" in page and "WER %" not in page
    assert "Chance with 2 emotions: 50.0 % UA" in page
    with pytest.raises(ValueError, match="no scores.json"):
        markdown({}, "title")


def test_the_page_begins_with_the_best_model_of_each_set_and_shows_the_pictures_that_exist(tmp_path):
    rows = {"implicit": 0.5, "implicit_label_score": 0.75, "probe": 0.25}
    shared = {"wa": 0.5, "f1_reference": 0.5, "per_emotion": dict.fromkeys(EMOTIONS, 0.5), "utterances": 80}
    for model, ua in rows.items():
        intervals = {"ua": [ua - 0.1, ua + 0.1]}
        figures = {**shared, "ua": ua, "unreadable": 0, "speakers": 4, "intervals": intervals}
        write_json(tmp_path / f"exp/{model}/decode_a set/scores.json", figures)
    page = markdown(find_results(tmp_path / "exp"), "t")
    headline = (
        "On **a set** the best model is **implicit** by its most probable label: UA 75.0 % (95 % interval 65.0 to "
        "85.0 %), measured on 80 utterances of 4 speakers. Its answers in words reach 50.0 %. "
        "Chance with 7 emotions: 14.3 % UA."
    )
    assert page.startswith(f"# t\n\n{headline}\n\n## a set\n") and "![" not in page
    write_json(tmp_path / "exp/probe/decode_b/scores.json", {**shared, "ua": 0.4, "unreadable": 0})
    pictures = ("implicit/decode_a set/confusion.png", "comparison_b/per_emotion.png", "implicit/curves.png")
    for name in (*pictures, "implicit/decode_a set/notes.png", "implicit_label_score/decode_a set/confusion.png"):
        (tmp_path / "exp" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "exp" / name).touch()
    show_results.main(tmp_path / "exp", tmp_path / "exp/RESULTS.md", "t")
    page = (tmp_path / "exp/RESULTS.md").read_text()
    assert f"\n- {headline}\n- On **b** the best model is **probe**: UA 40.0 %, measured on 80 utterances. " in page
    links = re.findall(r"^!\[\w+\]\((.+)\)$", page, re.MULTILINE)
    assert [unquote(link) for link in links] == list(pictures) and "a%20set" in links[0]
    assert page.index("## b\n") < page.index("comparison_b") < page.index("## Training\n")
    show_results.main(tmp_path / "exp", tmp_path / "page.md")
    assert "](exp/comparison_b/per_emotion.png)" in (tmp_path / "page.md").read_text()


def test_languages_are_shown_where_there_are_several_and_the_judge_where_there_is_one(tmp_path):
    names = [f"s{n % 4}-{n:02}" for n in range(24)]
    reference = {name: EMOTIONS[n % 2] for n, name in enumerate(names)}
    data, out = tmp_path / "data/test", tmp_path / "exp/implicit/decode_test"
    write_table(data / "utt2emo", reference)
    write_table(data / "utt2spk", {name: name[:2] for name in names})
    write_table(data / "utt2lang", {name: ("en", "zh")[n % 4 > 1] for n, name in enumerate(names)})
    write_table(data / "utt2dur", {name: f"{1 + n % 2 * 3}.0" for n, name in enumerate(names)})
    write_table(out / "utt2emo", {name: "fear" if n in (0, 2, 6) else reference[name] for n, name in enumerate(names)})
    write_table(out / "utt2judge", reference)
    score.main(data / "utt2emo", out / "utt2emo", out, data, judge=out / "utt2judge")
    figures = read_json(out / "scores.json")
    assert set(figures["languages"]) == {"en", "zh"} and list(figures["durations"]) == ["under 2 s", "2 to 5 s"]
    assert (out / "durations.png").stat().st_size > 5000
    assert figures["judge"]["gap_ua"] == pytest.approx(1 - figures["ua"])
    page = markdown(find_results(tmp_path / "exp"), "t")
    row = figures["languages"]["zh"]
    low, high = (100 * end for end in row["intervals"]["ua"])
    assert f"| implicit, zh | {100 * row['ua']:.1f} [{low:.1f}, {high:.1f}] |" in page and low < high
    assert (
        "judge: UA % | judge minus parser |" in page
        and f"| 100.0 [100.0, 100.0] | {100 * (1 - figures['ua']):.1f} [" in page
    )
    write_table(data / "utt2lang", dict.fromkeys(names, "en"))
    score.main(data / "utt2emo", out / "utt2emo", out, data)
    page = markdown(find_results(tmp_path / "exp"), "t")
    assert "implicit, en" not in page and "judge minus" not in page


NO_TORCH = """
import sys, runpy
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchaudio", "transformers"):
            raise ImportError(f"{name} must not be needed here")
sys.meta_path.insert(0, Refuse())
name = sys.argv.pop(1)
runpy.run_module(f"c2ser.bin.{name}", run_name="__main__", alter_sys=True)
"""


def test_entry_points_work_without_torch(tmp_path, root):
    def entry(name, *words):
        command = [sys.executable, "-c", NO_TORCH, name, *map(str, words)]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    folder = tmp_path / "exp/explicit/decode_a set"
    folder.mkdir(parents=True)
    (tmp_path / "utt2emo").write_text("u-1 anger\nu-2 fear\n")
    (tmp_path / "utt2level").write_text("u-1 high medium low\nu-2 low low low\n")
    (tmp_path / "text").write_text("u-1 hello\nu-2 you\n")
    (folder / "answer").write_text(f"u-1 {ANSWER.format('hello')}\nu-2 who knows\n")
    (folder / "utt2ms").write_text("u-1 12.0 30\nu-2 14.0 3\n")
    entry("extract_labels", "--answers", folder / "answer", "--out", folder / "utt2emo")
    assert read_table(folder / "utt2emo") == {"u-1": "anger", "u-2": "unparsed"}
    named = ["--answers", folder / "answer", "--levels", tmp_path / "utt2level", "--text", tmp_path / "text"]
    words = ["--reference", tmp_path / "utt2emo", "--labels", folder / "utt2emo", "--times", folder / "utt2ms"]
    entry("score", *words, "--out", folder, *named)
    figures = read_json(folder / "scores.json")
    assert figures["ua"] == 0.5 and figures["ms_mean"] == 13 and figures["names_all"] == 0.5
    assert (folder / "confusion.png").stat().st_size > 5000
    shown = entry("show_results", "--exp", tmp_path / "exp", "--out", tmp_path / "exp/RESULTS.md")
    assert shown.strip() == (tmp_path / "exp/RESULTS.md").read_text().strip() and "## a set" in shown
    for name in ("compute_stats", "assign_levels", "generate_cot"):
        assert "--config" in entry(name, "--help")
