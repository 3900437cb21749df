"""Attributes: pitch of known sounds, loudness by the standard, phonemes per second; levels; their entry points."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from c2ser.attributes.levels import Stats, compute_stats, read_attributes, stats_from_json, stats_to_json
from c2ser.attributes.loudness import loudness
from c2ser.attributes.pitch import PitchConfig, mean_pitch
from c2ser.attributes.rate import speaking_rate
from c2ser.tables import read_json, read_table

COARSE = PitchConfig(hop=0.05, decoder="argmax")


def voice(pitch, seconds=1.0):
    """A sound with as many harmonics as a voice has."""
    time = np.arange(int(16000 * seconds)) / 16000
    wave = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    return (0.1 * wave).astype(np.float32)


@pytest.mark.xdist_group("penn")
@pytest.mark.parametrize("pitch", [80, 120, 220, 440])
@pytest.mark.parametrize("config", [COARSE, PitchConfig()])
def test_pitch_of_known_sounds(pitch, config):
    assert mean_pitch(voice(pitch), "u", config) == pytest.approx(pitch, rel=0.01)


@pytest.mark.xdist_group("penn")
def test_only_voiced_frames_count():
    noise = 0.05 * np.random.default_rng(0).normal(size=16000).astype(np.float32)
    assert mean_pitch(np.concatenate([noise, voice(150)]), "u", COARSE) == pytest.approx(150, rel=0.03)
    with pytest.raises(ValueError, match="^u: "):
        mean_pitch(np.zeros(16000, dtype=np.float32), "u", COARSE)


def test_penn_does_not_read_our_command_line():
    code = (
        "import sys; sys.argv = ['x', '--config', '/no/such.py', '--hop', '3']\n"
        "from c2ser.attributes.pitch import *; import numpy as np\n"
        "t = np.arange(16000) / 16000\n"
        "w = sum(np.sin(2 * np.pi * 200 * k * t) / k for k in range(1, 9)).astype('float32')\n"
        "print(mean_pitch(w * 0.1, 'u', PitchConfig(hop=0.05, decoder='argmax')), sys.argv)\n"
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
    with pytest.raises(ValueError, match="^u: "):
        loudness(np.zeros(16000, dtype=np.float32), "u")


@pytest.mark.parametrize(
    ("text", "language", "phonemes"),
    [("cat", "en", 3), ("The cat sat.", "en", 8), ("你好", "zh", 4), ("guten Tag", "de", 8), ("buongiorno", "it", 9)],
)
def test_rate_counts_phonemes(text, language, phonemes):
    assert speaking_rate(text, language, 32000, "u") == pytest.approx(phonemes / 2, abs=0.51)


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
    low, high = stats.bounds
    assert stats.level(value) == ("low" if value < low else "high" if value > high else "medium")


def test_stats_survive_json_and_bad_rows_are_named():
    stats = compute_stats(read_attributes({"a": "100 -20 5", "b": "200 -30 7"}))
    assert stats["pitch"].mean == 150 and stats["rate"].deviation == 1
    assert stats_from_json(stats_to_json(stats)) == stats
    for row in ("100 -20", "100 -20 nan", "a b c"):
        with pytest.raises(ValueError, match="^a: "):
            read_attributes({"a": row})


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
        command = [sys.executable, "-m", f"c2ser.bin.{name}", *map(str, words)]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    config = root / "local/conf/tiny/attributes.yaml"
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
