"""Error texts that no other test raises: each names its thing, and its remedy is the last part."""

import errno
import importlib.util
import io
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
import torch

from c2ser import audio
from c2ser.attributes.levels import compute_stats, read_attributes, stats_from_json
from c2ser.attributes.loudness import loudness
from c2ser.attributes.pitch import Track, check_length
from c2ser.attributes.rate import speaking_rate
from c2ser.audio_files import open_audio
from c2ser.baselines.answers import answer
from c2ser.baselines.config import BaselineConfig
from c2ser.baselines.instructions import Instructions, instruction
from c2ser.chat.config import ChatConfig
from c2ser.cli import make_parser
from c2ser.corpus import Utterance, read_data_dir, read_data_dirs
from c2ser.cot.generate import check_attempts
from c2ser.data.arks import read_matrix
from c2ser.data.config import CropConfig
from c2ser.data.crops import CropBatches
from c2ser.data.datasets import check_seconds, read_items
from c2ser.data.perturb import read_perturbation
from c2ser.data.prefetch import prefetch
from c2ser.data.sampler import Batches
from c2ser.data.subset import write_subset
from c2ser.emotion2vec.config import Emotion2VecConfig, ProbeConfig
from c2ser.emotion2vec.embeddings import load_checked_wave
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.emotion2vec.probe import ProbeData, train_probe
from c2ser.label_sets import SEVEN, LabelSet, read_label_set
from c2ser.labelling.annotation import digest, make_page, read_annotations
from c2ser.prep.columns import Columns
from c2ser.prep.import_tables import import_tables
from c2ser.prep.label_names import read_labels
from c2ser.prep.layout import read_rows
from c2ser.prep.segments import cut
from c2ser.prep.table_rows import read_rows_of
from c2ser.prep.video import extract
from c2ser.prep.writer import write_corpus
from c2ser.recordings import formats
from c2ser.recordings.assembly import Options
from c2ser.recordings.inputs import find_recordings
from c2ser.recordings.output import Output
from c2ser.recordings.pooling import Recording
from c2ser.recordings.predict_journal import PredictJournal
from c2ser.recordings.predict_run import predict_recordings
from c2ser.recordings.sources import blocks, samples
from c2ser.recordings.speech_model import check_language
from c2ser.recordings.turns import read_rttm
from c2ser.report.recordings import compressed
from c2ser.scoring.bootstrap import speaker_places
from c2ser.scoring.faithfulness import explicit_figures
from c2ser.scoring.metrics import aligned, timing
from c2ser.scoring.probabilities import fit_temperature, read_vectors
from c2ser.tables import read_table, write_json, write_table
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


