"""Stage 0's machinery: command line, layout, counts, folds, downloads, archives."""

import hashlib
import http.server
import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from c2ser.emotions import ordered
from c2ser.prep import ALL, Archive, Corpus, Utterance, files, in_share, read_rows, read_text, speaker_id
from c2ser.prep.count_report import counts, differences, report, total_counts
from c2ser.prep.download import download, fetch
from c2ser.prep.folds import overlap_report, overlaps, with_folds
from c2ser.prep.layout import find_top
from c2ser.prep.unpack import unpack
from c2ser.prep.writer import parallel, write_corpus
from c2ser.tables import read_table

CORPUS = Corpus(
    emotions={"A": "anger", "H": "happiness", "M": "happiness", "L": None},
    classes={"L": "boredom", "M": "amusement"},
    counts={"train": {"A": 3, "M": 2, "L": 1}, "test": {"H": 1}},
    long={"train": {"A": 1}},
    notes=("the paper says 7",),
)


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(800)), 8000)
    return path


def some(sound):
    yield Utterance("train", "a", "1", sound, "A", "en", "", session="S1", fold="1")
    yield Utterance("train", "a", "2", sound, "L", "en", "", session="S1", fold="1")
    yield Utterance("train", "b", "1", sound, "M", "en", "", session="S2", fold="2")
    yield Utterance("train", "b", "2", sound, "A", "en", "", session="S2", reject_reason="known to be silent")
    yield Utterance("train", "b", "3", sound, "Z", "en", "", session="S2")
    yield Utterance("test", "a", "3", sound, "H", "en", "", session="S1", fold="2")


def test_expected_counts_follow_labels_sets_and_the_20_seconds():
    assert CORPUS.expected("seven") == {
        "train": {"anger": 2, "happiness": 2, ALL: 6},
        "test": {"happiness": 1, ALL: 1},
    }
    assert CORPUS.expected("raw")["train"] == {"anger": 3, "amusement": 2, "boredom": 1, ALL: 6}
    assert CORPUS.expected("seven", "eval") == {"eval": {"anger": 3, "happiness": 3, ALL: 7}}
    assert CORPUS.expected("seven", "train_all")["train_all"]["anger"] == 2
    unknown = Corpus(emotions={"A": "anger"}, counts={"train": {ALL: 9}, "test": {"A": 2, ALL: 1}})
    assert unknown.expected("seven") == {"train": {ALL: 9}, "test": {"anger": 2, ALL: 3}}
    assert unknown.expected("seven", "x") == {"x": {ALL: 12}}  # how many of the 9 are angry is not known
    partly = Corpus(emotions={"A": "anger"}, counts={ALL: {"A": 9}, "test": {"A": 2}})
    assert partly.expected("seven", "x") == {"x": {"anger": 9, ALL: 9}}  # 2 of the 9 are the test set's


def test_seven_and_raw(sound, tmp_path):
    seven = write_corpus(some(sound), tmp_path / "seven", CORPUS)
    assert read_table(tmp_path / "seven/train/utt2emo") == {"a-1": "anger", "b-1": "happiness"}
    assert read_table(tmp_path / "seven/train/rejected") == {
        "a-2": "its label L is none of the seven emotions; left out",
        "b-2": "known to be silent; left out",
        "b-3": "unknown label 'Z'; add it to EMOTIONS in local/data_prep.py",
    }
    assert counts(seven)["train"] == {"anger": 1, "happiness": 1, ALL: 5}
    raw = write_corpus(some(sound), tmp_path / "raw", CORPUS, labels="raw")
    assert read_table(tmp_path / "raw/train/utt2emo") == {"a-1": "anger", "a-2": "boredom", "b-1": "amusement"}
    assert ordered({*counts(raw)["train"]} - {ALL}) == ["anger", "amusement", "boredom"]


def test_raw_has_no_limit_of_length(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(21 * 100), 100)
    given = [Utterance("train", "s", "1", path, "A", "en", ""), Utterance("test", "s", "2", path, "A", "en", "")]
    kept = write_corpus(given[1:], tmp_path / "a", CORPUS).kept
    assert len(kept["test"]) == 1
    assert len(write_corpus(given, tmp_path / "b", CORPUS, labels="raw").kept["train"]) == 1
    with pytest.raises(ValueError, match="s-1: 21.0 s, over 20 s"):
        write_corpus(given[:1], tmp_path / "c", CORPUS)


