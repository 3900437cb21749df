"""From recordings to emotions: where speech is, timelines, formats, inputs, interrupted runs, models of all kinds."""

import csv
import functools
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from entry import run_entry
from fixtures.sound import voice
from test_docs import make_model

import c2ser
from c2ser import C2SER, audio
from c2ser.emotion2vec.checkpoints import LABELS
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.convert import save_model
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.emotions import EMOTIONS
from c2ser.recordings.assembly import Options
from c2ser.recordings.formats import FORMATS, SINGLE, caption, render
from c2ser.recordings.pooling import Recording, recognise_recordings
from c2ser.recordings.results import NO_SPEECH, UNSURE, Recognition, Segment, Timeline, differs
from c2ser.recordings.segmenting import SpanCutter, SpeechCutter, grid
from c2ser.recordings.timeline import make_timeline
from c2ser.recordings.turns import Turn, read_rttm, split
from c2ser.recordings.vad import CONTEXT, FRAME, Detector, network

RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder of a C²SER with tiny random parts."""
    made = tmp_path_factory.mktemp("model")
    make_model(made)
    return made / "implicit"


@pytest.fixture(scope="module")
def model(folder) -> C2SER:
    model = C2SER.from_pretrained(folder)
    model.predict = functools.partial(model.predict, answers=False)  # a random model's answers do not end
    return model


class Loudness:
    """Stands where tests look at everything but the model: louder speech is more probably anger."""

    classes = EMOTIONS

    def __init__(self, calls=float("inf")):
        self.calls = calls

    def recogniser(self, language=None, style=None, answers=True, decode=None):
        def recognise(waves):
            self.calls -= 1
            if self.calls < 0:
                raise KeyboardInterrupt
            return {name: self.recognition(wave) for name, wave in waves.items()}

        return recognise

    def recognition(self, wave):
        anger = float(np.clip(10 * np.abs(wave).mean(), 0.01, 0.9))
        values = {emotion: anger if emotion == "anger" else (1 - anger) / 6 for emotion in EMOTIONS}
        return Recognition(max(values, key=values.get), values, "The emotion of this speech is anger.")


def call(*parts):
    """Return voices and pauses one after the other: seconds, and whether somebody speaks."""
    waves = [
        voice(s, number) if speaks else np.zeros(int(RATE * s), np.float32)
        for number, (s, speaks) in enumerate(parts, start=1)
    ]
    return np.concatenate(waves)


def encode(path, wave, codec, rate=RATE, options=None, **more):
    """Write a mono waveform with PyAV."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", **more)
        resampler = av.AudioResampler(stream.format, stream.layout, rate)
        for start in range(0, len(wave), 4096):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, start : start + 4096]), "fltp", "mono")
            frame.sample_rate, frame.pts = RATE, start
            for piece in resampler.resample(frame):
                container.mux(stream.encode(piece))
        for piece in resampler.resample(None):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


# ---- audio of any format


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.m4a", "aac", 44100),
        ("a.mp4", "aac", 16000),
        ("a.webm", "libopus", 48000),
        ("a.wma", "wmav2", 44100),
        ("a.mkv", "ac3", 44100),
        ("a.aac", "aac", 16000),
        ("a.ac3", "ac3", 48000),
    ],
)
def test_what_libsndfile_cannot_read_is_read(tmp_path, name, codec, rate):
    path = encode(tmp_path / name, voice(2.0), codec, rate, bit_rate=96_000)
    wave = audio.load(path, "u")
    assert len(wave) / RATE == pytest.approx(2.0, abs=0.15)
    assert audio.duration(path, "u") == pytest.approx(len(wave) / RATE, abs=1e-3)
    spectra = [np.abs(np.fft.rfft(samples[8000:24000] * np.hanning(16000))) for samples in (wave, voice(2.0))]
    assert np.corrcoef(*spectra)[0, 1] > 0.9


