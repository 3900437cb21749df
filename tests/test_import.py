"""Tables of recordings as people have them: what becomes of each, and which line says what is wrong with it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_corpora import recipe, stage0

from c2ser.__main__ import main as command
from c2ser.corpus import read_data_dir
from c2ser.emotions import EMOTIONS
from c2ser.label_sets import LabelSet, read_label_set, write_label_set
from c2ser.prep.audio_paths import file_names, locate
from c2ser.prep.columns import Columns
from c2ser.prep.count_report import counts
from c2ser.prep.import_tables import import_tables
from c2ser.prep.label_names import LabelNames
from c2ser.prep.layout import find_top
from c2ser.tables import read_table

LABELS = ("angry", "Happy", " sad ", "NEUTRAL")


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def tone(path: Path, seconds: float = 0.5, rate: int = 8000, hertz: float = 300) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate), rate)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with six speakers of four files each."""
    for speaker in range(6):
        for label in LABELS:
            tone(tmp_path / f"my wav/s{speaker}/{label.strip()}.wav")
    return tmp_path


def rows(speakers=range(6)):
    return [[f"my wav/s{n}/{label.strip()}.wav", label, f"00{n}", "Well, yes."] for n in speakers for label in LABELS]


def write(path: Path, lines, head=("file", "emotion", "speaker", "text"), delimiter=",", encoding="utf-8") -> Path:
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([head, *lines])
    return path


def load(table, *, out=None, **options):
    out = out or Path(table).parent / "data"
    options.setdefault("columns", Columns())
    return import_tables([Path(table)], out, **options), out


def all_of(out: Path, name: str) -> dict[str, str]:
    """Return the lines of a table of all sets."""
    tables = [read_table(path) for path in sorted(out.glob(f"*/{name}"))]
    return {utterance: value for table in tables for utterance, value in table.items()}


def refused(caplog, *words) -> str:
    """Run the command; return the one line with which it ends."""
    caplog.clear()
    with pytest.raises(SystemExit) as caught:
        command(["import", *map(str, words)])
    assert caught.value.code == 1
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1 and "\n" not in errors[0]
    return errors[0]


# ---- what a table becomes