def test_the_report_says_found_and_expected(sound, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    with caplog.at_level(logging.INFO):
        report(write_corpus(some(sound), tmp_path / "d", CORPUS), CORPUS, "seven", None)
    lines = caplog.text.splitlines()
    table = {line.split()[0]: line.split() for line in lines if line.startswith(("set ", "test ", "train "))}
    assert table["set"][1:3] == ["anger", "happiness"] and table["train"][1:3] == ["1/2", "1/2"]
    assert table["train"][-3:] == ["2/4", "3", "5/6"] and table["test"][-3:] == ["1/1", "0", "1/1"]
    assert "note: the paper says 7" in caplog.text
    assert "train: 1 rejected for their label (L: 1)" in caplog.text
    assert "train: 1 rejected for a label that the recipe does not know (Z: 1)" in caplog.text
    assert "train: 1 rejected as known to be unusable (A: 1)" in caplog.text
    assert "named with its reason in the table `rejected` of its set" in caplog.text
    assert "test and train share 1: a" in caplog.text
    warned = {record.message.partition(";")[0] for record in caplog.records if record.levelno == logging.WARNING}
    assert warned == {
        "train: found anger 1 of 2, happiness 1 of 2, in corpus 5 of 6 utterances",
        "train: 1 with an unknown label, named in its table `rejected`",
        "test and train share speakers (a), and results on known voices are better",
    }


def test_more_than_expected_is_a_difference_too(sound, tmp_path):
    found = counts(write_corpus(some(sound), tmp_path / "d", CORPUS, labels="raw"))
    lines = differences(found, {"train": Counter({"anger": 1, ALL: 4})})
    assert [line.split(";")[0] for line in lines] == ["train: found in corpus 5 of 4 utterances"]
    assert "does the folder hold copies" in lines[0]


def test_counts_of_all_sets_together(tmp_path, sound):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(21 * 100), 100)
    given = [Utterance(name, "s", name, path, "A", "en", "") for name in ("train", "test")]
    given += [Utterance("train", "s", label, sound, label, "en", "") for label in "AL"]
    corpus = Corpus(emotions={"A": "anger", "L": None}, counts={ALL: {"A": 3, "L": 1}})
    written = write_corpus(given, tmp_path / "d", corpus)
    assert total_counts(written, corpus, "seven") == {"anger": 3, ALL: 4} == corpus.expected("seven")[ALL]


def test_folds(sound):
    speaker = {u.id: u.fold for u in with_folds(some(sound), "speaker")}
    assert speaker == {"a-1": "a", "a-2": "a", "b-1": "b", "b-2": "b", "b-3": "b", "a-3": "a"}
    assert {u.fold for u in with_folds(some(sound), "session")} == {"S1", "S2"}
    assert [u.fold for u in with_folds(some(sound), "published")] == ["1", "1", "2", None, None, "2"]
    assert {u.fold for u in with_folds(some(sound), "none")} == {None}
    with pytest.raises(ValueError, match="^s-1: this corpus has no sessions; use --folds speaker"):
        list(with_folds([Utterance("t", "s", "1", sound, "A", "en", "")], "session"))


def test_speakers_in_two_sets_are_named(sound):
    assert overlaps({"x": ["a", "b"], "y": ["b", "c"], "z": ["d"]}) == {("x", "y"): ["b"]}
    kept = {"train": {u.id: u for u in some(sound) if u.set == "train"}}
    kept["test"] = {u.id: u for u in some(sound) if u.set == "test"}
    text = overlap_report(kept)
    assert "test and train share 1: a" in text and "folds: 2, with so many utterances: 1 (2), 2 (2)" in text
    assert "2 speakers are in several folds: a, b" in text
    by_speaker = {"train": {u.id: u for u in with_folds(some(sound), "speaker")}}
    assert "no speaker is in two folds" in overlap_report(by_speaker)


def test_the_same_id_in_two_sets_is_refused(sound, tmp_path):
    twice = [Utterance(name, "s", "1", sound, "A", "en", "") for name in ("train", "test")]
    with pytest.raises(ValueError, match="^s-1: given twice, in train and test"):
        write_corpus(twice, tmp_path / "d", CORPUS)