def cut_off(folder, name="bad.wav"):
    path = sound(name)(folder)
    content = path.read_bytes()
    path.write_bytes(content[: min(9000, len(content) * 2 // 3)])
    return path


def cut_film(folder):
    """A sound whose head, before all samples, tells how long it is."""
    with av.open(str(folder / "bad.mov"), "w", container_options={"movflags": "faststart"}) as film:
        stream = film.add_stream("pcm_s16le", 16000, layout="mono")
        frame = av.AudioFrame.from_ndarray((SOUND * 9999).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = 16000
        film.mux([*stream.encode(frame), *stream.encode()])
    content = (folder / "bad.mov").read_bytes()
    (folder / "bad.mov").write_bytes(content[: len(content) // 2])
    return folder / "bad.mov"


class Gone(io.BytesIO):
    """A file on a disk that was taken away."""

    def seek(self, *place):
        raise OSError(errno.ENXIO, "No such device")


def heard(folder):
    return Utterance("t", "s", "bad", str(sound()(folder)), None, "en", "")


ANY_LENGTH = SimpleNamespace(shortest=1, longest=math.inf)


def without(package, function, *arguments):
    """Call a function as where a package is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, package, None)
        return function(*arguments)


def saved(folder):
    """A folder as the package datasets saves it."""
    for name in ("state.json", "dataset_info.json"):
        written("{}", name)(folder)
    return folder


def with_sets(folder):
    sound("a.wav")(folder)
    return written("file,emotion,split\na.wav,anger,train\n", "sets.csv")(folder)


def imported_table(folder, rows):
    sound("b.wav")(folder)
    return written(rows)(folder)


def resumed(folder, name):
    journal = PredictJournal(folder / "out", {}, True)
    journal.groups = [[{"name": name}]]
    journal.finished([SimpleNamespace(name="bad")])


def predicted(folder):
    """The one recording is no sound."""
    recordings = [Recording("bad", written("x", "bad.wav")(folder))]
    predict_recordings(recordings, None, Options(), Output(folder / "out.jsonl", "jsonl", formats.Columns()), {})


def told(folder, place):
    """Ask for an utterance whose tables are empty."""
    data = data_dir(folder / "data")
    for name in ("text", "utt2level"):
        written("a\n", name)(data)
    _, refused = Instructions(BaselineConfig(prompt=place), data=data).of("a")
    raise ValueError(f"a: {refused['a']}")


class Full:
    """A baseline that does not fit into the memory."""

    labels, transcribes = SEVEN, False

    def answer(self, waves, languages):
        raise torch.OutOfMemoryError


def answered(folder):
    answer(Full(), data_dir(folder / "data"), folder / "answer", BaselineConfig())


def recipe(name):
    """Return a module of egs/."""
    path = Path(__file__).parents[1] / f"egs/{name}.py"
    spec = importlib.util.spec_from_file_location(path.parts[-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spoken(voice, text):
    synthesis = recipe("mini/local/synthesis")
    synthesiser = synthesis.Synthesiser()
    if not text:
        synthesiser.library.espeak_Synth = lambda *given: 0  # its own library says something even then
    synthesiser.say(text, synthesis.Voice(voice, 170, 50, 50, 100))


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


def with_table(folder, name, lacking="text"):
    """A data directory one of whose tables is odd, and another is not there."""
    written("a x\n", name)(data_dir(folder))
    (folder / lacking).unlink()
    return folder


def prepared(folder):
    """Describe a corpus whose recordings were not fetched."""
    wav = written("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "bad.wav")(folder)
    write_corpus([Utterance("t", "s", "bad", wav, "anger", "en", "")], folder / "out")


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
    # rates and sound that other rows leave out
    "bad: 3 phonemes in 0 samples; correct its transcript": lambda p: speaking_rate("yes", "en", 0, "bad"),
    "bad: .* letters in a transcript in 'en'; correct text": lambda p: speaking_rate("здравствуйте", "en", 9, "bad"),
    "bad: 0 samples; remove it$": lambda p: loudness(SOUND[:0], "bad"),
    "bad: truncated, .* of 16000 samples; re-download /": lambda p: audio.load(cut_off(p, "bad.mp3"), "bad"),
    "bad: truncated, .* of 1.0 s; re-download /.*bad.mov": lambda p: audio.load(cut_film(p), "bad"),
    "bad: 0 samples in /.*bad.wav; remove it or": lambda p: audio.load(sound(seconds=0)(p), "bad"),
    "bad: cannot read /.*none.wav (No such file .*); check the path": lambda p: audio.load(p / "none.wav", "bad"),
    "bad: cannot read it (.*); check the disk it is on": lambda p: open_audio(Gone(b"x"), "bad").__enter__(),
    "bad: a sample is NaN, .*; convert it again from its source": lambda p: audio.check_range(SOUND * 1e30, "bad"),
    "bad: longer than 3600 s; cut it into utterances$": lambda p: cut(long_sound(p), p, "bad", 0, None),
    # tables and settings
    "bad: 'x' is not file.ark:offset; extract the embeddings again": lambda p: read_matrix("x", "bad"),
    "bad: cannot read /.*none.ark (No such.*); extract": lambda p: read_matrix(f"{p}/none.ark:0", "bad"),
    "bad: 'x' is not milliseconds and tokens; decode again": lambda p: timing({"bad": "x"}),
    "the timing table is empty; decode again": lambda p: timing({}),
    "bad: '0.5 0.5' is not 7 numbers; decode again": lambda p: read_vectors({"bad": "0.5 0.5"}),
    "bad: no emotion; complete utt2emo": lambda p: aligned({"bad": ""}, {}),
    "s-bad: 1 s; cut it, or raise batches.max_seconds": lambda p: load_checked_wave(heard(p), ANY_LENGTH, 0.5),
    "s-bad: 1.0 s, over the encoder's 0.5; cut it":
        lambda p: load_checked_wave(heard(p), SimpleNamespace(shortest=1, longest=0.5), 9),
    "no training utterance .* (a: s-a: 1 s; cut it, or raise batches.max_seconds); mend that, or give other data":
        lambda p: CropBatches(read_data_dir(data_dir(p)), {"a": 0.5}, CropConfig(max_seconds=0.5), 1, 9).at(0),
    "--attempts 0: none is too few; give 1 or more": lambda p: check_attempts(0, "template", ChatConfig()),
    "num_workers: 0 threads load nothing; give 1": lambda p: [*prefetch([], str, 0)],
    "/.*bad.csv: not YAML (month must be .*); correct it": lambda p: read_yaml(written("a: 2020-13-01")(p)),
    "/.*bad.csv: not UTF-8; save it as UTF-8": lambda p: read_yaml(written(b"\xff")(p)),
    "--labels /.*none.yaml: No such file .*; give seven, raw or": lambda p: read_labels(str(p / "none.yaml")),
    "/.*bad.csv: no column x, only a, b; take the corpus' own": lambda p: [*read_rows(written("a,b\n")(p), "x")],
    "bad: no speaker; complete utt2spk": lambda p: speaker_places(["bad"], {}),
    # tables of recordings
    "bad.csv:2: no set, but other tables have sets; add a column 'split'":
        lambda p: import_tables([with_sets(p), imported_table(p, "file,emotion\nb.wav,anger\n")], p / "out", Columns()),
    "/.*bad.parquet: reading it needs pandas and pyarrow; pip install":
        lambda p: without("pandas", read_rows_of, written("x", "bad.parquet")(p), p),
    "/.*: reading it needs the package datasets; pip install": lambda p: without("datasets", read_rows_of, saved(p), p),
    ".*: its speaker is 'x' in bad.csv:2 and 'y' in bad.csv:3; correct one of them":
        imported("file,emotion,speaker,annotator\na.wav,anger,x,1\na.wav,anger,y,2\n"),
    "/.*out.partial: a run over other recordings; repeat them": lambda p: resumed(p, "other"),
    "bad: not one of 1 recordings is usable; mend what": predicted,
    # classes
    "s: class 3: no name; write a word without blanks": lambda p: LabelSet.from_json({"names": [3]}, "s"),
    "s: odd words or seven; write words as": lambda p: LabelSet.from_json({"names": ["a"], "seven": [1]}, "s"),
    "s: class 'a': given twice; give it once": lambda p: LabelSet.from_json({"names": ["a", "a"]}, "s"),
    "s: 'b' is both a and b; give each class words":
        lambda p: LabelSet.from_json({"names": ["a", "b"], "words": {"a": {"en": "b"}}}, "s"),
    "/.*bad.json: its labels are for another set of utterances; give": annotated({"set": "x"}),
    # instructions and batches of baselines
    "baseline.voxemo, baseline.style: each asks in its own manner; give one":
        lambda p: instruction(BaselineConfig(voxemo=True, style="implicit")),
    "a: no words in text, which the instruction tells; complete it": lambda p: told(p, "{transcript}"),
    "a: no levels in utt2level, which the instruction tells; run stage 2": lambda p: told(p, "{pitch}"),
    "a: in its batch of 1 utterances the GPU ran out of memory; lower batch_utterances": answered,
    # corpora
    "/.*: no csv file with the headings .*; put the consensus labels there":
        lambda p: recipe("biic_podcast/local/data_prep").table(p),
    "/.*: no .jsonl or .tar in ZH EN; give the folder that":
        lambda p: recipe("emilia/local/data_prep").main(p, p / "out"),
    "/.*: no x.csv in it nor one folder below; take it": lambda p: recipe("meld/local/data_prep").located(p, "x.csv"),
    "emodb: /.*none: no such folder; give the corpus with --db-root": lambda p: recipe("c2ser/local/recipes").prepare(
        "emodb", p / "none", p / "out", p / "sound", "seven", None, 1),
    "nobody: espeak-ng has no such voice; choose another": lambda p: spoken("nobody", "yes"),
    # further tables of a data directory
    "a: 'x' in /.*utt2channel is no number of a channel; write": lambda p: read_data_dir(with_table(p, "utt2channel")),
    "a: 'x' in /.*utt2dur is no number from 0; write it anew": lambda p: read_data_dir(with_table(p, "utt2dur")),
    "a: in .* and in another of the data directories; give each": lambda p: read_data_dirs([data_dir(p)] * 2),
    "/.*wav.scp: a pipe for a, and pipes are never run; write": lambda p: read_rows_of(data_dir(p, "ls |"), p),
    "/.*segments: 'a x' is not an id, a recording of wav.scp": lambda p: read_rows_of(with_table(p, "segments"), p),
    "a: line break in its value for /.*x; replace it by a": lambda p: write_table(p / "x", {"a": "b\nc"}),
    "/.*: every .* a pointer of git-lfs instead of audio; run git lfs pull": lambda p: prepared(p),
    "bad: NaN or Inf in it; convert it again from its source": lambda p: loudness(SOUND * np.nan, "bad"),
    "no utterance has both label scores and an emotion; check": lambda p: fit_temperature({}, {"a": "anger"}),
    "/.*: no utterance with usable audio; run stage 0 first":
        lambda p: read_items(with_table(p, "wav.scp", "utt2dur"), []),
    "en: nothing was said for ''; give words of its language": lambda p: spoken("en", ""),
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


def test_settings_without_names_are_one_line(tmp_path, capsys):
    path = written("[3]", "bad.yaml")(tmp_path)
    with pytest.raises(SystemExit):
        make_parser(write_subset).parse_args(["--config", str(path)])
    assert f"{path}: not settings (no names with values); correct it; see --help" in capsys.readouterr().err


SCRIPTS = {
    "data is one of the sources; choose another destination": "combine_data.sh data data",
    "data is the source; choose another destination": "subset_data_dir.sh data 1 data",
    "data has none of these; check the list": "subset_data_dir.sh --utt-list ids data out",
    "a data directory, a number and a destination are needed; give all three": "subset_data_dir.sh data 1",
    "the launcher has no name; give run.py, slurm.py or ray_data.py": "map_data.sh --cmd '' --nj 1 data data/t true",
    "--utt-list and --spk-list exclude each other; give one of them":
        "subset_data_dir.sh --utt-list ids --spk-list ids data out",
    "data has 1 utterances, not 7; ask for fewer": "subset_data_dir.sh data 7 out",
    "x is not a number of utterances; give 1 or more": "subset_data_dir.sh data x out",
    "data: 1 utterances cannot make 2 parts; ask for fewer": "split_data.sh data 2 out",
    "data has 3 defects; mend what is named above": "validate_data_dir.sh data",
    "data/t: some parts failed; mend that and run it again": "map_data.sh --nj 1 data data/t false",
    "data/t: part 1 is missing; see data/log/t.1.log": "map_data.sh --nj 1 data data/t true",
    "1 of 1 shards lack t; mend that and run it again, the others are kept": "map_shards.sh . t false",
    "t.ark: an archive cannot be dealt out to shards; give each shard to map_data.sh":
        "map_shards.sh . t bash -c 'touch \"$4\" \"$4.ark\" && echo a b > \"$4\"' t",
    "--utt-suffix: 'a b' has a blank; leave it out": "copy_data_dir.sh --utt-suffix 'a b' data out",
    "data: no utterance has audio and a speaker; correct wav.scp and utt2spk": "fix_data_dir.sh data",
}  # fmt: skip
"""What scripts of utils/ say, and how they are called."""


@pytest.mark.parametrize("text", SCRIPTS)
def test_an_error_of_a_script_is_one_line(tmp_path, root, text):
    data_dir(sub := tmp_path / "data", "x.wav")
    (tmp_path / "ids").write_text("b\n")
    (tmp_path / "shards").write_text("data\n")
    done = subprocess.run(f"{root}/utils/{SCRIPTS[text]}", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and text in done.stderr, done.stderr
    assert sub.is_dir() and not (tmp_path / "out/wav.scp").exists()


RECIPES = {
    "--wordings: there are 10, not 11; give 1 to 10": "./run.sh --wordings 11",
    "the corpus is needed; give its folder with --db-root, or set root_own in local/site.sh": "./run.sh",
    "two encoders would share exp/probe_same; give one as NAME=path":
        "./run.sh --stage 5 --emotion2vec none --probe-models 'a/same b/same'",
    "--kinds: none is given; leave the option out": "../../local/claims.sh --kinds ''",
    "--kinds: there is no x; choose c2ser, without_cot": "../../local/claims.sh --kinds x",
    "emotion2vec+ is needed; give its checkpoint with --speech-model": "../../local/label.sh --stage 1",
    "the experts' files are needed; give them with --experts": "../../local/label.sh --stage 6 --stop-stage 6",
    "run.sh is not here; call this from the folder of a recipe": "cd local && ../../../local/cross_validate.sh",
    "--groups: data/folds has another number of groups; remove it": "../../local/cross_validate.sh --groups 4",
    "--only-groups: there is no group 6; choose from 1 to 5": "../../local/cross_validate.sh --only-groups '2 6'",
    "--only-groups: 'two' is no list of numbers; write them": "../../local/cross_validate.sh --only-groups two",
    "--groups: 3 are more than the folds, which are 1; give no more":
        "mv 'data/a 1' data/own; rm data/folds/groups; echo a 1 > data/own/utt2fold; echo true > run.sh; "
        "../../local/cross_validate.sh --sets own --groups 3",
    "--baselines: classifiers are trained by the recipes of single corpora alone; leave them out":
        "{root}/egs/c2ser/run.sh --baselines classifier",
    "--emotion2vec: the tables of the paper need one; give": "{root}/egs/c2ser/run.sh --emotion2vec none",
    "--tag: done is a folder of the recipe itself; choose another name": "./run.sh --tag done",
    "nothing.yaml is missing; put it into ../../local/conf/small":
        ". ../../utils/stage.sh; . ../../local/functions.sh; root=../.. size=small; read_configs nothing",
    "sound and words agree nowhere; lower --minimum, or look at": "../../local/label.sh --stage 3 --stop-stage 3",
}  # fmt: skip
"""What the scripts of recipes say, called in the folder of one."""


@pytest.mark.parametrize("text", RECIPES)
def test_an_error_of_a_recipe_is_one_line(own_recipe, root, text):
    for table in ("shards", "candidates/wav.scp", "folds/groups"):
        (path := own_recipe / "data" / table).parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a 1\n")
    data_dir(shard := own_recipe / "data/a 1")
    for table, emotion in (("utt2speech", "anger"), ("utt2words", "fear")):
        (shard / table).write_text(f"a {emotion} 0.9\n")
    command = RECIPES[text].format(root=root)
    done = subprocess.run(["bash", "-c", command], cwd=own_recipe, capture_output=True, text=True)
    assert done.returncode == 1 and text in done.stderr.splitlines()[-1], done.stderr
