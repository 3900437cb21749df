"""The writer of data directories: ids, order, filters, counts."""

import dataclasses
import logging
import subprocess

import numpy as np
import pytest
import soundfile

from c2ser.corpus import Utterance, durations, read_data_dir, wave
from c2ser.prep.count_report import counts
from c2ser.prep.writer import write_corpus
from c2ser.tables import read_table, write_table


def sound(folder, name, seconds=0.5):
    path = folder / f"{name}.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).normal(size=int(seconds * 8000)), 8000)
    return path


def utterances(tmp_path):
    audio = sound(tmp_path, "a b $(touch x)")
    long = sound(tmp_path, "long", 21)
    yield Utterance("train", "s2", "1", audio, "anger", "en", "what  a\n 'day'")
    yield Utterance("train", "s1", "1", audio, "fear", "de", "nein")
    yield Utterance("train", "s1", "2", audio, None, "de", "ach")
    yield Utterance("train", "s1", "3", long, "anger", "de", "lang")
    yield Utterance("train", "s1", "4", tmp_path / "missing.wav", "anger", "de", "fehlt")
    yield Utterance("test", "s3", "1", long, "neutral", "zh", "", channel=0)


def later_tables(folder, ids):
    for name in ("utt2attr", "utt2flag", "utt2level", "cot_explicit", "cot_explicit.writer"):
        write_table(folder / name, {i: "1 2 3" for i in ids})
    write_table(folder / "utt2attr.rejected", {})
    (folder / "cot_explicit.json").write_text("{}")
    (folder / "utt2level.parts/1").mkdir(parents=True)


def test_another_split_makes_the_directories_anew_and_says_what_became_stale(tmp_path, root, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    out, wav = tmp_path / "data", sound(tmp_path, "a")
    first = [
        Utterance(name, f"s{n}", "1", wav, "anger", "en", "yes")
        for n, name in ((1, "train"), (2, "train"), (3, "test"))
    ]
    write_corpus(first, out)
    own = {path.name for path in (out / "train").iterdir()}
    later_tables(out / "train", ["s1-1", "s2-1"])
    later_tables(out / "test", ["s3-1"])
    write_corpus(first, out)
    assert "were removed" not in caplog.text and (out / "train/cot_explicit.json").exists()
    write_corpus([dataclasses.replace(u, set="test") if u.speaker == "s2" else u for u in first], out)
    for name in ("train", "test"):
        assert {path.name for path in (out / name).iterdir()} == own
        done = subprocess.run([root / "utils/validate_data_dir.sh", out / name], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    said = "train: other utterances than before; cot_explicit, utt2attr, utt2flag, utt2level are of the old ones"
    assert said in caplog.text and "run the later stages again" in caplog.text


def test_what_a_killed_run_left_of_another_split_goes_too(tmp_path):
    out, wav = tmp_path / "data", sound(tmp_path, "a")
    utterances = [Utterance("train", f"s{n}", "1", wav, "anger", "en", "yes") for n in (1, 2)]
    write_corpus(utterances, out)
    later_tables(out / "train", ["s1-1", "s9-1"])
    (out / "train/utt2odd").write_bytes(b"\xff\n")
    write_corpus(utterances, out)
    assert not [path for path in (out / "train").iterdir() if path.name.startswith(("cot", "utt2a", "utt2o"))]


def test_write_and_read(tmp_path):
    out = tmp_path / "data"
    found = counts(write_corpus(utterances(tmp_path), out))
    assert found["train"] == {"anger": 1, "fear": 1, "all": 5} and found["test"] == {"neutral": 1, "all": 1}
    assert list(read_table(out / "train" / "wav.scp")) == ["s1-1", "s2-1"]
    assert read_table(out / "train" / "text")["s2-1"] == "what a 'day'"
    assert not (out / "test" / "text").exists()
    assert read_table(out / "train" / "spk2utt") == {"s1": "s1-1", "s2": "s2-1"}
    assert {u: r.split(";")[0] for u, r in read_table(out / "train" / "rejected").items()} == {
        "s1-2": "its label is none of the seven emotions",
        "s1-3": "21.0 s, over 20 s",
        "s1-4": f"cannot read {tmp_path}/missing.wav (No such file or directory)",
    }
    read = read_data_dir(out / "train")
    assert read["s2-1"].id == "s2-1" and read["s2-1"].emotion == "anger" and read["s2-1"].language == "en"
    assert dict(durations(read)) == {"s1-1": 0.5, "s2-1": 0.5}
    assert wave(read["s1-1"]).shape == (8000,)
    assert read_data_dir(out / "test")["s3-1"].channel == 0


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda a: [Utterance("t", "s", "1", a, "anger", "en", "")] * 2, "s-1: given twice"),
        (lambda a: [Utterance("t", "s p", "1", a, "anger", "en", "")], "bad utterance or speaker id"),
        (lambda a: [Utterance("t", "s", "1", a, None, "en", "")], "every utterance was rejected|no utterance found"),
        (lambda a: [], "no utterance found"),
    ],
)
def test_bad_corpora(tmp_path, made, message):
    with pytest.raises(ValueError, match=message):
        write_corpus(made(sound(tmp_path, "a")), tmp_path / "data")


def test_pipes_are_never_run(tmp_path):
    (tmp_path / "wav.scp").write_text(f"a touch {tmp_path}/pwned |\n")
    (tmp_path / "utt2spk").write_text("a a\n")
    with pytest.raises(ValueError, match="^a: .*pipe"):
        read_data_dir(tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_progress_in_a_log(caplog, monkeypatch):
    from c2ser import log

    monkeypatch.setattr(log, "LOG_INTERVAL", 0.0)
    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    with caplog.at_level(logging.INFO):
        assert list(log.progress(iter("abc"), "utterances", 3)) == ["a", "b", "c"]
    assert "3 of 3 utterances" in caplog.text


def test_segments_are_refused_by_name(test_data, root):
    folder = test_data / "failing/segments_dir"
    with pytest.raises(ValueError, match="segments_dir/segments: segments of recordings are not read; write each into"):
        read_data_dir(folder)
    done = subprocess.run([root / "utils/validate_data_dir.sh", folder], capture_output=True, text=True)
    assert done.returncode == 1 and "segments: segments of recordings are not read; write each" in done.stderr