def test_bad_files_are_left_out_by_name(sound, tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (tmp_path / "text.wav").write_text("no sound")
    latin = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.wav")
    soundfile.write(tmp_path / "two.wav", np.zeros((800, 2)), 8000)
    os.rename(tmp_path / "tone.wav", latin)
    paths = {"0": tmp_path / "empty.wav", "1": tmp_path / "pointer.wav", "2": tmp_path / "text.wav", "3": latin}
    given = [Utterance("t", "s", name, path, "A", "en", "") for name, path in paths.items()]
    given += [Utterance("t", "s", str(5 + c), tmp_path / "two.wav", "A", "en", "", channel=c) for c in (1, 2)]
    write_corpus(given, tmp_path / "d", CORPUS)
    reasons = {name: reason.split(";")[0] for name, reason in read_table(tmp_path / "d/t/rejected").items()}
    assert reasons["s-0"].endswith("empty.wav is empty") and "pointer of git-lfs" in reasons["s-1"]
    assert "cannot read" in reasons["s-2"] and reasons["s-3"] == "the name of its file is not UTF-8"
    assert reasons["s-7"] == "no channel 2, the file has 2"
    assert read_table(tmp_path / "d/t/utt2channel") == {"s-6": "1"}


@pytest.mark.parametrize("name", ["a  b", "ü'\"(1)$(x)`y`;*?", " -rf", "漢字 \\"])
def test_a_folder_of_any_name(name, sound, tmp_path, root):
    (tmp_path / name).mkdir()
    sound.rename(tmp_path / name / "a.wav")
    given = [Utterance("train", "s", "1", tmp_path / name / "a.wav", "A", "en", "hi")]
    write_corpus(given, tmp_path / name / "d", CORPUS)
    assert read_table(tmp_path / name / "d/train/wav.scp") == {"s-1": str(tmp_path / name / "a.wav")}
    command = [root / "utils/validate_data_dir.sh", tmp_path / name / "d/train"]
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\rb"])
def test_a_path_that_no_table_can_hold(name, sound, tmp_path):
    (tmp_path / name).mkdir()
    sound.rename(tmp_path / name / "a.wav")
    with pytest.raises(ValueError, match=r"s-1: a tab or line break in the path of its file, '.*a\\[tnr]b/a.wav'"):
        write_corpus([Utterance("t", "s", "1", tmp_path / name / "a.wav", "A", "en", "")], tmp_path / "d", CORPUS)


@pytest.mark.parametrize(("channels", "chosen"), [(6, {"s-1": "2"}), (2, {"s-1": "0"}), (1, None)])
def test_the_centre_of_six_channels(tmp_path, channels, chosen):
    soundfile.write(tmp_path / "a.wav", np.zeros((800, channels)), 8000)
    write_corpus([Utterance("t", "s", "1", tmp_path / "a.wav", "A", "en", "", "centre")], tmp_path / "d", CORPUS)
    table = tmp_path / "d/t/utt2channel"
    assert (read_table(table) if table.exists() else None) == chosen


def test_the_sound_of_a_video_is_extracted(tmp_path):
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"no clip")
    given = [Utterance("t", "s", n, tmp_path / f"{n}.mp4", "A", "en", "", "centre") for n in ("a", "b")]
    for _ in range(2):
        write_corpus(given, tmp_path / "d", CORPUS)
    assert list(read_table(tmp_path / "d/t/rejected")) == ["s-b"]
    wave, rate = soundfile.read(read_table(tmp_path / "d/t/wav.scp")["s-a"])
    spectrum = np.abs(np.fft.rfft(wave))
    assert rate == 16000 and abs(np.argmax(spectrum) * rate / len(wave) - 700) < 5
    assert not (tmp_path / "d/t/utt2channel").exists()


