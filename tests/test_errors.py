"""Error texts that no other test raises: each names its thing, and its remedy is the last part."""

import io
import re
import subprocess

import av
import numpy as np
import pytest
import soundfile

from c2ser import audio
from c2ser.attributes.levels import compute_stats, read_attributes, stats_from_json
from c2ser.attributes.loudness import loudness
from c2ser.attributes.pitch import Track, check_length
from c2ser.attributes.rate import speaking_rate
from c2ser.baselines.config import BaselineConfig
from c2ser.baselines.instructions import instruction
from c2ser.corpus import Utterance, read_data_dir
from c2ser.data.datasets import check_seconds, read_items
from c2ser.data.perturb import read_perturbation
from c2ser.data.sampler import Batches
from c2ser.data.subset import write_subset
from c2ser.emotion2vec.config import Emotion2VecConfig, ProbeConfig
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.emotion2vec.probe import ProbeData, train_probe
from c2ser.label_sets import read_label_set
from c2ser.labelling.annotation import digest, make_page, read_annotations
from c2ser.prep.columns import Columns
from c2ser.prep.import_tables import import_tables
from c2ser.prep.label_names import read_labels
from c2ser.prep.segments import cut
from c2ser.prep.table_rows import read_rows_of
from c2ser.prep.video import extract
from c2ser.recordings.inputs import find_recordings
from c2ser.recordings.sources import blocks, samples
from c2ser.recordings.speech_model import check_language
from c2ser.recordings.turns import read_rttm
from c2ser.report.recordings import compressed
from c2ser.scoring.faithfulness import explicit_figures
from c2ser.scoring.metrics import aligned
from c2ser.tables import read_table, write_json
from c2ser.training.finetune_sets import split_speakers
from c2ser.yaml_files import read_yaml

EMPTY = ProbeData({}, {})

SOUND = np.sin(np.arange(16000) / 9).astype(np.float32)


