"""Attributes: pitch of known sounds, loudness by the standard, phonemes per second; levels; their entry points."""

import functools
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from entry import run_entry
from hypothesis import given
from hypothesis import strategies as st

from c2ser import audio
from c2ser.attributes import pitch as pitch_module
from c2ser.attributes.config import PitchConfig
from c2ser.attributes.levels import (
    Stats,
    add_stats,
    check_limits,
    compute_stats,
    flags,
    outliers,
    read_attributes,
    stats_from_json,
    stats_to_json,
)
from c2ser.attributes.loudness import loudness
from c2ser.attributes.pitch import PitchTracker, check_length
from c2ser.attributes.rate import count_phonemes, speaking_rate
from c2ser.attributes.recording import clean
from c2ser.attributes.viterbi import follow, triangle
from c2ser.bin import extract_attributes
from c2ser.bin.compute_stats import main as compute_stats_main
from c2ser.tables import read_json, read_table, write_table

COARSE = PitchConfig(hop=0.05, decoder="argmax", batch=20)


def voice(pitch, seconds=1.0):
    """A sound with as many harmonics as a voice has."""
    time = np.arange(int(16000 * seconds)) / 16000
    wave = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    return (0.1 * wave).astype(np.float32)


@functools.cache
def tracker(config):
    return PitchTracker(config)


def mean_pitch(wave, config):
    (track,) = tracker(config).track([wave])
    return track.mean(config.voiced, "u")


@pytest.mark.xdist_group("penn")
@pytest.mark.parametrize("pitch", [80, 120, 220, 440])
@pytest.mark.parametrize("config", [COARSE, PitchConfig(hop=0.02, batch=25)])
def test_pitch_of_known_sounds(pitch, config):
    assert mean_pitch(voice(pitch), config) == pytest.approx(pitch, rel=0.01)


@pytest.mark.xdist_group("penn")
def test_only_voiced_frames_count():
    noise = 0.05 * np.random.default_rng(0).normal(size=16000).astype(np.float32)
    assert mean_pitch(np.concatenate([noise, voice(150)]), COARSE) == pytest.approx(150, rel=0.03)
    with pytest.raises(ValueError, match="^u: "):
        mean_pitch(np.zeros(16000, dtype=np.float32), COARSE)
    with pytest.raises(ValueError, match="^u: 2047 samples"):
        check_length(np.zeros(2047), "u")


@pytest.mark.xdist_group("penn")
@pytest.mark.parametrize("decoder", ["viterbi", "argmax"])
def test_tracks_are_penns_and_do_not_depend_on_who_is_tracked_together(decoder, test_data):
    import torch

    paths = sorted((test_data / "speech/emodb/wav").glob("*.wav"))[:2]
    waves = [audio.load(path, path.stem)[:16000] for path in paths] + [voice(140, 0.4)]
    config = PitchConfig(hop=0.02, decoder=decoder, batch=32)
    tracks = tracker(config).track(waves)
    for wave, track in zip(waves, tracks, strict=True):
        alone = tracker(config).track([wave])[0]
        assert np.array_equal(alone.pitch, track.pitch) and np.array_equal(alone.periodicity, track.periodicity)
        pitch, periodicity = tracker(config).penn.from_audio(
            torch.from_numpy(wave)[None], 16000, hopsize=0.02, fmin=30.0, fmax=1000.0, decoder=decoder,
            checkpoint=pitch_module.BUNDLED,
        )  # fmt: skip
        voiced = periodicity[0].numpy() >= config.voiced
        assert track.pitch.shape == pitch[0].shape and np.allclose(track.periodicity, periodicity[0], atol=1e-5)
        assert np.abs(1200 * np.log2(track.pitch / pitch[0].numpy()))[voiced].max() <= 0.1  # cent