def test_an_id_cannot_lead_out_of_the_folder_of_sounds(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    (tmp_path / "b.mp4").touch()
    given = [Utterance("t", "s", n, tmp_path / f, "A", "en", "") for n, f in (("1", "a.wav"), ("/../../x", "b.mp4"))]
    write_corpus(given, tmp_path / "d", CORPUS)
    assert "a slash in its id" in read_table(tmp_path / "d/t/rejected")["s-/../../x"]


def write_clip(path):
    """Write 5.1 sound whose channels hum at 500, 600, 700, … Hz, in the order of the layout."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="5.1")
        time = np.arange(48000) / 48000
        tones = np.stack([0.3 * np.sin(2 * np.pi * (500 + 100 * c) * time) for c in range(6)]).astype(np.float32)
        for start in range(0, 48000 - 1024, 1024):
            block = np.ascontiguousarray(tones[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, "fltp", "5.1")
            frame.sample_rate, frame.pts = 48000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_parallel_keeps_the_order_and_ends_early():
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number

    assert list(parallel(slow, range(50), 8)) == list(range(50))
    started = []
    stream = parallel(lambda number: (started.append(number), time.sleep(0.01)), range(100_000), 2)
    next(stream)
    stream.close()
    assert len(started) < 50


def test_top_folder_is_found_below(tmp_path):
    top = tmp_path / "down loads/the (corpus)/v1"
    (top / "wav").mkdir(parents=True)
    (top / "wav/a.wav").touch()
    (tmp_path / "__MACOSX/wav").mkdir(parents=True)
    (tmp_path / "__MACOSX/wav/a.wav").touch()
    for given in (tmp_path, tmp_path / "down loads", top):
        assert find_top(given, ("none", "wav/*.wav")) == top
    with pytest.raises(
        ValueError, match=r"found no wav/\*.flac nor x in it, nor up to 3 folders below; check --db-root"
    ):
        find_top(tmp_path, ("wav/*.flac", "x"))
    (tmp_path / "copy/wav").mkdir(parents=True)
    (tmp_path / "copy/wav/b.wav").touch()
    assert find_top(tmp_path, ("wav/*.wav",)) == tmp_path / "copy"  # the upper one is meant
    (tmp_path / "down loads/wav").mkdir()
    (tmp_path / "down loads/wav/c.wav").touch()
    with pytest.raises(ValueError, match="holds the corpus 2 times"):
        find_top(tmp_path, ("wav/*.wav",))


def test_files_are_sorted_and_hidden_ones_left_out(tmp_path):
    for name in ("b/x.wav", "a/ü.wav", "a/._x.wav", "__MACOSX/x.wav", "a/y.WAV", "a/z.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/folder.wav").mkdir()
    found = files(tmp_path, "*/*.wav", "*/*.WAV", "a/*.wav")
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/y.WAV", "a/z.wav", "a/ü.wav", "b/x.wav"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_text_in_any_encoding(tmp_path, encoding):
    (tmp_path / "t").write_bytes("0001_000351\t打远一看。\t生气\r\n".encode(encoding))
    assert read_text(tmp_path / "t") == "0001_000351\t打远一看。\t生气\r\n"


@pytest.mark.parametrize("text", ["é la\n", "It\u2019s caf\xe9au \u2026 \u201cno\u201d\n", "\x81 na\xefve\n"])
def test_text_that_is_western(text, tmp_path):
    (tmp_path / "t").write_bytes(text.encode("latin-1" if "\x81" in text else "cp1252"))
    assert read_text(tmp_path / "t") == text


def test_chinese_with_a_rare_sign_or_traditional_ones(tmp_path):
    for text in ("我叫赵喆，住在镕村。It\u2019s so.\n", "他們走了。\n"):
        (tmp_path / "t").write_bytes(text.encode("gb18030"))
        assert read_text(tmp_path / "t") == text


def test_rows(tmp_path):
    (tmp_path / "t.csv").write_bytes('\ufeffA, B\r\n1," x, y"\r\n2,\r\n\r\n'.encode())
    assert list(read_rows(tmp_path / "t.csv", "B")) == [{"A": "1", "B": "x, y"}, {"A": "2", "B": ""}]
    (tmp_path / "t.csv").write_bytes('A,B\r\n1,so\u2028on\u0085\r\n2,"two\nlines"\n'.encode())
    assert [row["B"] for row in read_rows(tmp_path / "t.csv", "B")] == ["so\u2028on", "two\nlines"]
    with pytest.raises(ValueError, match="t.csv: no column C, only A, B"):
        list(read_rows(tmp_path / "t.csv", "C"))
    (tmp_path / "t.csv").write_text("A,B,,\n1,x,,\n007,NaN\n")
    assert list(read_rows(tmp_path / "t.csv", "B")) == [{"A": "1", "B": "x"}, {"A": "007", "B": "NaN"}]
    (tmp_path / "t.tsv").write_text('A\tB\n"1\t"so", he said, \n')
    assert list(read_rows(tmp_path / "t.tsv", "B", separator="\t")) == [{"A": '"1', "B": '"so", he said,'}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A,B\n1,x\n2,well, yes\n", "t.csv:3: 3 values for 2 columns; put quotation marks"),
        ("A,B,C\n1,x\n", "t.csv:2: 2 values for 3 columns"),
        ("A,B\n1\n", "t.csv:2: 1 values for 2 columns"),
        ('A,B\n1,"x\n2,y\n3,z\n', "t.csv:4: unexpected end of data; mend its quotation marks"),
        ('A,B\n1,"x" y\n', "t.csv:2: .*; mend its quotation marks"),
        ("A,B,A\n1,x,2\n", "t.csv: two columns A; rename one of them"),
        ("", "t.csv: no column B, only ; take"),
    ],
)
def test_no_value_of_a_row_is_lost_without_a_word(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        list(read_rows(tmp_path / "t.csv", "B"))


def test_an_unquoted_comma_is_an_error_with_its_line(test_data):
    with pytest.raises(ValueError, match=r"unquoted_comma.csv:\d+: \d+ values for \d+ columns"):
        list(read_rows(test_data / "failing/unquoted_comma.csv"))


def test_speaker_ids_sort_as_kaldi_wants():
    names = ["Ross", "Ross and Joey", "Ross, Joey", "Dr. Ledbetter", "王胜男", "#!"]
    ids = [speaker_id(name) for name in names]
    assert ids == ["Ross", "Ross_and_Joey", "Ross_Joey", "Dr_Ledbetter", "王胜男", "unknown"]
    by_utterance = sorted((f"{i}-1", i) for i in ids)
    assert [i for _, i in by_utterance] == sorted(ids)


def test_a_share_is_the_same_every_time():
    chosen = [in_share(f"utterance{n}", 10) for n in range(2000)]
    assert chosen[:200] == [in_share(f"utterance{n}", 10) for n in range(200)] and 150 < sum(chosen) < 250


PREP = """
from c2ser.prep import Corpus, Utterance, prepare
def generate(root):
    yield Utterance("train", "s", "1", root / "a.wav", "A", "en", "hi")
    yield Utterance("train", "s", "2", root / "a.wav", "L", "en", "hi")
prepare(generate, Corpus(("a.wav",), {"A": "anger", "L": None}, {"L": "boredom"}, {"train": {"A": 2}},
                         how_to_get="ask its authors"))
"""


def run_prep(root, *words):
    environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", PREP, *map(str, words)], capture_output=True, text=True, env=environment
    )


def test_the_command_line(tmp_path, root, sound):
    folder = tmp_path / "a (b)/ü"
    folder.mkdir(parents=True)
    sound.rename(folder / "a.wav")
    done = run_prep(root, "--db-root", tmp_path, "--out", tmp_path / "d")
    assert done.returncode == 0 and "train: found anger 1 of 2" in done.stderr, done.stderr
    first = {path.name: path.read_bytes() for path in (tmp_path / "d/train").iterdir()}
    assert run_prep(root, "--db-root", folder, "--out", tmp_path / "d").returncode == 0
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "d/train").iterdir()}
    done = run_prep(
        root, "--db-root", tmp_path, "--out", tmp_path / "r", "--labels", "raw", "--into", "x", "--folds=speaker"
    )
    assert read_table(tmp_path / "r/x/utt2emo") == {"s-1": "anger", "s-2": "boredom"}, done.stderr
    assert read_table(tmp_path / "r/x/utt2fold") == {"s-1": "s", "s-2": "s"}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--db-root", "/nowhere"], 1, "/nowhere: no such folder"),
        (["--db-root", "."], 1, "found no a.wav in it"),
        (["--db-rot", "x"], 2, "db"),
        (["--db-root", "x", "--labels", "six"], 1, "--labels six: No such file or directory; give seven"),
        (["--db-root", "x", "--download", "true"], 1, "cannot be downloaded by a command; ask its authors"),
    ],
)
def test_wrong_command_lines(root, words, status, message):
    done = run_prep(root, *words)
    assert done.returncode == status and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


ENDLESS = """
import itertools, sys
from c2ser.prep import Utterance, prepare
def generate(root):
    for number in itertools.count():
        if number == 3000:
            print("going", flush=True)
        yield Utterance("train", "s", str(number), root / "tone.wav", "anger", "en", "")
prepare(generate)
"""


def test_an_interrupt_ends_it_and_leaves_nothing(tmp_path, root, sound):
    command = [sys.executable, "-c", ENDLESS, "--db-root", tmp_path, "--out", tmp_path / "d"]
    environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout.readline() == b"going\n"
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1].decode()
    assert process.returncode == -signal.SIGINT and not (tmp_path / "d").exists()
    assert "interrupted; give the same command again" in said and "Traceback" not in said


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves `content`, in ranges; the first `broken` answers end early."""

    content, broken, asked = b"", 0, []

    def do_GET(self):
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if self.path.startswith("/gone"):
            return self.send_error(404)
        if start >= len(self.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.content)}")
            return self.end_headers()
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        rest = self.content[start:]
        if self.broken > 0:
            type(self).broken -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Handler.content, Handler.broken, Handler.asked = b"", 0, []
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    thread.join()
    made.server_close()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_download_goes_on_and_is_checked_and_unpacked(tmp_path, server):
    Handler.content = zipped([("corpus/wav/a.wav", b"RIFF" * 1000), ("corpus/liesmich ü.txt", b"x")])
    Handler.broken = 2
    archive = Archive(f"{server}/files/the%20corpus.zip?download=1", hashlib.md5(Handler.content).hexdigest(), "in")
    fetch((archive,), tmp_path / "db")
    half = len(Handler.content) // 2
    assert Handler.asked[:2] == [None, f"bytes={half}-"] and len(Handler.asked) == 3
    assert (tmp_path / "db/in/corpus/wav/a.wav").read_bytes() == b"RIFF" * 1000
    assert sorted(path.name for path in (tmp_path / "db").iterdir()) == [
        "in",
        "the corpus.zip",
        "the corpus.zip.sha256",
    ]
    record = read_table(tmp_path / "db/the corpus.zip.sha256")
    assert record == {hashlib.sha256(Handler.content).hexdigest(): "the corpus.zip"}
    (tmp_path / "db/the corpus.zip").unlink()
    fetch((archive,), tmp_path / "db")
    assert len(Handler.asked) == 3