def written(content, name="bad.csv"):
    """Return a function that writes a file and returns its path."""

    def write(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return write


def sound(name="bad.wav", seconds=1.0):
    def write(folder):
        soundfile.write(folder / name, np.tile(SOUND, 4)[: int(16000 * seconds)], 16000)
        return folder / name

    return write


def imported(rows):
    """Import a table whose recordings are there."""

    def stage(folder):
        for name in "ab":
            sound(f"{name}.wav", 2)(folder)
        import_tables([written(rows)(folder)], folder / "out", Columns())

    return stage


def annotated(content):
    def stage(folder):
        utterances = {"a": None}
        entry = {"expert": "x", "set": digest(utterances), "labels": {}, "more": {}, "confidence": {}, **content}
        path = folder / "bad.json"
        write_json(path, entry)
        read_annotations([path], utterances)

    return stage


def all_of(source, rate=None):
    return [*blocks(source, rate, "bad")]


def sums(count):
    return {name: {"count": count, "total": 0, "squares": 0} for name in ("pitch", "loudness", "rate")}


def cut_off(folder):
    path = sound()(folder)
    path.write_bytes(path.read_bytes()[:9000])
    return path


def long_sound(folder):
    """A compressed hour and a second of silence."""
    soundfile.write(folder / "bad.flac", np.zeros(3601 * 8), 8)
    return folder / "bad.flac"


def silent_film(folder):
    with av.open(str(folder / "bad.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", 25)
        stream.width = stream.height = 32
        for packet in [*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode()]:
            film.mux(packet)
    return folder / "bad.mp4"


def data_dir(folder, wav=None):
    """A data directory of one utterance."""
    folder.mkdir(exist_ok=True)
    wav = wav or sound("a.wav")(folder)
    for name, value in (("wav.scp", wav), ("utt2spk", "s"), ("utt2emo", "anger"), ("text", "yes"), ("utt2dur", "1")):
        written(f"a {value}\n", name)(folder)
    return folder


SIZES = {"dim": 16, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "tokens": 2, "convs": [[8, 10, 5]] * 2,
         "position_depth": 1, "position_kernel": 3, "position_groups": 2, "decoder_layers": 0}  # fmt: skip

ROWS = {
    # attributes
    "utt2attr: holds no utterance; run stage 1 again": lambda p: compute_stats({}),
    "bad: '1 2' is not 3 numbers of speech; run stage 1 again": lambda p: read_attributes({"bad": "1 2"}),
    "bad: 0 samples; remove it": lambda p: loudness(SOUND[:0], "bad"),
    "bad: silent (below -70 LUFS); remove it": lambda p: loudness(SOUND * 1e-6, "bad"),
    "bad: 9 samples of sound, pitch needs 0.128 s; remove it": lambda p: check_length(SOUND[:9], "bad"),
    "bad: no voiced frame; check that it holds speech": lambda p: Track(SOUND, SOUND * 0).mean(0.5, "bad"),
    "bad: it has no transcript; add one to text": lambda p: speaking_rate(" ", "en", 9, "bad"),
    "/.*bad.csv: counts no utterance; run stage 2 again": lambda p: stats_from_json(sums(0), p / "bad.csv"),
    "/.*bad.csv: lacks count, total and squares of an attribute": lambda p: stats_from_json({}, p / "bad.csv"),
    # audio
    "bad: truncated, .* bytes of audio; re-download /.*bad.wav": lambda p: audio.load(cut_off(p), "bad"),
    "bad: longer than 3600 s; cut it into utterances": lambda p: audio.load(long_sound(p), "bad"),
    "bad: no sound in /.*bad.mp4; remove it or re-download": lambda p: audio.load(silent_film(p), "bad"),
    "bad: silence throughout; remove it": lambda p: audio.check_sound(SOUND * 0, "bad"),
    "bad: /.*bad.wav is empty; re-download it": lambda p: audio.load(written("", "bad.wav")(p), "bad"),
    "bad: cannot read /.*bad.wav (.*); check or re-download": lambda p: audio.load(written("x", "bad.wav")(p), "bad"),
    "bad: its part of the file is from 3 to 2 s; correct start": lambda p: cut(sound()(p), p, "bad", 3, 2),
    "bad: its start at 3 s is after the end of /.*; correct it": lambda p: cut(sound()(p), p, "bad", 3, 4),
    "bad: its end at 4 s is after that of /.*, 1.00 s; correct it": lambda p: cut(sound()(p), p, "bad", 0.5, 4),
    "bad: cannot read /.*x.mp4 (No such file .*); re-download it": lambda p: extract(p / "x.mp4", p / "x.wav", "bad"),
    # recordings
    "/.*bad.txt: it names no recording; write one path": lambda p: find_recordings([written("\n", "bad.txt")(p)]),
    "/.*bad.txt: not UTF-8; convert the file": lambda p: find_recordings([written(b"\xff", "bad.txt")(p)]),
    "/.*bad.csv: no column file, or one twice, in x; correct": lambda p: find_recordings([written("x\ny\n")(p)]),
    "/.*bad.csv:2: 2 fields, but 1 columns; put quotes": lambda p: find_recordings([written("file\na,b\n")(p)]),
    "/.*bad.csv:2: start 'x', end '1'; give sec": lambda p: find_recordings([written("file,start,end\na,x,1\n")(p)]),
    "/.*bad.csv: no line of type SPEAKER; give a file in RTTM": lambda p: read_rttm(written("x\n")(p)),
    "/.*bad.csv: not UTF-8; convert the file": lambda p: read_rttm(written(b"\xff")(p)),
    "/.*bad.csv:1: a turn of -1 s at 0 s; correct the line": lambda p: read_rttm(written("SPEAKER a 1 0 -1 x x b")(p)),
    "/.*bad.csv:1: no turn; RTTM has SPEAKER, name, ch": lambda p: read_rttm(written("SPEAKER a 1 0\n")(p)),
    "bad: a dictionary with x; give array (or raw) and sampling_rate": lambda p: all_of({"x": 1}),
    "bad: an array of shape (2, 30, 30) is no recording; give": lambda p: samples(np.zeros((2, 30, 30)), "bad"),
    "bad: samples of type int64; give int16, int32, or float": lambda p: samples(np.zeros(9, np.int64), "bad"),
    "bad: NaN or Inf in its samples; make them again": lambda p: samples(SOUND * np.nan, "bad"),
    "bad: samples up to 30000; divide integers by their": lambda p: samples(np.full(9, 3e4), "bad"),
    "bad: its rate is unknown; give rate=": lambda p: all_of(SOUND),
    "bad: a rate of 3; give the samples per second, such as": lambda p: all_of(SOUND, 3),
    "bad: opened as text; open it with mode rb": lambda p: all_of(io.StringIO("x")),
    "bad: int is no recording; give a path, bytes, an open": lambda p: all_of(3),
    # tables to import
    "/.*bad.xlsx: spreadsheets are not read; save it as CSV": lambda p: read_rows_of(written("x", "bad.xlsx")(p), p),
    "/.*bad.json:1: not JSON (.*); correct it": lambda p: read_rows_of(written("[x", "bad.json")(p), p),
    "/.*bad.json:1: not JSON (.*); write one object": lambda p: read_rows_of(written("{x", "bad.json")(p), p),
    "/.*bad.json:2: no JSON object; write one {…} for": lambda p: read_rows_of(written("[{}, 3]", "bad.json")(p), p),
    "/.*bad.parquet: no Parquet file (.*); export it again":
        lambda p: pytest.importorskip("pyarrow") and read_rows_of(written("x", "bad.parquet")(p), p),
    "/.*bad.csv:2: 3 fields, but 2 headings; put texts that hold a \",\" between quotes":
        lambda p: read_rows_of(written("a,b\nx,y,z\n")(p), p),
    "bad.csv:2: its set is 'x', not train, valid, test, test1 or the like; rename it, put all into one set":
        imported("file,emotion,split\na.wav,anger,x\n"),
    "/.*a.wav: in two sets, 'train' by bad.csv:2 and 'test' by bad.csv:3; give it one":
        imported("file,emotion,split\na.wav,anger,train\na.wav,anger,test\n"),
    "bad.csv:3: the same part of a file as in bad.csv:2; remove one":
        imported("file,emotion,start,end\na.wav,anger,0,1\na.wav,anger,0.0001,1\nb.wav,fear,0,1\n"),
    "/.*bad.csv: no emotion by label; write lines such as 'livid": lambda p: read_labels(str(written("- x")(p))),
    "/.*bad.csv: livid: 'angry' is none of .*; name one, or": lambda p: read_labels(str(written("livid: angry")(p))),
    "/.*labels.json: class '.*': holds .*; use letters, digits, - and":
        lambda p: read_label_set(written('{"names": ["a\\tb"]}', "labels.json")(p).parent),
    "/.*labels.json: no classes; write {\"names\": [\"calm\", \"frustrated\"]}":
        lambda p: read_label_set(written("{}", "labels.json")(p).parent),
    # tables
    "/.*bad.csv:1: blank line or byte order mark; run utils/": lambda p: read_table(written("\na x\n")(p)),
    "/.*bad.csv:1: 'a.x00' is no id; write an id, a space": lambda p: read_table(written("a\0 x\n")(p)),
    "a: second line in /.*bad.csv:2; run utils/fix_data_dir": lambda p: read_table(written("a x\na y\n")(p)),
    "/.*bad.csv:1: not UTF-8; convert the file": lambda p: read_table(written(b"\xff x\n")(p)),
    "/.*: cannot be read (Is a directory); give a table": lambda p: read_table(p),
    "/.*bad.csv: not YAML (.*); correct it": lambda p: read_yaml(written("a: [")(p)),
    # data
    "a: no path in /.*/wav.scp; complete its line": lambda p: read_data_dir(written("a\n", "wav.scp")(p).parent),
    "/.*cot_implicit: missing; run stage 3 first": lambda p: read_items(data_dir(p), ["implicit"]),
    "a: 99.0 s, over the model's 30 s; cut it into": lambda p: check_seconds(99, "a"),
    "/.*: one speaker alone, so no other can validate; give": lambda p: split_speakers(data_dir(p), p),
    "a: no file x.wav; check wav.scp": lambda p: make_page(data_dir(p, "x.wav"), p / "out", "t"),
    "no embeddings to train or validate the probe on; run": lambda p: train_probe(EMPTY, EMPTY, ProbeConfig()),
    "longer than .* s; listen to its file":
        lambda p: compressed(Utterance("t", "s", "a", "x", None, "en", "", duration=9999)),
    "language 'english': no code of ISO 639-1; give two": lambda p: check_language("english"),
    "decoder_layers: 0, so nothing predicts masked frames; give":
        lambda p: Emotion2Vec(Emotion2VecConfig(**SIZES)).student(None, None),
    # tables of annotators
    ".*: annotator x calls it anger and, in bad.csv:3, fear; correct one row":
        imported("file,emotion,annotator\na.wav,anger,x\na.wav,fear,x\n"),
    ".*: its vote for anger in bad.csv:2 is '-1', no number from 0 on; correct it":
        imported("file,anger,fear\na.wav,-1,3\n"),
    ".*: its valence in bad.csv:2 is 'x', no number; correct it": imported("file,emotion,valence\na.wav,anger,x\n"),
    "loud: no such perturbation; give noise<dB>": lambda p: read_perturbation("loud"),
    "speed99: out of range; give speed0.5 to speed2": lambda p: read_perturbation("speed99"),
    "wav.scp: no utterance is left to make batches of; see": lambda p: Batches({}, 9.0),
    "x: no utterance is left for y, the first because: why":
        lambda p: write_subset("x", "y", [], {}, {"a": "why"}),
    # answers and labels
    "wording: 11 is none; choose 0 to 10": lambda p: instruction(BaselineConfig(), 11),
    "no answer has a level and a transcript to compare with": lambda p: explicit_figures({}, {}, {}),
    "the reference has no utterance; give the utt2emo of a": lambda p: aligned({}, {}),
    "a: 'joy' in /.* is no label of an utterance of this set": annotated({"labels": {"a": "joy"}}),
}  # fmt: skip
"""How a message begins, parentheses, brackets and + as they are; and what raises it."""


@pytest.mark.parametrize("text", ROWS)
def test_an_error_names_its_thing_and_a_remedy(tmp_path, text):
    pattern = re.sub(r"([()\[\]{}+])", r"\\\1", text).replace(r"\(.*\)", r"\(.*\)")
    with pytest.raises((ValueError, OSError)) as caught:
        ROWS[text](tmp_path)
    message = str(caught.value)
    assert re.match(pattern, message), message
    assert ";" in message and "\n" not in message


SCRIPTS = {
    "data is one of the sources; choose another destination": "combine_data.sh data data",
    "data is the source; choose another destination": "subset_data_dir.sh data 1 data",
    "data has none of these; check the list": "subset_data_dir.sh --utt-list ids data out",
    "a data directory, a number and a destination are needed; give all three": "subset_data_dir.sh data 1",
    "the launcher has no name; give run.py, slurm.py or ray_data.py": "map_data.sh --cmd '' --nj 1 data data/t true",
}
"""What scripts of utils/ say, and how they are called."""


@pytest.mark.parametrize("text", SCRIPTS)
def test_an_error_of_a_script_is_one_line(tmp_path, root, text):
    data_dir(sub := tmp_path / "data", "x.wav")
    (tmp_path / "ids").write_text("b\n")
    done = subprocess.run(f"{root}/utils/{SCRIPTS[text]}", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and text in done.stderr, done.stderr
    assert sub.is_dir() and not (tmp_path / "out/wav.scp").exists()