def test_mp3_of_variable_rate_without_a_table_keeps_its_length(tmp_path):
    wave = np.concatenate([0.3 * np.random.default_rng(0).normal(size=RATE).astype(np.float32), np.zeros(9 * RATE)])
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("mp3", rate=RATE, layout="mono")
        stream.codec_context.flags |= 2  # constant quality
        stream.codec_context.global_quality = 118 * 2
        for start in range(0, len(wave), 1152):
            block = np.ascontiguousarray(wave[None, start : start + 1152].astype(np.float32))
            frame = av.AudioFrame.from_ndarray(block, "fltp", "mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert abs(soundfile.info(path).duration - 10) > 1  # what libsndfile guesses
    assert audio.duration(path, "u") == pytest.approx(10, abs=0.2)
    assert len(audio.load(path, "u")) / RATE == pytest.approx(10, abs=0.2)


def test_the_inputs_that_failed_once(test_data):
    seconds = {
        name: len(audio.load(test_data / "failing" / name, name)) / RATE
        for name in ("gsm.wav", "vbr_without_xing.mp3", "data_size_zero.wav", "voice_memo.m4a")
    }
    assert seconds["vbr_without_xing.mp3"] == pytest.approx(2.12, abs=0.1)
    assert seconds == pytest.approx(
        {"gsm.wav": 4, "vbr_without_xing.mp3": 2.12, "data_size_zero.wav": 1.9, "voice_memo.m4a": 2.45}, abs=0.1
    )


def test_a_cut_off_m4a_is_an_error(tmp_path):
    path = encode(tmp_path / "a.m4a", voice(20.0), "aac", options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="^u: (truncated|cannot read)") as caught:
        audio.load(path, "u")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libopus"), ("a.mkv", "pcm_s16le")])
def test_a_cut_off_matroska_is_an_error_if_it_says_how_long_it_was(tmp_path, name, codec):
    for streamed in ("0", "1"):
        path = encode(tmp_path / name, voice(8.0), codec, 48000, options={"live": streamed})
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if streamed == "1":  # as browsers record: written at once, without a length
            assert 2 < len(audio.load(path, "u")) / RATE < 6
        else:
            with pytest.raises(ValueError, match=r"^u: truncated, [2-5]\.\d of 8\.\d s; re-download"):
                audio.load(path, "u")


def test_a_playlist_opens_no_other_file(tmp_path):
    encode(tmp_path / "secret.ts", voice(2.0), "aac")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:5", "#EXTINF:2,", str(tmp_path / "secret.ts"), "#EXT-X-ENDLIST", ""]
    (tmp_path / "a.m3u8").write_text("\n".join(lines))
    (tmp_path / "b.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path}/secret.ts\n")
    for name in ("a.m3u8", "b.mp4"):
        with pytest.raises(ValueError, match="no kind of audio"):
            audio.load(tmp_path / name, "u")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(ValueError, match="is a pipe or a device"):
        audio.load(tmp_path / "a.wav", "u")


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("size", [997, 50_000, 10**7])
def test_resampling_in_blocks_is_that_of_the_whole(rate, size):
    wave = np.random.default_rng(0).normal(size=(2 * rate + 17, 2)).astype(np.float32)
    resampling = audio.Resampling(rate, 2)
    blocks = [resampling.push(wave[start : start + size]) for start in range(0, len(wave), size)]
    blocks.append(resampling.push(wave[:0], last=True))
    whole = audio.resample(np.ascontiguousarray(wave.T), rate)
    assert np.abs(np.concatenate(blocks).T - whole).max() < 1e-6


# ---- where speech is


def test_the_detector_is_that_of_silero():
    """Its weights in our network give its probabilities; the file that we read has those of an earlier training."""
    from silero_vad import load_silero_vad

    theirs = load_silero_vad()
    state = theirs.state_dict()
    names = {
        "stft_conv.weight": "stft.forward_basis_buffer",
        "final_conv.weight": "decoder.decoder.2.weight",
        "final_conv.bias": "decoder.decoder.2.bias",
    }
    names |= {
        f"lstm_cell.{part}_l0": f"decoder.rnn.{part}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    names |= {
        f"conv{n}.{part}": f"encoder.{n - 1}.reparam_conv.{part}"
        for n, part in itertools.product(range(1, 5), ("weight", "bias"))
    }
    ours = type(network())().eval()
    ours.load_state_dict({name: state[f"_model.{their_name}"] for name, their_name in names.items()})
    wave = call((1.0, False), (2.0, True), (1.0, False))
    wave = wave[: len(wave) // FRAME * FRAME]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (CONTEXT, 0)), CONTEXT + FRAME)[::FRAME]
    with torch.no_grad():
        found, _ = ours(torch.from_numpy(frames.copy()), None)
    expected = theirs.audio_forward(torch.from_numpy(wave), RATE)[0]
    assert torch.allclose(found, expected, atol=1e-3)
    assert np.mean((Detector().push(wave) > 0.5) == (found.numpy() > 0.5)) > 0.9


def test_probabilities_do_not_depend_on_the_blocks():
    wave = call((0.5, False), (3.0, True), (0.5, False))
    whole = Detector().push(wave, last=True)
    for size in (100, 5000):
        detector = Detector()
        parts = [detector.push(wave[start : start + size]) for start in range(0, len(wave), size)]
        assert np.allclose(np.concatenate([*parts, detector.push(wave[:0], last=True)]), whole, atol=1e-5)


def loud(wave, below=35.0, bridged=0.3):
    """Return where a wave is loud, (samples,) of bool; short dips belong to it."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 400)[::160].astype(float)
    power = (frames**2).mean(axis=1)
    mask = np.zeros(len(wave), bool)
    for frame in np.flatnonzero(power > power.max() * 10 ** (-below / 10)):
        mask[frame * 160 : frame * 160 + 400] = True
    edges = np.flatnonzero(np.diff(np.r_[False, ~mask, False].astype(int)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if 0 < start and end < len(wave) and end - start < bridged * RATE:
            mask[start:end] = True
    return mask


@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_speech_is_covered_and_pauses_are_not(test_data, noise):
    paths = sorted((test_data / "speech/emodb/wav").glob("*.wav"))
    generator = np.random.default_rng(1)
    waves, masks = [], []
    for place in generator.choice(len(paths), 40, replace=False):
        wave, pause = audio.load(paths[place], "u"), int(generator.uniform(2, 4) * RATE)
        waves += [np.zeros(pause, np.float32), wave]
        masks += [np.zeros(pause, bool), loud(wave)]
    whole, speech = np.concatenate(waves), np.concatenate(masks)
    whole = (whole + noise * generator.normal(size=len(whole))).astype(np.float32)
    segments = make_timeline(Loudness(), {"array": whole, "sampling_rate": RATE}).segments
    covered = np.zeros(len(whole), bool)
    for segment in segments:
        covered[round(segment.start * RATE) : round(segment.end * RATE)] = True
    assert covered[speech].mean() >= 0.95 and covered[~speech].mean() <= 0.05
    assert 40 <= len(segments) < 60
    assert all(before.end <= after.start for before, after in itertools.pairwise(segments))


def cut(cutter, wave, size):
    pieces = [piece for start in range(0, len(wave), size) for piece in cutter.push(wave[start : start + size])]
    return [*pieces, *cutter.push(wave[:0], last=True)]


@pytest.mark.parametrize(
    "make",
    [
        SpeechCutter,
        lambda: SpanCutter(iter([(0.0, float("inf"))])),
        lambda: SpanCutter(grid(7.0)),
        lambda: SpanCutter([(50, 95), (2, 4), (3, 9.5)]),
    ],
)
def test_pieces_are_the_same_however_the_recording_comes(make):
    parts = 16 * [voice(5.0)]  # 80 s without a pause
    wave = np.concatenate([np.zeros(RATE, np.float32), *parts, np.zeros(2 * RATE, np.float32), voice(1.5)])
    whole = cut(make(), wave, len(wave))
    assert max(piece.end - piece.start for piece in whole) <= 30
    for piece in whole:
        if piece.wave is not None:
            assert np.array_equal(piece.wave, wave[round(piece.start * RATE) : round(piece.end * RATE)])
    for size in (7000, 150_000):
        pieces = cut(make(), wave, size)
        key = [(p.segment, p.start, p.end, p.wave is None) for p in sorted(whole, key=lambda p: (p.segment, p.start))]
        assert [
            (p.segment, p.start, p.end, p.wave is None) for p in sorted(pieces, key=lambda p: (p.segment, p.start))
        ] == key


# ---- timelines


def test_silence_and_noise_are_no_speech(model, tmp_path):
    generator = np.random.default_rng(0)
    sounds = {
        "silence": np.zeros(2 * RATE),
        "noise": 0.1 * generator.normal(size=2 * RATE),
        "hum": 0.3 * np.sin(2 * np.pi * 50 * np.arange(2 * RATE) / RATE),
    }
    for wave in sounds.values():
        assert model.predict(wave, RATE).emotion == NO_SPEECH and model.predict(wave, RATE).probabilities == {}
        for segments in ("vad", "none", "fixed:1"):
            timeline = model.predict(wave, RATE, segments=segments)
            assert {segment.emotion for segment in timeline.segments} == {NO_SPEECH} == {timeline.emotion}
            assert timeline.segments[-1].end == pytest.approx(2.0)
    soundfile.write(tmp_path / "a.wav", sounds["silence"], RATE)
    words = ["--model", model_folder(model, tmp_path), "--answers", "false", tmp_path / "a.wav"]
    done = run_entry("predict", *words, check=True)
    (row,) = csv.DictReader(io.StringIO(done.stdout), delimiter="\t")
    assert row["emotion"] == NO_SPEECH and row["answer"] == "" and row["anger"] == ""


def model_folder(model, place):
    model.save_pretrained(place / "saved model")
    return place / "saved model"


def test_a_call_has_a_speaker_on_each_channel(model, tmp_path):
    left = call((1.0, True), (1.5, False), (1.2, True), (1.5, False))
    right = call((1.5, False), (0.8, True), (2.9, False))
    soundfile.write(tmp_path / "call.wav", np.stack([left, right], axis=1), RATE)
    timeline = model.predict(tmp_path / "call.wav", segments="vad", channels="each")
    assert [segment.channel for segment in timeline.segments] == [0, 1, 0]
    mixed = model.predict(tmp_path / "call.wav", segments="vad")
    assert {segment.channel for segment in mixed.segments} == {None}
    alone = model.predict(left, RATE, segments="vad")
    own = [segment for segment in timeline.segments if segment.channel == 0]
    for one, other in zip(own, alone.segments, strict=True):
        assert one.start == other.start and one.probabilities == pytest.approx(other.probabilities, abs=1e-3)
    soundfile.write(tmp_path / "dead.wav", np.stack([left, 0 * left], axis=1), RATE)
    dead = model.predict(tmp_path / "dead.wav", segments="vad", channels="each").segments
    assert [segment.emotion == NO_SPEECH for segment in dead if segment.channel == 1] == [True]


def test_the_whole_is_the_mean_of_its_parts(model):
    wave = call((1.0, True), (1.0, False), (3.0, True))
    timeline = model.predict(wave, RATE, segments="vad")
    lengths = [segment.end - segment.start for segment in timeline.segments]
    for emotion in EMOTIONS:
        mean = np.average([segment.probabilities[emotion] for segment in timeline.segments], weights=lengths)
        assert timeline.probabilities[emotion] == pytest.approx(mean, abs=1e-3)
    assert timeline.emotion == max(timeline.probabilities, key=timeline.probabilities.get)


def test_emotions_are_chosen_among_those_that_there_can_be(model, folder, tmp_path):
    wave, names = voice(2.0), ["fear", "surprise"]
    free, bound = model.predict(wave, RATE), model.predict(wave, RATE, among=names)
    assert [*bound.probabilities] == [name for name in EMOTIONS if name in names] and bound.answer == free.answer
    whole = sum(free.probabilities[name] for name in names)
    assert bound.probabilities == pytest.approx({name: free.probabilities[name] / whole for name in names})
    assert bound.emotion == max(bound.probabilities, key=bound.probabilities.get)
    soundfile.write(tmp_path / "a.wav", wave, RATE)
    words = ["--model", folder, "--answers", "false", "--among", "[surprise, fear]", "--format", "csv"]
    done = run_entry("predict", *words, tmp_path / "a.wav", check=True)
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert "anger" not in row and float(row["fear"]) + float(row["surprise"]) == pytest.approx(1, abs=2e-4)
    with pytest.raises(ValueError, match="--among: calm is none of the classes; choose from anger"):
        model.predict(wave, RATE, among=["calm"])


def test_what_is_not_sure_is_unsure_and_answers_that_differ_are_marked(model):
    wave = voice(2.0)
    sure, unsure = (model.predict(wave, RATE, min_confidence=least) for least in (0.0, 1.0))
    assert unsure.emotion == UNSURE and unsure.probabilities == sure.probabilities and sure.emotion in EMOTIONS
    assert model.predict(wave, RATE, segments="vad", min_confidence=1.0).segments[0].emotion == UNSURE
    assert differs("The emotion of this speech is anger.", "fear") and differs("It is anger or fear.", "fear")
    assert not differs("The emotion of this speech is anger.", "anger") and not differs("", "fear")
    segment = Segment(0, 1, None, "fear", {"fear": 1.0}, "The emotion of this speech is anger.")
    timeline = Timeline("a", 1, [segment], "fear", {"fear": 1.0}, segment.answer)
    (row,) = csv.DictReader(io.StringIO(render([timeline], "csv")))
    assert row["differs"] == "yes" and json.loads(render([timeline], "json"))[0]["segments"][0]["differs"] is True


def test_m4a_gives_what_its_wav_gives(model, test_data, tmp_path):
    for path in sorted((test_data / "speech/emodb/wav").glob("*.wav"))[:40:10]:
        wave = audio.load(path, "u")
        coded = encode(tmp_path / "a.m4a", wave, "aac", 44100, bit_rate=128_000)
        for given in (coded, coded.read_bytes()):
            one, other = (model.predict(source).probabilities for source in (path, given))
            assert one == pytest.approx(other, abs=0.02)


def test_python_takes_every_form(model, tmp_path):
    wave = voice(1.0)
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    whole = (32767 * wave).astype(np.int16)
    with open(tmp_path / "a.wav", "rb") as file, open(tmp_path / "a.wav", "rb") as pipe:
        forms = [
            tmp_path / "a.wav",
            str(tmp_path / "a.wav"),
            (tmp_path / "a.wav").read_bytes(),
            file,
            types.SimpleNamespace(read=pipe.read),  # a stream that cannot be sought
            {"array": wave, "sampling_rate": RATE},
            {"raw": wave.tolist(), "sampling_rate": np.int64(RATE)},
            wave,
            wave[None],
            wave[:, None],
            wave.astype(np.float64),
            torch.from_numpy(wave),
            torch.from_numpy(wave)[None],
            np.stack([wave, wave]),
            whole,
            torch.from_numpy(whole),
        ]
        results = model.predict(forms, rate=RATE, answers=False)
    assert [result.error for result in results] == [None] * len(forms)
    for result in results:
        assert result.probabilities == pytest.approx(results[0].probabilities, abs=2e-3)


def test_one_bad_item_of_a_list_is_one_error(model, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "short.wav", voice(0.05), RATE)
    bad = {
        "cannot read": tmp_path / "bad.wav",
        "check the path": "none.wav",
        "under the model's 0.1 s": tmp_path / "short.wav",
        "float is no recording": 0.5,
        "give array": {"a": 1},
        "shape (20, 20)": np.zeros((20, 20)),
        "NaN or Inf": np.full(9000, np.nan),
        "divide integers": 30000 * voice(1.0),
        "type int64": np.zeros(9000, int),
        "empty": b"",
        "Is a directory": tmp_path,
    }
    for segments in (None, "vad"):
        first, *errors, last = model.predict([voice(1.0), *bad.values(), voice(1.0)], rate=RATE, segments=segments)
        assert first.emotion == last.emotion in EMOTIONS and first.error is last.error is None
        for words, error in zip(bad, errors, strict=True):
            assert words in error.error and "\n" not in error.error and re.search(": .*; ", error.error), error
    for words, source in bad.items():
        if words != "float is no recording":
            with pytest.raises(ValueError, match=re.escape(words)):
                model.predict(source, rate=RATE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"style": "x"}, "style 'x': no chain of thought"),
        ({"language": "english"}, "language 'english': no code"),
        ({"language": "EN"}, "ISO 639-1"),
        ({"segments": "fixed"}, "segments 'fixed': no way to cut"),
        ({"segments": "fixed:0"}, "no way"),
        ({"segments": "fixed:nan"}, "no way"),
        ({"channels": "left"}, "no such choice"),
        ({"min_confidence": 50}, "min_confidence 50: no probability"),
        ({"rate": None}, "its rate is unknown"),
        ({"rate": "fast"}, "a rate of 'fast'"),
        ({"style": "explicit", "answers": False}, "let them answer"),
    ],
)
def test_bad_options_are_one_clear_line(model, options, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        model.predict(voice(1.0), **{"rate": RATE, **options})
    assert "\n" not in str(caught.value)


# ---- speakers


def test_turns_cut_segments_and_name_them(tmp_path, model):
    lines = ["SPEAKER call 1 0.00 1.50 <NA> <NA> A <NA> <NA>", "SPEAKER call 1 1.50 2.00 <NA> <NA> B <NA> <NA>", ""]
    (tmp_path / "t.rttm").write_text("\n".join(lines))
    soundfile.write(tmp_path / "call.wav", voice(4.0, 2), RATE)
    words = ["--model", model_folder(model, tmp_path), "--speakers", tmp_path / "t.rttm", "--answers", "false"]
    done = run_entry("predict", *words, tmp_path / "call.wav", check=True)
    rows = [*csv.DictReader(io.StringIO(done.stdout), delimiter="\t")]
    assert [row["speaker"] for row in rows][:2] == ["A", "B"] and rows[0]["end"] == rows[1]["start"] == "1.500"
    done = run_entry("predict", *words, "--format", "rttm", tmp_path / "call.wav", check=True)
    assert re.match(r"SPEAKER \S*call 1 \d+\.\d{3} \d+\.\d{3} <NA> <NA> A/\w+ 0\.\d{4} <NA>\n", done.stdout)
    assert [turn.speaker for turns in read_rttm(tmp_path / "t.rttm").values() for turn in turns] == ["A", "B"]
    done = run_entry("predict", *words, "--channels", "each", tmp_path / "call.wav")
    assert done.returncode == 1 and "leave --channels at mean" in done.stderr
    for line in ("SPEAKER call 1 x 2 <NA> <NA> A", "SPEAKER call 1 0 -2 <NA> <NA> A", "x"):
        (tmp_path / "t.rttm").write_text(line)
        done = run_entry("predict", *words, tmp_path / "call.wav")
        assert done.returncode == 1 and "t.rttm" in done.stderr.splitlines()[-1]


def test_parts_of_turns_join_to_the_segment():
    turns = [Turn(0, 2, "A"), Turn(1.9, 4, "B"), Turn(4.0, 4.1, "A")]
    parts = split(0.5, 6.0, turns)
    assert [part[2] for part in parts] == ["A", "B", None] and parts[0][0] == 0.5 and parts[-1][1] == 6.0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(parts))


# ---- formats

NASTY = "漢字 \"q\",\t'x'\n--> <b>&amp;\r;\\ SPEAKER.wav"


def timelines(name):
    probabilities = dict(zip(EMOTIONS, [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], strict=True))
    given = {"emotion": "gold", "no\tte": 'a\n"b",c'}
    segments = [
        Segment(0.5, 1.25, None, "anger", probabilities, 'It is\n"anger"\t-->', "Ann <b>\n-->", given),
        Segment(3661.5, 3662.0, None, UNSURE, probabilities, "", None, given),
    ]
    return [Timeline(name, 3700.123, segments, "anger", probabilities, "It is anger.")]


def test_names_stay_inert_in_tables():
    for format, dialect in (("csv", {}), ("tsv", {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None})):
        text = render(timelines(NASTY), format)
        rows = [*csv.DictReader(io.StringIO(text, newline=""), **dialect)]
        assert len(rows) == 2
        name = rows[0]["file"]
        if format == "tsv":
            assert text.count("\n") == 3 and "\r" not in text
            name = re.sub(r"\\(.)", lambda found: {"t": "\t", "n": "\n", "r": "\r"}.get(found[1], found[1]), name)
        assert name == NASTY and rows[0]["emotion"] == "anger" and rows[0]["input_emotion"] == "gold"
        assert (rows[0]["start"], rows[0]["end"], rows[1]["anger"]) == ("0.500", "1.250", "0.4000")
        assert rows[1]["emotion"] == UNSURE and len(rows[0]) == 6 + 7 + 2 + 2 and None not in rows[0]


def test_names_stay_inert_in_json():
    (whole,) = json.loads(render(timelines(NASTY), "json"))
    lines = render(timelines(NASTY) * 2, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == [whole, whole]
    assert whole["file"] == NASTY and whole["segments"][0]["answer"] == 'It is\n"anger"\t-->'
    assert whole["segments"][0]["speaker"] == "Ann <b>\n-->" and whole["segments"][0]["columns"]["emotion"] == "gold"


def test_subtitles():
    cues = render(timelines(NASTY), "srt").strip().split("\n\n")
    assert cues[0].split("\n")[:2] == ["1", "00:00:00,500 --> 00:00:01,250"] and len(cues[0].split("\n")) == 3
    assert cues[1].split("\n") == ["2", "01:01:01,500 --> 01:01:02,000", "unsure"]
    text = render(timelines(NASTY), "vtt")
    assert text.startswith(
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\n<v Ann &lt;b&gt; --&gt;>anger 40 %\n\n01:01:01.500"
    )
    assert text.count("-->") == 2


def test_textgrid_covers_the_recording():
    text = render(timelines(NASTY), "textgrid")
    names = re.findall(r'name = "((?:[^"]|"")*)"', text)
    assert names == ["Ann <b> -->", "emotion"]
    for tier in text.split("item [")[2:]:
        times = [tuple(map(float, pair)) for pair in re.findall(r"xmin = (\S+)\n +xmax = (\S+)\n +text", tier)]
        assert times[0][0] == 0 and times[-1][1] == 3700.123
        assert all(before[1] == after[0] and before[0] < before[1] for before, after in itertools.pairwise(times))
        assert int(re.search(r"intervals: size = (\d+)", tier)[1]) == len(times)
    overlapping = [Segment(0, 2, 1, "fear", {}, ""), Segment(1, 3, 1, "anger", {}, "")]
    text = render([Timeline("a", 4, overlapping, "fear", {}, "")], "textgrid")
    assert re.findall(r'name = "(.*)"', text) == ["channel 1", "channel 1 (2)"]


def test_rttm_has_ten_words_a_line():
    lines = render(timelines(NASTY), "rttm").splitlines()
    assert [len(line.split(" ")) for line in lines] == [10, 10] and all(line.isprintable() for line in lines)
    assert lines[0].split(" ")[3:5] == ["0.500", "0.750"]
    assert render([Timeline("a", 1, [Segment(0, 1, None, NO_SPEECH, {}, "")], NO_SPEECH, {}, "")], "rttm") == ""


def test_values_on_dimensions_stand_in_every_format():
    values = {"valence": -0.5, "arousal": 3.25}
    (found,) = timeline = [Timeline("a.wav", 2, [Segment(0, 2, None, "", values, "")], "", values, "")]
    for format in ("srt", "vtt", "textgrid"):
        assert "valence -0.50, arousal 3.25" in render(timeline, format), format
    assert render(timeline, "rttm").split(" ")[7:9] == ["valence_-0.50,_arousal_3.25", "<NA>"]  # no confidence
    assert caption(found) == "valence -0.50, arousal 3.25"


def test_formats_of_one_recording_refuse_two():
    for format in SINGLE:
        with pytest.raises(ValueError, match=f"{format}: a file holds one recording, not 2"):
            render(timelines("a") * 2, format)
    with pytest.raises(ValueError, match="no such format"):
        render([], "xml")


# ---- the command


@pytest.fixture
def speech(tmp_path):
    """A folder with two recordings, something else, and audio with an ending of another system."""
    folder = tmp_path / "re cordings"
    (folder / "sub").mkdir(parents=True)
    soundfile.write(folder / "b.wav", call((0.8, True), (1.0, False), (1.0, True)), RATE)
    encode(folder / "sub/a.M4A.m4a", voice(1.0), "aac")
    (folder / "notes.doc").touch()
    return folder


@pytest.fixture
def loudness(monkeypatch):
    """Lets the command use `Loudness`, which takes no time."""
    stand_in = Loudness()
    monkeypatch.setattr("c2ser.model.loading.load", lambda *words: stand_in)
    return stand_in


def predicted(*words):
    done = run_entry("predict", "--model", "x", *words, check=True)
    return [*csv.DictReader(io.StringIO(done.stdout), delimiter="\t")], done.stderr


def test_a_folder_becomes_a_table(speech, loudness):
    rows, log = predicted(speech)
    assert [Path(row["file"]).name for row in rows] == ["b.wav", "b.wav", "a.M4A.m4a"]
    assert "passed over 1 files that are no audio by their names: .doc (1)" in log
    assert re.search(r"2 of 2 recordings, 0\.00 hours, 3 segments, \d+\.\d s$", log.strip())
    (speech / "bad.mp4").write_bytes(b"x" * 99)
    rows, log = predicted(speech)
    assert len(rows) == 3 and log.count("bad.mp4: cannot read") == 2 and "; rejected 1: " in log
    rows, _ = predicted(speech / "sub", speech / "b.wav", "--segments", "none")
    assert [Path(row["file"]).name for row in rows] == ["a.M4A.m4a", "b.wav"]


def test_the_name_of_the_file_chooses_the_format(speech, loudness, tmp_path):
    wanted = {"x.json": "[", "x.jsonl": "{", "x.csv": "file,start", "x.tsv": "file\tstart", "x.rttm": "SPEAKER"}
    for name, start in wanted.items():
        predicted(speech, "--out", tmp_path / name)
        assert (tmp_path / name).read_text().startswith(start)
    for format, ending in (("srt", "srt"), ("vtt", "vtt"), ("textgrid", "TextGrid")):
        predicted(speech, "--out", tmp_path / format, "--format", format)
        assert {str(path.relative_to(tmp_path / format)) for path in (tmp_path / format).rglob("*.*")} == {
            f"b.{ending}",
            f"sub/a.M4A.{ending}",
        }
        predicted(speech / "b.wav", "--out", tmp_path / f"one.{ending}")
        assert (tmp_path / f"one.{ending}").read_text() == (tmp_path / format / f"b.{ending}").read_text()
        done = run_entry("predict", "--model", "x", speech, "--out", tmp_path / f"two.{ending}")
        assert done.returncode == 1 and "give --out a folder" in done.stderr
    done = run_entry("predict", "--model", "x", speech, "--out", tmp_path / "x.txt")
    assert done.returncode == 1 and "x.txt: its ending names no format; choose --format tsv" in done.stderr
    done = run_entry("predict", "--model", "x", speech, "--format", "csv", check=True)
    predicted(speech, "--out", tmp_path / "y.csv")
    assert done.stdout == (tmp_path / "y.csv").read_text()
    assert not [*tmp_path.glob("*.partial")]


def test_files_of_one_name_get_different_results(speech, loudness, tmp_path):
    soundfile.write(speech / "b.flac", voice(1.0), RATE)
    predicted(speech, "--out", tmp_path / "out", "--format", "srt")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.srt")) == ["b.flac.srt", "b.wav.srt"]
    done = run_entry("predict", "--model", "x", speech / "b.wav", speech / "b.wav", "--out", tmp_path / "n")
    assert done.returncode == 1 and "its results would replace those of" in done.stderr


def test_lists_and_tables_name_recordings(speech, loudness, tmp_path, monkeypatch):
    (speech / "list.txt").write_text("b.wav\nnone.wav\nsub/a.M4A.m4a\n")
    rows, log = predicted(speech / "list.txt")
    assert [row["file"] for row in rows] == ["b.wav", "b.wav", "sub/a.M4A.m4a"] and "none.wav: cannot read" in log
    (speech / "t.csv").write_text(
        '\ufefffile,start,end,emotion,note\nb.wav,1.8,2.8,fear,"x, y"\nb.wav,0,0.8,,\nb.wav,2,99,,late\n'
        "sub/a.M4A.m4a,,,joy,\n"
    )
    rows, log = predicted(speech / "t.csv")
    assert [(row["file"], row["start"], row["end"], row["input_emotion"], row["note"]) for row in rows[:2]] == [
        ("b.wav", "1.800", "2.800", "fear", "x, y"),
        ("b.wav", "0.000", "0.800", "", ""),
    ]
    assert len(rows) == 3 and rows[2]["input_emotion"] == "joy"
    assert "b.wav: 2 to 99 s, but it lasts 2.80 s; correct the list" in log
    bad = {
        "file,a\nx,y,z\n": ":2: 3 fields, but 2 columns",
        "name\nx\n": "no column file",
        "file\n": "it has no rows",
        "file,start\nx,a\n": ":2: start 'a'",
        "file,start,end\nx,2,1\n": "an end after it",
        'file\n"x\n': "correct the quotes",
        "file,a\n,y\n": ":2: no file in this row",
        "file,file\na,b\n": "one twice",
    }
    for content, words in bad.items():
        (speech / "t.csv").write_text(content)
        done = run_entry("predict", "--model", "x", speech / "t.csv")
        assert done.returncode == 1 and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_standard_input_is_a_recording(speech, loudness, monkeypatch):
    with open(speech / "sub/a.M4A.m4a", "rb") as file:
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=file))
        rows, _ = predicted("-")
    assert [row["file"] for row in rows] == ["-"]


def test_what_is_wrong_with_the_inputs_is_one_line(speech, loudness, tmp_path):
    (tmp_path / "empty").mkdir()
    for words, message in (
        ([tmp_path / "no.wav"], "no such file"),
        ([tmp_path / "empty"], "no audio in this folder"),
        ([tmp_path / "empty", "--segments", "x"], "no way to cut"),
        ([speech / "sub", "--resume", "true"], "give --out"),
        ([speech / "notes.doc"], "not one of 1"),
    ):
        done = run_entry("predict", "--model", "x", *words)
        assert done.returncode == 1 and message in done.stderr, done.stderr


def test_a_name_that_is_not_utf_8_is_shown_escaped(speech, loudness, tmp_path):
    (speech / "b.wav").rename(os.fsdecode(os.fsencode(speech) + b"/caf\xe9.wav"))
    for format in ("tsv", "json", "rttm"):
        done = run_entry("predict", "--model", "x", speech, "--format", format, check=True)
        assert "caf\\xe9" in done.stdout.replace("\\\\", "\\")
    predicted(speech, "--format", "srt", "--out", tmp_path / "out")
    assert len([*(tmp_path / "out").glob("caf*.srt")]) == 1


def many(folder, number=12):
    folder.mkdir()
    for place in range(number):
        soundfile.write(folder / f"{place:02}.wav", voice(9.0 + 0.1 * (place % 5), place) * (0.2 + 0.05 * place), RATE)
    (folder / "05.wav").write_bytes(b"bad")
    return folder


@pytest.mark.parametrize("format", FORMATS)
def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path, loudness, format):
    folder = many(tmp_path / "in")
    single = format in SINGLE
    names = [tmp_path / (f"{name}" if single else f"{name}.{format}") for name in ("whole", "resumed")]
    words = [folder, "--format", format, "--segments", "none", "--channels", "each", "--min-confidence", "0.3"]
    predicted(*words, "--out", names[0])
    loudness.calls = 1
    with pytest.raises(KeyboardInterrupt):
        run_entry("predict", "--model", "x", *words, "--out", names[1])
    loudness.calls = float("inf")
    assert not names[1].exists()
    done = run_entry("predict", "--model", "x", *words, "--out", names[1])
    assert done.returncode == 1 and "go on with it with --resume" in done.stderr
    done = run_entry("predict", "--model", "x", *words[:-1], "0.4", "--out", names[1], "--resume", "true")
    assert done.returncode == 1 and "a run with other options" in done.stderr
    partial = tmp_path / f"{names[1].name}.partial"
    with open(partial, "a") as file:
        file.write('[{"name": "cut off')
    _, log = predicted(*words, "--out", names[1], "--resume", "true")
    assert re.search(r" [1-9]\d* of 12 recordings were finished before", log) and not partial.exists()
    read = [
        {str(p.relative_to(name)): p.read_bytes() for p in name.rglob("*.*")} if single else name.read_bytes()
        for name in names
    ]
    assert read[0] == read[1] and len(read[0]) > 5


@pytest.mark.slow
def test_ctrl_c_at_half_then_resume(tmp_path, folder):
    """With a model and in processes of their own."""
    sounds = many(tmp_path / "in", 40)
    words = [sys.executable, "-m", "c2ser", "predict", "--model", str(folder), str(sounds)]
    words += ["--segments", "none", "--answers", "false", "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(Path(c2ser.__file__).parents[1])}
    subprocess.run([*words, "--out", tmp_path / "whole.csv"], check=True, env=environment, capture_output=True)
    run = subprocess.Popen([*words, "--out", tmp_path / "a.csv"], env=environment, stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "a.csv.partial"
    while run.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\n") > 2):
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate()
    assert run.returncode == -signal.SIGINT and "go on with --resume" in errors and "Traceback" not in errors
    assert 2 < partial.read_bytes().count(b"\n") < 9 and not (tmp_path / "a.csv").exists()
    subprocess.run([*words, "--out", tmp_path / "a.csv", "--resume", "true"], check=True, env=environment)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
def test_three_hours_need_little_memory(tmp_path, folder):
    part = np.concatenate([call((3.0, True), (16.0, False)) for _ in range(3)])
    stereo = np.repeat(np.stack([part, part / 2], axis=1), 3, axis=0)  # 48 kHz
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 48000, 2) as file:
        while file.frames < 3 * 3600 * 48000:
            file.write(stereo)
    code = (
        "import re, sys; from c2ser.__main__ import main; main(sys.argv[1:]); "
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    words = ["predict", "--model", str(folder), str(tmp_path / "long.flac"), "--answers", "false", "--device", "cpu"]
    words += ["--out", str(tmp_path / "a.jsonl")]
    environment = os.environ | {"PYTHONPATH": str(Path(c2ser.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # getrusage would tell of the memory of the process that started this one, if it had more
    assert int(done.stdout.split()[-1]) < 2_000_000  # kilobytes
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert json.loads(line)["seconds"] == pytest.approx(3 * 3600, abs=61) and len(json.loads(line)["segments"]) > 300


# ---- models of other kinds


def emotion2vec(path, outputs):
    """Write a tiny emotion2vec in the layout of the published ones, with a classifier or without."""
    torch.manual_seed(0)
    convs = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]
    small = {"dim": 16, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "position_depth": 1}
    small |= {"position_kernel": 3, "position_groups": 2, "decoder_groups": 2, "decoder_dim": 16}
    encoder = Emotion2Vec(Emotion2VecConfig(**small, convs=convs))
    weights = {f"d2v_model.{name}": tensor for name, tensor in encoder.state_dict().items()}
    if outputs:
        weights |= {"proj.weight": torch.randn(outputs, 16), "proj.bias": torch.randn(outputs)}
    path.parent.mkdir(exist_ok=True)
    torch.save({"model": weights}, path)
    return encoder


def test_an_emotion2vec_with_a_classifier_predicts(tmp_path):
    emotion2vec(tmp_path / "plus/model.pt", 9)
    (tmp_path / "plus/config.yaml").write_text("x: 1\n")
    file = c2ser.load(tmp_path / "plus/model.pt", "cpu")
    result = file.predict(voice(1.0), RATE)
    assert len(result.probabilities) == len(LABELS) and sum(result.probabilities.values()) == pytest.approx(1)
    assert [*result.probabilities][:7] == [*EMOTIONS] and result.answer == "" and result.style is None
    names = [
        "生气/angry",
        "unuse_0",
        "恐惧/fearful",
        "开心/happy",
        "中立/neutral",
        "其他/other",
        "难过/sad",
        "吃惊/surprised",
        "<unk>",
    ]
    (tmp_path / "plus/tokens.txt").write_text("\n".join(names))
    other = c2ser.load(tmp_path / "plus", "cpu").predict(voice(1.0), RATE, segments="vad").segments[0].probabilities
    assert "disgust" not in other and len(other) == 8 and sum(other.values()) == pytest.approx(1)
    assert other["anger"] / other["fear"] == pytest.approx(
        result.probabilities["anger"] / result.probabilities["fear"], rel=0.3
    )
    soundfile.write(tmp_path / "a.wav", voice(1.0), RATE)
    done = run_entry("predict", "--model", tmp_path / "plus", "--format", "csv", tmp_path / "a.wav", check=True)
    assert done.stdout.startswith(
        "file,start,end,channel,speaker,emotion,anger,happiness,neutral,sadness,surprise,fear,other,"
    )
    with pytest.raises(ValueError, match="gives no answers"):
        file.predict(voice(1.0), RATE, style="explicit")


def test_what_recognises_no_emotions_is_refused(tmp_path, folder):
    encoder = emotion2vec(tmp_path / "base.pt", 0)
    save_model(encoder, tmp_path / "ours")
    emotion2vec(tmp_path / "five/model.pt", 5)
    (tmp_path / "C2SER_llm.pt").touch()
    for name, words in (
        ("base.pt", "without a classifier"),
        ("ours", "without a classifier"),
        ("five", "9 classes for 5"),
        ("C2SER_llm.pt", "convert-checkpoint"),
        ("none", "no config.json"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            c2ser.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert isinstance(c2ser.load(folder, "cpu"), C2SER)


def test_nan_is_no_result():
    def recognise(waves):
        return {name: Recognition("anger", dict.fromkeys(EMOTIONS, float("nan")), "") for name in waves}

    (outcomes,) = recognise_recordings([Recording("x", voice(1.0), RATE)], recognise, Options("none"))
    (outcome,) = outcomes
    assert outcome.timeline is None and outcome.rejected[0].error.startswith("x: its result is NaN or infinite; ")