def test_a_whole_part_is_not_fetched_again(tmp_path, server):
    Handler.content = b"all of it"
    (tmp_path / "a.zip.part").write_bytes(b"all of it")
    download(f"{server}/a.zip", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"all of it" and len(Handler.asked) == 1
    (tmp_path / "b.zip.part").write_bytes(b"another file that is longer")
    download(f"{server}/b.zip", tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == b"all of it"


def test_downloads_that_fail(tmp_path, server):
    Handler.content, Handler.broken = b"x" * 1024, 9
    with pytest.raises(OSError, match="ended .* bytes early; give the same command again to go on"):
        download(f"{server}/a", tmp_path / "a")
    assert (tmp_path / "a.part").stat().st_size == 960 and not (tmp_path / "a").exists()
    Handler.broken, Handler.asked = 0, []
    with pytest.raises(OSError, match="404"):
        download(f"{server}/gone", tmp_path / "gone")
    assert len(Handler.asked) == 1
    with pytest.raises(ValueError, match="not a web address"):
        download("file:///etc/passwd", tmp_path / "b")
    with pytest.raises(ValueError, match="MD5 .* instead of 0"):
        fetch((Archive(f"{server}/c.zip", "0"),), tmp_path)
    assert (tmp_path / "c.zip.bad").exists() and not (tmp_path / "c.zip").exists()


def tarred(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, link in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(b"evil") if entry.size else None)
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", tarfile.REGTYPE, "")],
        [("a/../../evil", tarfile.REGTYPE, "")],
        [("/tmp/evil", tarfile.REGTYPE, "")],
        [("a", tarfile.SYMTYPE, ".."), ("a/evil", tarfile.REGTYPE, "")],
        [("a", tarfile.LNKTYPE, "/etc/passwd")],
        [("a", tarfile.CHRTYPE, "")],
        [("a", tarfile.FIFOTYPE, "")],
    ],
)
def test_tar_archives_cannot_write_outside(tmp_path, members):
    archive = tarred(tmp_path / "a.tar.gz", ("good", tarfile.REGTYPE, ""), *members)
    with pytest.raises(ValueError, match="do not use this archive"):
        unpack(archive, tmp_path / "db", 10**6)
    assert list((tmp_path / "db").iterdir()) == [] and not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil"])