def test_a_plain_table(folder, root):
    written, out = load(write(folder / "my.csv", rows()), language="en")
    assert {name: len(part) for name, part in written.kept.items()} == {"test": 8, "train": 12, "valid": 4}
    emotions = all_of(out, "utt2emo")
    assert emotions["000-s0_angry"] == "anger"
    assert set(emotions.values()) == {"anger", "happiness", "sadness", "neutral"}
    assert all_of(out, "text")["003-s3_sad"] == "Well, yes." and set(all_of(out, "utt2lang").values()) == {"en"}
    assert not list(out.glob("*/utt2votes")) and not list(out.glob("*/utt2vad"))
    sets = [{u.speaker for u in read_data_dir(out / name).values()} for name in ("train", "valid", "test")]
    assert sum(map(len, sets)) == 6 == len(set().union(*sets)), "a speaker is in two sets"
    for name in ("train", "valid", "test"):
        done = subprocess.run([root / "utils/validate_data_dir.sh", out / name], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    folds = all_of(out, "utt2fold")
    assert {folds[i] for i in read_table(out / "test/utt2spk")} == {"1"}
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    load(folder / "my.csv", language="en", nj=1)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_separators(encoding, delimiter, folder):
    lines = [[*line[:3], "Schöne Grüße; ja, so"] for line in rows()]
    _, out = load(write(folder / "my.csv", lines, delimiter=delimiter, encoding=encoding))
    assert set(all_of(out, "text").values()) == {"Schöne Grüße; ja, so"} and len(all_of(out, "utt2emo")) == 24


def test_oddities_that_change_nothing(folder):
    table = write(folder / "my.csv", rows())
    text = table.read_text("utf-8").replace('"Well, yes."', '"Well,\nyes."').replace("\r\n", "\r\n\r\n")
    table.write_text("sep=,\n" + text.replace("emotion,", " Emotion ,", 1), "utf-8", newline="")
    _, out = load(table)
    assert set(all_of(out, "text").values()) == {"Well, yes."} and len(all_of(out, "utt2emo")) == 24


def test_tabs_without_quoting(folder):
    lines = ["\t".join([*line[:3], '"Well" yes']) for line in rows()]
    lines[3] = lines[3].replace('"Well" yes', '"Well, yes')
    (folder / "my.tsv").write_text("\n".join(["path\tlabel\tspk\ttranscript", *lines]))
    _, out = load(folder / "my.tsv")
    assert sorted(set(all_of(out, "text").values())) == ['"Well" yes', '"Well, yes']


def test_json_lines_and_a_json_list(folder):
    entries = [{"audio": a, "label": b, "speaker": int(c), "x": None} for a, b, c, _ in rows()]
    (folder / "my.jsonl").write_text("\n".join(map(json.dumps, entries)) + "\n")
    (folder / "my.json").write_text(json.dumps(entries))
    _, first = load(folder / "my.jsonl", out=folder / "1")
    _, second = load(folder / "my.json", out=folder / "2")
    assert all_of(first, "utt2spk") == all_of(second, "utt2spk") and all_of(first, "utt2spk")["3-s3_sad"] == "3"


def test_parquet_and_datasets(folder):
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    head = ["file", "emotion", "speaker", "text"]
    pandas.DataFrame(rows(), columns=head).to_parquet(folder / "my.parquet")
    _, out = load(folder / "my.parquet", out=folder / "1")
    datasets = pytest.importorskip("datasets")
    content = (folder / "my wav/s1/sad.wav").read_bytes()
    parts = {}
    for name in ("train", "validation", "test"):
        entries = [{"audio": {"path": "a.wav", "bytes": content}, "label": n % 2, "speaker": f"s{n}"} for n in range(4)]
        names = datasets.ClassLabel(names=["sad", "angry"])
        features = datasets.Features({"audio": datasets.Audio(), "label": names, "speaker": datasets.Value("string")})
        info = datasets.DatasetInfo(features=features)
        parts[name] = datasets.Dataset(
            pyarrow.Table.from_pylist(entries, schema=features.arrow_schema), info, fingerprint=name
        )
    datasets.DatasetDict(parts).save_to_disk(str(folder / "saved"))
    _, second = load(folder / "saved", out=folder / "2")
    assert len(all_of(out, "utt2emo")) == 24
    assert list(read_table(second / "valid/utt2emo").values()) == ["sadness", "anger"] * 2
    assert {Path(path).is_file() for path in all_of(second, "wav.scp").values()} == {True}


def test_a_kaldi_directory_with_segments(tmp_path):
    kaldi = tmp_path / "test"
    tone(kaldi / "long.flac", 4.0)
    (kaldi / "wav.scp").write_text("rec long.flac\n")
    (kaldi / "segments").write_text("a-1 rec 0 1.5\na-2 rec 1.5 3.25\nb-1 rec 3.25 -1\n".replace("-1\n", "4.05\n"))
    (kaldi / "utt2spk").write_text("a-1 a\na-2 a\nb-1 b\n")
    (kaldi / "utt2emo").write_text("a-1 anger\na-2 sadness\nb-1 fear\n")
    _, out = load(kaldi, out=tmp_path / "data")
    assert read_table(out / "test/utt2emo") == {
        "a-long_0000000_0001500": "anger", "a-long_0001500_0003250": "sadness", "b-long_0003250_0004050": "fear",
    }  # fmt: skip
    assert list(read_table(out / "test/utt2dur").values()) == ["1.500", "1.750", "0.750"]
    (kaldi / "wav.scp").write_text("rec sox x.wav |\n")
    with pytest.raises(ValueError, match="pipes are never run"):
        load(kaldi, out=tmp_path / "data")


def test_parts_of_a_file_are_cut_once(tmp_path, caplog):
    wave = np.concatenate([0.1 * np.sin(2 * np.pi * f * np.arange(8000) / 8000) for f in (200, 400, 800)])
    soundfile.write(tmp_path / "a.wav", np.stack([wave, wave], axis=1), 8000)
    lines = [["a.wav", "sad", "s", "0", "1,0"], ["a.wav", "happy", "s", "1", "2"], ["a.wav", "fear", "s", "2", ""]]
    lines += [["a.wav", "fear", "s", "2.5", "9"], ["a.wav", "fear", "s", "2", "1"]]
    head = ("file", "emotion", "speaker", "start", "end")
    _, out = load(write(tmp_path / "a.csv", lines, head), into="test")
    wavs = read_table(out / "test/wav.scp")
    assert all(Path(path).is_absolute() for path in wavs.values())
    for (i, path), hertz in zip(sorted(wavs.items()), (200, 400, 800), strict=True):
        piece, rate = soundfile.read(path)
        assert (rate, len(piece)) == (16000, 16000), i
        assert abs(np.argmax(np.abs(np.fft.rfft(piece))) - hertz) <= 1
    reasons = read_table(out / "test/rejected")
    assert "after that of" in reasons["s-a_0002500_0009000"] and "from 2 to 1 s" in reasons["s-a_0002000_0001000"]
    times = {path: Path(path).stat().st_mtime_ns for path in wavs.values()}
    load(tmp_path / "a.csv", into="test")
    assert read_table(out / "test/wav.scp") == wavs
    assert {path: Path(path).stat().st_mtime_ns for path in times} == times
    soundfile.write(tmp_path / "a.wav", wave[::-1], 8000)  # another recording under the same name
    load(tmp_path / "a.csv", into="test")
    assert not set(read_table(out / "test/wav.scp").values()) & set(wavs.values())


def test_parts_of_a_video(tmp_path):
    from test_prep import write_clip

    write_clip(tmp_path / "a.mp4")
    lines = [["a.mp4", "sad", "s", "0", "0.2"], ["a.mp4", "happy", "s", "0.2", "0.4"]]
    _, out = load(write(tmp_path / "a.csv", lines, ("file", "emotion", "speaker", "start", "end")), into="test")
    assert set(read_table(out / "test/utt2dur").values()) == {"0.200"}


# ---- labels, annotators, dimensions


def test_annotators_vote(folder, caplog):
    one, two, three, four = (f"my wav/s0/{label.strip()}.wav" for label in LABELS)
    lines = [[one, "angry", "s0", "A"], [one, "Anger", "s0", "B"], [one, "calm", "s0", "C"]]
    lines += [[two, "sad", "s0", "A"], [two, "happy", "s0", "B"], [three, "joy", "s0", "A"], [three, "joy", "s0", "A"]]
    lines += [[four, "sad", "s0", "A"], [four, "fear", "s0", "A"]]
    head = ("file", "emotion", "speaker", "annotator")
    _, out = load(write(folder / "my.csv", lines, head), into="test")
    assert read_table(out / "test/utt2emo") == {"s0-angry": "anger", "s0-sad": "happiness"}
    assert read_table(out / "test/utt2votes") == {"s0-angry": "anger:2 calm:1", "s0-sad": "happiness:1"}
    reasons = read_table(out / "test/rejected")
    assert reasons["s0-Happy"] == "a tie, happiness:1 and sadness:1; left out"
    assert reasons["s0-NEUTRAL"].startswith("annotator A calls it sadness and, in my.csv:10, fear")
    assert "9 rows are 4 recordings" in caplog.text
    assert read_data_dir(out / "test")["s0-angry"].votes == {"anger": 2, "calm": 1}


def test_columns_of_classes_and_dimensions(folder):
    lines = [[f"my wav/s0/{name.strip()}.wav", "s0", *votes] for name, votes in
             zip(LABELS, (("0,7", "0.2", "0.1", "4", "2"), ("1", "5", "", "3", ""), ("2", "2", "0", "1", "1"),
                          ("", "", "", "x", "1")), strict=True)]  # fmt: skip
    lines.append([lines[0][0], "s0", "0.7", "0.2", "0.1", "2", "2"])
    head = ("file", "speaker", "Angry", "joy", "boredom", "valence", "Arousal")
    _, out = load(write(folder / "my.csv", lines, head), into="test")
    assert read_table(out / "test/utt2votes") == {
        "s0-angry": "anger:1.4 happiness:0.4 boredom:0.2", "s0-Happy": "anger:1 happiness:5",
    }  # fmt: skip
    assert read_table(out / "test/utt2vad") == {"s0-angry": "valence:3 arousal:2", "s0-Happy": "valence:3"}
    assert read_table(out / "test/utt2ratings") == {"s0-angry": "valence:4,2 arousal:2,2"}
    assert read_table(out / "test/utt2emo") == {"s0-angry": "anger", "s0-Happy": "happiness"}
    reasons = read_table(out / "test/rejected")
    assert "a tie" in reasons["s0-sad"] and "its valence in my.csv:5 is 'x', no number" in reasons["s0-NEUTRAL"]


def test_a_label_counts_more_than_columns_of_votes(folder):
    lines = [["my wav/s0/sad.wav", "s0", "sad", "5", "1"]]
    _, out = load(write(folder / "my.csv", lines, ("file", "speaker", "label", "anger", "Sadness")), into="test")
    assert read_table(out / "test/utt2emo") == {"s0-sad": "sadness"}
    assert read_table(out / "test/utt2votes") == {"s0-sad": "anger:5 sadness:1"}


def test_a_guess_can_be_refused(folder, caplog):
    command(["import", str(write(folder / "my.csv", rows())), "--out", str(folder / "data"), "--columns.text", ""])
    assert not list((folder / "data").glob("*/text")) and "not used: text" in caplog.text


def test_dimensions_alone(folder):
    lines = [[line[0], line[2], n % 7, 3] for n, line in enumerate(rows())]
    _, out = load(write(folder / "my.csv", lines, ("file", "speaker", "arousal", "valence")))
    assert not list(out.glob("*/utt2emo")) and all_of(out, "utt2vad")["000-s0_angry"] == "valence:3 arousal:0"
    assert len(all_of(out, "wav.scp")) == 24


def test_own_labels(folder, caplog):
    lines = [[a, {"angry": "Furious!", " sad ": "nan", "Happy": "calm"}.get(b, b), c, d] for a, b, c, d in rows()]
    table = write(folder / "my.csv", lines)
    _, out = load(table, into="test", out=folder / "1")
    assert set(all_of(out, "utt2emo").values()) == {"neutral"}
    assert "rejected: calm (6), furious! (6); say with --labels FILE" in caplog.text
    assert "18 rejected for their label (calm: 6, furious!: 6, no label: 6)" in caplog.text
    assert read_table(out / "test/rejected")["000-s0_sad"] == "no label in my.csv:4; left out"
    (folder / "map.yaml").write_text("furious!: anger\nneutral: null\n")
    _, out = load(table, into="test", out=folder / "2", labels=str(folder / "map.yaml"))
    assert set(all_of(out, "utt2emo").values()) == {"anger"}
    _, out = load(table, into="test", out=folder / "3", labels="raw")
    assert set(all_of(out, "utt2emo").values()) == {"neutral", "calm", "furious!"}
    assert read_label_set(out / "test").names == ("neutral", "calm", "furious!")
    kept = LabelSet(("rage", "calm"), {"rage": {"en": "furious!"}})
    write_label_set(folder, kept)
    _, out = load(table, into="test", out=folder / "4", labels=str(folder / "labels.json"))
    assert set(all_of(out, "utt2emo").values()) == {"rage", "calm"} and read_label_set(out / "test") == kept


def test_synonyms():
    names = LabelNames()
    assert [names.class_of(label) for label in ("Ärger", "HAPPY ", "Pleasant_Surprise", "害怕", "N/A?", "in love")] == [
        "anger", "happiness", "surprise", "fear", "n/a?", "in_love",
    ]  # fmt: skip
    assert {names.class_of(emotion) for emotion in EMOTIONS} == {*EMOTIONS}


# ---- sets


def test_a_split_is_kept_and_what_it_lacks_comes_from_training(folder, caplog):
    lines = [[*line, "TEST" if n >= 20 else "train"] for n, line in enumerate(rows())]
    head = ("file", "emotion", "speaker", "text", "Split")
    written, out = load(write(folder / "my.csv", lines, head))
    assert set(read_table(out / "test/spk2utt")) == {"005"} and len(written.kept["valid"]) == 4
    assert "no set valid in the table; by speakers: train 4, valid 1" in caplog.text
    assert not list(out.glob("*/utt2fold"))


def test_tables_named_as_sets(folder):
    tables = [write(folder / f"{name}.csv", rows([n])) for n, name in enumerate(("train", "dev", "test"))]
    import_tables(tables, folder / "data", Columns())
    assert {name: set(read_table(folder / f"data/{name}/spk2utt")) for name in ("train", "valid", "test")} == {
        "train": {"000"}, "valid": {"001"}, "test": {"002"},
    }  # fmt: skip


def test_unknown_speakers(folder, caplog):
    written, out = load(write(folder / "my.csv", [line[:2] for line in rows()], ("file", "emotion")))
    assert "24 of 24 recordings, such as my.csv:2, have no speaker: each" in caplog.text
    assert "English is assumed" in caplog.text
    assert len(read_table(out / "test/spk2utt")) == len(written.kept["test"]) == 5


def test_a_set_without_a_class(folder, caplog):
    lines = [line for n, line in enumerate(rows()) if n not in (20, 16, 12, 8)]
    written, out = load(write(folder / "my.csv", lines), language="en")
    lacking = [name for name, part in written.kept.items() if "anger" not in {u.emotion for u in part.values()}]
    assert lacking and all(f"set {name}: no utterance of anger" in caplog.text for name in lacking)


# ---- paths


def test_paths_of_windows(folder, caplog):
    lines = [["D:\\data\\" + line[0].replace("/", "\\"), *line[1:]] for line in rows()]
    _, out = load(write(folder / "my.csv", lines))
    assert all_of(out, "wav.scp")["000-s0_sad"] == str(folder / "my wav/s0/sad.wav")
    lines = [[line[0].replace("/", "\\"), *line[1:]] for line in rows()]
    _, second = load(write(folder / "my.csv", lines), out=folder / "2")
    assert all_of(second, "wav.scp") == all_of(out, "wav.scp")
    (folder / "else").mkdir()
    table = write(folder / "else/my.csv", [["C:\\x\\a.wav", "sad", "s", ""]])
    assert "none of 1 recordings is there, such as" in (line := refused(caplog, table, "--out", folder / "3"))
    assert line.endswith("give the folder of the audio files with --audio-root")


def test_two_drives_are_not_one_folder(tmp_path):
    tone(tmp_path / "x/a.wav")
    paths = locate(["C:\\x\\a.wav", "D:\\x\\a.wav"], tmp_path)
    assert len(set(paths.values())) == 2 and not any(path.exists() for path in paths.values())


def test_names_of_files():
    paths = [Path(name) for name in ("/c/a/1.wav", "/c/b/1.wav", "/c/a_1.flac", "/c/ü x.wav", "/c/a/1.flac")]
    names = file_names(paths)
    assert names[paths[3]] == "ü_x" and len(set(names.values())) == 5 and names == file_names(paths)


def test_bad_audio_is_rejected_alone(folder, caplog):
    (folder / "my wav/s0/sad.wav").write_text("no audio")
    (folder / "my wav/s1/sad.wav").write_bytes(b"")
    (folder / "my wav/s2/sad.wav").unlink()
    written, out = load(write(folder / "my.csv", rows()))
    assert "1 of 24 recordings, such as my.csv:12, have no file: " in caplog.text
    reasons = all_of(out, "rejected")
    assert set(reasons) == {"000-s0_sad", "001-s1_sad", "002-s2_sad"}
    assert sum(map(len, written.kept.values())) == 21


# ---- lines of refusal

GOOD = "file,emotion,speaker\nmy wav/s0/sad.wav,sad,a\n"

WRONG = {
    "no such file or folder": None,
    "no rows; give": "",
    "no rows; give a table with headings": "file,emotion\n",
    "my.csv:3: 4 fields, but 3 headings (and 1 more such lines); put texts": GOOD + "x.wav,sad,a,b\ny.wav,sad,a,b\n",
    "my.csv:3: 2 fields, but 3 headings": GOOD + "x.wav,sad\n",
    "my.csv:4: a quote that does not fit": GOOD + 'x.wav,sad,"a\ny.wav,sad,a\n',
    "two columns have the heading 'file'": "file,file\na,b\n",
    "no column of audio files among 'a.wav', 'sad'; the first line must hold the headings": "a.wav,sad\nb.wav,sad\n",
    "no column of emotions among 'file', 'mood'; name it with --columns.emotion": "file,mood\na.wav,sad\n",
    "my.csv:2: no audio file": "file,emotion\n,sad\n",
    "its set is 'foo', not train": "file,emotion,split\nmy wav/s0/sad.wav,sad,foo\n",
    "in two sets, 'train' by my.csv:2 and 'test' by my.csv:3":
        "file,emotion,split\nmy wav/s0/sad.wav,sad,train\n./my wav//s0/sad.wav,sad,test\n",
    "its start is '1:02', no number of seconds": "file,emotion,start\nmy wav/s0/sad.wav,sad,1:02\n",
    "the speakers 'a b' and 'a_b' would both be a_b": GOOD + "my wav/s1/sad.wav,sad,a b\nmy wav/s2/sad.wav,sad,a_b\n",
    "speakers with labels: 1, too few for 3 sets": GOOD + "my wav/s1/sad.wav,calm,b\nmy wav/s2/sad.wav,calm,c\n",
    "no label is one of anger, happiness": "file,emotion\nmy wav/s0/sad.wav,2\n",
    "holds bytes that no text has": "RIFF\0\0",
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_one_line_says_what_is_wrong(message, folder, caplog):
    if WRONG[message] is not None:
        (folder / "my.csv").write_text(WRONG[message])
    assert message in refused(caplog, folder / "my.csv", "--out", folder / "data")
    assert not (folder / "data").exists()


def test_wrong_options(folder, caplog):
    table = write(folder / "my.csv", rows())
    assert "has no column 'mood', only 'file', 'emotion'" in refused(caplog, table, "--columns.emotion", "mood")
    assert "--labels other: No such file" in refused(caplog, table, "--labels", "other")
    (folder / "map.json").write_text('{"calm": "peace"}')
    assert "calm: 'peace' is none of anger" in refused(caplog, table, "--labels", folder / "map.json")
    assert "'Klingon' is no code such as de" in refused(caplog, table, "--language", "Klingon")
    (folder / "my.jsonl").write_text('{"file": 1}\n{')
    assert "my.jsonl:2: not JSON" in refused(caplog, folder / "my.jsonl")
    assert "save it as CSV" in refused(caplog, write(folder / "my.xlsx", rows()))
    assert "holds no wav.scp" in refused(caplog, folder)


# ---- real corpora, and a recipe


@pytest.mark.parametrize("name", ["emodb", "ravdess"])
def test_a_table_gives_what_the_recipe_gives(name, tmp_path, test_data):
    root = next(
        (path for path in (test_data / f"speech/{name}_16k", test_data / f"speech/{name}") if path.exists()), None
    )
    if root is None:
        pytest.skip(f"no {name} in {test_data}")
    expected = counts(stage0(name, root, tmp_path / "recipe"))
    corpus = recipe(name).CORPUS
    words = {label: corpus.emotions[label] or corpus.classes[label] for label in corpus.emotions}
    lines = [
        [u.wav, words[u.emotion].upper(), u.speaker, u.text, u.language, u.set]
        for u in recipe(name).utterances(find_top(root, corpus.layout))
    ]
    head = ("path", "emotion", "speaker", "transcript", "lang", "split")
    written, _ = load(write(tmp_path / "my.csv", lines, head))
    assert counts(written) == expected and sum(row.total() for row in expected.values()) > 500


def test_stage_0_of_a_recipe_reads_a_table(folder, own_recipe, root):
    (own_recipe / "local/data_prep.py").unlink()
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}

    def run(*words):
        run_sh = [own_recipe / "run.sh", "--stop-stage", "0", *words]
        return subprocess.run(run_sh, capture_output=True, text=True, env=environment)

    table = write(folder / "my.csv", [[*line[:2], line[2]] for line in rows()], ("file", "mood", "speaker"))
    done = run(
        "--table", str(table), "--import-options=--columns.emotion mood --language de", "--augment", "speed0.5 noise20"
    )
    assert done.returncode == 0 and "data/train_augmented: " in done.stdout, done.stderr
    recorded, joined = (read_table(own_recipe / f"data/{name}/utt2dur") for name in ("train", "train_augmented"))
    assert len(joined) == 3 * len(recorded)
    for i, seconds in recorded.items():
        assert (joined[i], joined[f"{i}-noise20"]) == (seconds, seconds)
        assert float(joined[f"{i}-speed0.5"]) == pytest.approx(2 * float(seconds), abs=0.01)
    assert set(read_table(own_recipe / "data/train/utt2lang").values()) == {"de"}
    done = run()
    assert done.returncode == 1 and done.stderr.endswith("a table of recordings; give it with --table\n")