@pytest.mark.parametrize("samples", [40, 41])  # with 41 a place has no neighbour, and is dropped
def test_the_first_block_is_penns(samples):
    import torch
    from torch import nn

    from c2ser.attributes.network import FirstBlock

    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv1d(1, 6, 8), nn.ReLU(), nn.MaxPool1d(2, 2), nn.LayerNorm((6, (samples - 7) // 2)))
    nn.init.normal_(block[3].weight), nn.init.normal_(block[3].bias)
    frames = torch.randn(5, 1, samples + 9)[:, :, 4:-5]  # a view, as PENN cuts them
    with torch.no_grad():
        assert (FirstBlock(block)(frames) - block(frames)).abs().max() < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_the_band_finds_the_path_of_the_whole_matrix(seed):
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, unpack_sequence

    generator = torch.Generator().manual_seed(seed)
    states, width, lengths = 60, 7.3, torch.tensor([9, 25, 1, 9])
    scores = (2 * torch.randn(4, 25, states, generator=generator)).log_softmax(dim=2)
    scores[:, :, :10] += 2.0  # keep paths near the edge, where transitions are normalised differently
    packed = pack_padded_sequence(scores, lengths, batch_first=True, enforce_sorted=False)
    paths = unpack_sequence(follow(packed, *triangle(states, width)))
    distance = (torch.arange(states)[:, None] - torch.arange(states)[None]).abs()
    weights = (width - distance).clamp(min=0)
    transitions = (weights / weights.sum(dim=1, keepdim=True)).log()  # (entered, left), as torbi reads PENN's matrix
    for row, length in enumerate(lengths.tolist()):
        best, origins = scores[row, 0], []
        for frame in range(1, length):
            value, origin = (best[None] + transitions).max(dim=1)
            best = value + scores[row, frame]
            origins.append(origin)
        path = [int(best.argmax())]
        for origin in reversed(origins):
            path.append(int(origin[path[-1]]))
        assert paths[row].tolist() == path[::-1]


def test_a_frame_costs_few_launches_on_a_card():
    import torch
    from torch.nn.utils.rnn import pack_sequence
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        launches = 0

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            self.launches += not operation.is_view and operation is not torch.ops.aten.empty.memory_format
            return operation(*args, **(kwargs or {}))

    counts = []
    for frames in (10, 30):
        with Count() as count:
            follow(pack_sequence([torch.zeros(frames, 40), torch.zeros(frames, 40)]), *triangle(40, 5.0))
        counts.append(count.launches)
    assert counts[1] - counts[0] <= 20 * 7


def test_a_wrong_checkpoint_of_penn_is_one_line(tmp_path, monkeypatch):
    import torch

    torch.save({"model": {"x": torch.zeros(2)}}, tmp_path / "other.pt")
    monkeypatch.setenv("C2SER_PENN_CHECKPOINT", str(tmp_path / "other.pt"))
    with pytest.raises(ValueError, match="other.pt: not a checkpoint of PENN"):
        PitchTracker(COARSE)
    monkeypatch.setenv("C2SER_PENN_CHECKPOINT", str(tmp_path / "none.pt"))
    with pytest.raises(FileNotFoundError, match="none.pt: no such file"):
        PitchTracker(COARSE)


def test_penn_does_not_read_our_command_line():
    code = (
        "import sys; sys.argv = ['x', '--config', '/no/such.py', '--hop', '3']\n"
        "from c2ser.attributes.pitch import *; import numpy as np\n"
        "t = np.arange(16000) / 16000\n"
        "w = sum(np.sin(2 * np.pi * 200 * k * t) / k for k in range(1, 9)).astype('float32')\n"
        "c = PitchConfig(hop=0.05, decoder='argmax')\n"
        "print(PitchTracker(c).track([w * 0.1])[0].mean(c.voiced, 'u'), sys.argv)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[0]) == pytest.approx(200, rel=0.02) and "/no/such.py" in done.stdout


def test_loudness_is_that_of_the_standard():
    """EBU Tech 3341: 1 kHz at -23 dBFS on both channels of stereo is -23 LUFS; mono lies 3 dB below."""
    time = np.arange(5 * 16000) / 16000
    wave = (10 ** (-23 / 20) * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    assert loudness(wave, "u") == pytest.approx(-23 - 10 * math.log10(2), abs=0.15)
    assert loudness(2 * wave, "u") - loudness(wave, "u") == pytest.approx(20 * math.log10(2), abs=0.05)
    assert loudness(wave[:3200], "u") == pytest.approx(
        loudness(wave, "u"), abs=0.5
    )  # shorter than the standard's block
    broken = wave.copy()
    broken[100] = np.nan
    for bad in (np.zeros(16000, dtype=np.float32), broken, wave[:0]):
        with pytest.raises(ValueError, match="^u: "):
            loudness(bad, "u")


@pytest.mark.parametrize(
    ("text", "language", "phonemes"),
    [
        ("cat", "en", 3),
        ("The cat sat.", "en", 8),
        ("你好", "zh", 4),
        ("guten Tag", "de", 8),
        ("buongiorno", "it", 9),
        ("hola", "es", 3),
        ("dobry kot", "pl", 8),
        ("你好 cat", "zh", 7),
        ("3", "zh", 2),
        ("有1,203个", "zh", 13),
        ("3", "en", 3),
    ],  # fmt: skip
)
def test_rate_counts_phonemes(text, language, phonemes):
    tolerance = 0.5 if language == "zh" else 1.1  # eSpeak's transcriptions differ a little between its releases
    assert 2 * speaking_rate(text, language, 32000, "u") == pytest.approx(phonemes, abs=tolerance)


def test_rate_without_words_or_language_is_refused():
    for text, language in (("", "en"), ("...", "en"), ("cat", "xx")):
        with pytest.raises(ValueError, match="^u: "):
            speaking_rate(text, language, 16000, "u")


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.floats(-1e3, 1e3))
def test_stats_are_those_of_numpy_and_add_up(values, value):
    stats = Stats.of(values)
    assert stats.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert stats.deviation == pytest.approx(np.std(values), rel=1e-4, abs=1e-2)
    halves = Stats.of(values[:1]) + Stats.of(values[1:])
    assert halves.total == pytest.approx(stats.total) and halves.count == stats.count
    attributes = [{str(i): (v, 2 * v, 0.0) for i, v in enumerate(part)} for part in (values[:1], values[1:], values)]
    first, rest, whole = map(compute_stats, attributes)
    assert add_stats([first, rest])["loudness"].total == pytest.approx(whole["loudness"].total)
    low, high = stats.bounds
    assert stats.level(value) == ("low" if value < low else "high" if value > high else "medium")


def test_the_edges_themselves_are_medium():
    stats = Stats.of([1.0, 3.0, 1.0, 3.0])
    assert stats.bounds == (1.0, 3.0)
    levels = [stats.level(value) for value in (math.nextafter(1.0, 0.0), 1.0, 2.0, 3.0, math.nextafter(3.0, 4.0))]
    assert levels == ["low", "medium", "medium", "medium", "high"]


def test_statistics_of_shards_are_those_of_the_whole(tmp_path):
    rows = {f"u{n}": f"{100 + 7 * n} {-30 + n} {4 + n / 8}" for n in range(9)}
    shards = {"a": list(rows)[:2], "b": list(rows)[2:7], "c": list(rows)[7:]}
    for name, own in {"whole": list(rows), **shards}.items():
        write_table(tmp_path / name / "utt2attr", {u: rows[u] for u in own})
        write_table(tmp_path / name / "utt2flag", {u: "short unvoiced" if u == "u3" else "-" for u in own})
        write_table(tmp_path / name / "utt2attr.rejected", {f"{u}-x": "silent" for u in own[:3]})
        compute_stats_main(tmp_path / name / "utt2attr", tmp_path / name / "stats.json")
    parts = [tmp_path / "a/stats.json", tmp_path / "b/utt2attr", tmp_path / "c/stats.json"]
    compute_stats_main(parts, tmp_path / "sum.json")
    joined, whole = read_json(tmp_path / "sum.json"), read_json(tmp_path / "whole/stats.json")
    for name in ("pitch", "loudness", "rate"):
        assert joined[name] == pytest.approx(whole[name], rel=1e-12) and joined[name]["count"] == 9
    assert joined["flagged"] == whole["flagged"] == {"short": 1, "unvoiced": 1} and joined["rejected"] == 2 + 3 + 2
    assert (tmp_path / "whole/stats.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_doubtful_is_flagged():
    assert [flags(2.0, 0.5), flags(0.3, 0.5), flags(2.0, 0.02), flags(0.3, 0.0)] == [
        "-", "short", "unvoiced", "short unvoiced",
    ]  # fmt: skip


SOUND = (".wav", ".flac", ".opus")


def speech(test_data, number=0):
    return audio.load(sorted((test_data / "speech/emodb").rglob("*.wav"))[number], "u")


def hum(wave, frequency, level):
    time = np.arange(len(wave)) / 16000
    tone = sum(np.sin(2 * np.pi * frequency * k * time + k) / k for k in (1, 2, 3, 4))
    return (wave + tone * np.sqrt(np.mean(wave**2) / np.mean(tone**2)) * 10 ** (level / 20)).astype(np.float32)


@pytest.mark.parametrize("corpus", ["emodb", "ravdess_16k", "nemo_16k"])
def test_clean_speech_is_measured_as_it_is(test_data, corpus):
    """Bit for bit, so that no attribute of a clean corpus changes; no flag either."""
    paths = [path for path in sorted((test_data / "speech" / corpus).rglob("*.*")) if path.suffix in SOUND]
    changed = 0
    for path in paths[:: len(paths) // 12]:
        wave = audio.load(path, "u")
        cleaned, names = clean(wave)
        assert names == []
        changed += not np.array_equal(cleaned, wave)
    assert changed <= (1 if corpus == "ravdess_16k" else 0)  # one of its actors has an offset


@pytest.mark.parametrize("offset", [0.01, 0.05, -0.3])
def test_an_offset_changes_nothing(test_data, offset):
    wave = speech(test_data)
    cleaned, names = clean(wave + np.float32(offset))
    assert names == [] and np.abs(cleaned - (wave - wave.mean())).max() < 1e-6
    ends = [len(audio.trim_silence(w)) for w in (wave, cleaned)]
    assert abs(ends[0] - ends[1]) <= 400 and len(audio.trim_silence(wave + np.float32(offset))) > ends[0] + 400


@pytest.mark.parametrize(("frequency", "level"), [(50, -10), (50, -16), (60, -10), (59.8, -14)])
def test_hum_is_taken_away_and_flagged(test_data, frequency, level):
    wave = speech(test_data, 1)
    cleaned, names = clean(hum(wave, frequency, level))
    assert names == ["hum"]
    before, after = (np.mean((w - wave) ** 2) / np.mean(wave**2) for w in (hum(wave, frequency, level), cleaned))
    assert after < min(before, 0.02)


def test_hum_does_not_move_the_pitch(test_data):
    wave = speech(test_data, 1)
    disturbed = hum(wave, 60, -10)
    pitches = [mean_pitch(audio.trim_silence(w), COARSE) for w in (wave, disturbed, clean(disturbed)[0])]
    assert abs(pitches[1] - pitches[0]) > 25 > 10 > abs(pitches[2] - pitches[0])


def test_what_was_cut_off_at_its_peaks_is_flagged(test_data):
    wave = speech(test_data)
    for gain, expected in ((0.9, []), (1.0, []), (3.0, ["clipped"]), (10.0, ["clipped"])):
        assert clean(np.clip(wave * gain / np.abs(wave).max(), -1, 1))[1] == expected
    assert clean(np.full(16000, 0.3, np.float32))[1] == []


def test_flags_of_a_recording_stand_in_the_table(tmp_path, test_data):
    paths = {"a": speech(test_data), "b": hum(speech(test_data), 50, -10) + np.float32(0.2)}
    for name, wave in paths.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "c.wav", np.full(16000, 0.25), 16000)
    rows = {"wav.scp": "{0} {1}/{0}.wav", "utt2spk": "{0} {0}", "utt2lang": "{0} de", "text": "{0} Guten Tag."}
    for table, row in rows.items():
        (tmp_path / table).write_text("".join(row.format(name, tmp_path) + "\n" for name in "abc"))
    coarse = ["--pitch.hop", "0.05", "--pitch.decoder", "argmax"]
    run_entry("extract_attributes", "--data", tmp_path, "--out", tmp_path / "utt2attr", *coarse, check=True)
    assert read_table(tmp_path / "utt2flag") == {"a": "-", "b": "hum"}
    assert "silent" in read_table(tmp_path / "utt2attr.rejected")["c"]
    values = read_attributes(read_table(tmp_path / "utt2attr"))
    assert np.allclose(values["a"], values["b"], rtol=0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((200, -20, 1714), "u: its rate is 1714 phonemes/s, and speech has 0.1 to 50; correct its transcript"),
        ((200, 70.3, 12), "u: its loudness is 70.3 LUFS, and speech has -70 to 10; convert it again"),
        ((200, -20, math.nan), "u: its rate is nan"),
    ],
)
def test_values_that_no_speech_has_are_refused(values, message):
    check_limits((200, -20, 12), "u")
    with pytest.raises(ValueError, match=message):
        check_limits(values, "u")


def test_one_wrong_transcript_does_not_make_every_rate_medium(tmp_path):
    texts = ["Das ist ein Satz mit so vielen Worten.", "Guten Tag.", "Das ist so. " * 300]
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", voice(200), 16000)
    tables = {"wav.scp": [f"{tmp_path}/{n}.wav" for n in range(3)], "text": texts}
    tables |= {"utt2spk": ["s"] * 3, "utt2lang": ["de"] * 3}
    for name, rows in tables.items():
        write_table(tmp_path / name, {f"s-{n}": row for n, row in enumerate(rows)})
    coarse = ["--pitch.hop", "0.05", "--pitch.decoder", "argmax"]
    run_entry("extract_attributes", "--data", tmp_path, "--out", tmp_path / "utt2attr", *coarse, check=True)
    assert set(read_table(tmp_path / "utt2attr")) == {"s-0", "s-1"}
    assert "correct its transcript" in read_table(tmp_path / "utt2attr.rejected")["s-2"]


def test_who_moves_the_mean_is_named(tmp_path):
    rows = {f"u{n:02d}": f"{200 + n % 7} {-20 + n % 3} {12 + n % 5 / 10}" for n in range(60)}
    write_table(tmp_path / "utt2attr", rows)
    done = run_entry("compute_stats", "--attributes", tmp_path / "utt2attr", "--out", tmp_path / "s.json", check=True)
    assert "far from the others" not in done.stderr
    write_table(tmp_path / "utt2attr", rows | {"u07": "900 -20 12", "u08": "201 -20 45", "u09": "201 -20 30"})
    done = run_entry("compute_stats", "--attributes", tmp_path / "utt2attr", "--out", tmp_path / "s.json", check=True)
    assert "pitch: 1 far from the others may move its levels: u07 (900); listen" in done.stderr
    assert "rate: 2 far from the others may move its levels: u08 (45), u09 (30)" in done.stderr
    assert outliers({"a": (1, 1, 1)}) == {"pitch": {}, "loudness": {}, "rate": {}}


def test_stats_survive_json_and_bad_rows_are_named(tmp_path):
    stats = compute_stats(read_attributes({"a": "100 -20 5", "b": "200 -30 7"}))
    assert stats["pitch"].mean == 150 and stats["rate"].deviation == 1
    assert stats_from_json(stats_to_json(stats), tmp_path) == stats
    for row in ("100 -20", "100 -20 nan", "a b c"):
        with pytest.raises(ValueError, match="^a: "):
            read_attributes({"a": row})


def test_phonemes_are_counted_alike_by_several_threads():
    spoken = {"en": "The quick brown fox jumps over the lazy dog", "de": "Der Hund schläft", "zh": "今天有12个苹果"}
    texts = [(f"{text} {'x' * (number % 5)}", language) for number in range(60) for language, text in spoken.items()]
    alone = [count_phonemes(*one) for one in texts]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda one: count_phonemes(*one), texts)) == alone


@pytest.mark.xdist_group("penn")
def test_tables_do_not_depend_on_the_threads_that_read(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    names = [f"s-{number}" for number in range(9)]
    for number, name in enumerate(names):
        soundfile.write(
            tmp_path / f"{name}.wav", voice(90 + 20 * number, 0.5 + 0.1 * number), 16000 + 6050 * (number % 2)
        )
    soundfile.write(tmp_path / "s-2.wav", np.zeros(16000), 16000)
    (tmp_path / "s-5.wav").write_bytes(b"RIFF")
    tables = {"utt2spk": "s", "text": "the cat sat", "utt2lang": "en"}
    for table, value in tables.items():
        (tmp_path / table).write_text("".join(f"{name} {value}\n" for name in names))
    (tmp_path / "wav.scp").write_text("".join(f"{name} {tmp_path / name}.wav\n" for name in names))
    found = []
    for seconds, workers in ((30.0, 1), (1.0, 1), (1.0, 4)):
        out = tmp_path / f"out{seconds}{workers}/utt2attr"
        pitch = PitchConfig(hop=0.05, decoder="argmax", batch=20, batch_seconds=seconds)
        extract_attributes.main(tmp_path, out, pitch, num_workers=workers)
        found.append({path.name: path.read_bytes() for path in out.parent.iterdir()})
    assert found[0] == found[1] == found[2] and set(found[0]) == {"utt2attr", "utt2attr.rejected", "utt2flag"}
    reasons = read_table(tmp_path / "out1.04/utt2attr.rejected")
    assert list(reasons) == ["s-2", "s-5"] and reasons["s-2"].startswith("silent")
    assert reasons["s-5"].startswith("cannot read")


@pytest.mark.xdist_group("penn")
def test_entry_points(tmp_path, root):
    data = tmp_path / "da ta"
    data.mkdir()
    names = {"s-1": 100, "s-2": 150, "s-3": 220, "s-4": 0}
    for name, pitch in names.items():
        soundfile.write(data / f"{name}.wav", voice(pitch) if pitch else np.zeros(16000), 16000)
    tables = {
        "wav.scp": lambda name: data / f"{name}.wav",
        "utt2spk": lambda name: "s",
        "text": lambda name: "The $(touch x) 'cat' sat.",
        "utt2lang": lambda name: "en",
    }
    for table, value in tables.items():
        (data / table).write_text("".join(f"{name} {value(name)}\n" for name in names))

    def entry(name, *words):
        run_entry(name, *words, check=True)

    config = root / "local/conf/attributes.yaml"
    entry("extract_attributes", "--config", config, "--data", data, "--out", data / "utt2attr")
    rows = read_attributes(read_table(data / "utt2attr"))
    assert [round(row[0] / 10) for row in rows.values()] == [10, 15, 22]
    assert "s-4" in (data / "utt2attr.rejected").read_text()
    entry("compute_stats", "--attributes", data / "utt2attr", "--out", tmp_path / "exp/stats.json")
    assert read_json(tmp_path / "exp/stats.json")["pitch"]["count"] == 3
    assert (tmp_path / "exp/stats.png").stat().st_size > 5000
    entry("assign_levels", "--data", data, "--stats", tmp_path / "exp/stats.json", "--out", data / "utt2level")
    levels = read_table(data / "utt2level")
    assert [row.split()[0] for row in levels.values()] == ["low", "medium", "high"]
    assert "s-4 it has no attributes" in (data / "utt2level.rejected").read_text()


@pytest.mark.slow
@pytest.mark.xdist_group("penn")
def test_attributes_do_not_depend_on_the_number_of_jobs(tmp_path, root):
    pitches = {f"s-{number}": 90 + 25 * number for number in range(8)}
    for name, pitch in pitches.items():
        soundfile.write(tmp_path / f"{name}.wav", voice(pitch, 0.3 + 0.1 * (pitch % 4)), 16000)
    soundfile.write(tmp_path / "s-5.wav", 0.1 * np.sin(np.arange(10)), 16000)
    soundfile.write(tmp_path / "s-6.wav", np.where(np.arange(9000) == 7, np.nan, 0.1), 16000, subtype="FLOAT")
    rows = {"wav.scp": "{folder}/{name}.wav", "utt2spk": "s", "text": "the cat sat", "utt2lang": "en"}
    (tmp_path / "data").mkdir()
    for table, value in rows.items():
        lines = (f"{name} {value.format(folder=tmp_path, name=name)}\n" for name in pitches)
        (tmp_path / "data" / table).write_text("".join(lines))
    environment = os.environ | {"PYTHONPATH": str(root), "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    environment |= {"CUDA_VISIBLE_DEVICES": ""}
    for nj in ("1", "3"):
        words = [root / "utils/map_data.sh", "--nj", nj, "--max-rejected", "50", tmp_path / "data"]
        words += [tmp_path / nj / "utt2attr"]
        words += ["python", "-m", "c2ser.bin.extract_attributes", "--config", root / "local/conf/attributes.yaml"]
        done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for table in ("utt2attr", "utt2flag", "utt2attr.rejected"):
        assert (tmp_path / "1" / table).read_bytes() == (tmp_path / "3" / table).read_bytes()
    assert set(read_table(tmp_path / "3/utt2attr")) == set(pitches) - {"s-5", "s-6"}
    reasons = read_table(tmp_path / "3/utt2attr.rejected")
    assert "10 samples" in reasons["s-5"] and "NaN" in reasons["s-6"]