def test_zip_archives_cannot_write_outside(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped([("good", b"x"), (name, b"evil")]))
    with pytest.raises(ValueError, match="would lie outside the folder"):
        unpack(tmp_path / "a.zip", tmp_path / "db", 10**6)
    assert list((tmp_path / "db").iterdir()) == [] and not (tmp_path / "evil").exists()


def test_zip_archives_with_links_or_too_much(tmp_path):
    link = zipfile.ZipInfo("a")
    link.external_attr = 0o120777 << 16
    (tmp_path / "link.zip").write_bytes(zipped([(link, b"/etc")]))
    with pytest.raises(ValueError, match="'a' is a link or device"):
        unpack(tmp_path / "link.zip", tmp_path / "db", 10**6)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**7))
    with pytest.raises(ValueError, match="holds more than 0.0 GB"):
        unpack(tmp_path / "bomb.zip", tmp_path / "db", 10**6)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "bomb.zip").read_bytes()[:500])
    with pytest.raises(ValueError, match="cannot unpack it"):
        unpack(tmp_path / "cut.zip", tmp_path / "db", 10**8)
    assert list((tmp_path / "db").iterdir()) == []


def test_unpacking_joins_what_is_there(tmp_path):
    (tmp_path / "db/wav").mkdir(parents=True)
    (tmp_path / "db/wav/old.wav").write_bytes(b"old")
    archive = tarred(tmp_path / "a.tar.gz", ("wav", tarfile.DIRTYPE, ""), ("wav/new.wav", tarfile.REGTYPE, ""))
    unpack(archive, tmp_path / "db", 10**6)
    assert sorted(path.name for path in (tmp_path / "db/wav").iterdir()) == ["new.wav", "old.wav"]


@pytest.mark.parametrize("name", ["x.tar.xz", "x.tar.gz", "x.tar.bz2", "x.tar", "x.zip"])
@pytest.mark.parametrize("damage", ["cut", "middle", "junk"])
def test_damaged_archives_are_one_line(tmp_path, name, damage):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/noise").write_bytes(np.random.default_rng(0).bytes(200_000))
    form = {"zip": "zip", "tar": "tar", "gz": "gztar", "bz2": "bztar", "xz": "xztar"}[name.rpartition(".")[2]]
    made = Path(shutil.make_archive(str(tmp_path / "made"), form, tmp_path / "in"))
    whole = bytearray(made.read_bytes())
    if damage == "cut":
        del whole[len(whole) // 2 :]
    else:
        middle = len(whole) // 2
        whole[middle : middle + 400] = bytes(400) if damage == "middle" else np.random.default_rng(1).bytes(400)
    (tmp_path / name).write_bytes(whole)
    if name == "x.tar" and damage != "cut":
        return  # a plain tar has no checksum of its content
    with pytest.raises(ValueError, match=f"{name}: cannot unpack it .*; download it again"):
        unpack(tmp_path / name, tmp_path / "out", 10**7)
    assert not [*(tmp_path / "out").iterdir()]


def test_empty_folders_count_as_members(tmp_path, monkeypatch):
    monkeypatch.setattr("c2ser.prep.unpack.MAX_FILES", 100)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for number in range(101):
            archive.writestr(f"{number}/", "")
    with pytest.raises(ValueError, match="x.zip: holds more than .* 100 files and folders"):
        unpack(tmp_path / "x.zip", tmp_path / "out", 10**7)


def test_a_member_without_a_name_is_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("."), io.BytesIO())
    with pytest.raises(ValueError, match="x.tar: a member without a name; download it again"):
        unpack(tmp_path / "x.tar", tmp_path / "out", 10**7)
