"""Audio: every format becomes mono float32 at 16 kHz; every defect is an error that names the utterance."""

import struct
from fractions import Fraction

import numpy as np
import pytest
import soundfile

from c2ser import audio

RATE = 16000


def tone(seconds=1.0, rate=RATE, frequency=440.0, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)
    return np.stack([wave * (c + 1) / channels for c in range(channels)], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "rate"), [("wav", 48000), ("flac", 44100), ("ogg", 16000), ("mp3", 22050), ("opus", 48000)]
)
def test_formats(tmp_path, suffix, rate):
    path = tmp_path / f"a b $(x).{suffix}"
    options = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    soundfile.write(path, tone(rate=rate), rate, **options)
    wave = audio.load(path, "utt")
    assert wave.dtype == np.float32 and wave.ndim == 1
    assert abs(len(wave) - RATE) < 0.08 * RATE
    assert audio.duration(path, "utt") == pytest.approx(1.0, abs=0.08)
    middle = wave[4000:12000]
    peak = np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))) * RATE / len(middle)
    assert peak == pytest.approx(440, abs=4)


def test_resampling_keeps_level_and_removes_what_aliases(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(rate=48000, frequency=1000), 48000)
    assert np.std(audio.load(path, "u")[1000:-1000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    soundfile.write(path, tone(rate=48000, frequency=10000), 48000)
    assert np.std(audio.load(path, "u")[1000:-1000]) < 0.01


def test_channels(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(channels=2), RATE, subtype="FLOAT")
    left, right = audio.load(path, "u", 0), audio.load(path, "u", 1)
    assert np.allclose(right, 2 * left, atol=1e-6)
    assert np.allclose(audio.load(path, "u"), 1.5 * left, atol=1e-6)
    assert np.allclose(audio.load(path, "u", "mean"), 1.5 * left, atol=1e-6)
    with pytest.raises(ValueError, match="^u: no channel 2"):
        audio.load(path, "u", 2)


def broken(kind, path):
    soundfile.write(path, tone(), RATE)
    content = path.read_bytes()
    wave = tone()[:, 0]
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 4])
    elif kind == "empty file":
        path.write_bytes(b"")
    elif kind == "header only":
        path.write_bytes(content[:40] + struct.pack("<I", 0))
    elif kind == "html":
        path.write_bytes(b"<html>404</html>")
    elif kind == "nan":
        wave[100] = np.nan
        soundfile.write(path, wave, RATE, subtype="FLOAT")
    elif kind == "inf":
        wave[100] = np.inf
        soundfile.write(path, wave, RATE, subtype="FLOAT")
    elif kind == "missing":
        path.unlink()
    elif kind == "flac cut":
        soundfile.write(path, np.random.default_rng(0).normal(size=RATE) * 0.1, RATE, format="FLAC")
        path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize("kind", ["aiff", "au", "caf", "w64", "wav"])
def test_a_file_that_declares_more_than_it_holds_is_refused(kind, tmp_path):
    whole, cut = tmp_path / f"whole.{kind}", tmp_path / f"cut.{kind}"
    soundfile.write(whole, np.sin(np.arange(16000) / 9).astype(np.float32), 16000)
    assert len(audio.load(whole, "u")) == 16000
    cut.write_bytes(whole.read_bytes()[:20000])
    with pytest.raises(ValueError, match=r"^u: truncated, \d+ of 3200[048] bytes of audio; re-download "):
        audio.load(cut, "u")


KINDS = ["truncated", "empty file", "header only", "html", "nan", "inf", "missing", "flac cut"]


@pytest.mark.parametrize("kind", KINDS)
def test_defects_name_the_utterance(tmp_path, kind):
    path = tmp_path / "a.wav"
    broken(kind, path)
    with pytest.raises(ValueError, match="^spk-utt: .*; ") as caught:
        audio.load(path, "spk-utt")
    assert "\n" not in str(caught.value)


def test_trim_silence():
    wave = np.concatenate([np.zeros(8000), tone()[:, 0], np.zeros(4000)]).astype(np.float32)
    trimmed = audio.trim_silence(wave)
    assert abs(len(trimmed) - RATE) < 900
    assert len(audio.trim_silence(np.zeros(8000, np.float32))) == 8000
    assert len(audio.trim_silence(np.zeros(10, np.float32))) == 10


def test_real_speech(test_data):
    path = test_data / "speech" / "emodb" / "wav" / "03a01Wa.wav"
    wave = audio.load(path, "03-a01Wa")
    assert audio.duration(path, "x") == pytest.approx(len(wave) / RATE)
    assert 0.5 < len(audio.trim_silence(wave)) / len(wave) <= 1


def test_a_dead_or_opposite_channel_does_not_weaken_the_others():
    wave = (0.1 * np.sin(np.arange(16000) / 9)).astype(np.float32)
    hiss = (1e-5 * np.random.default_rng(0).normal(size=16000)).astype(np.float32)
    for other in (np.zeros_like(wave), np.full_like(wave, 0.02), hiss):
        assert np.array_equal(audio.mono(np.stack([other, wave], axis=1), "u", None), wave)
    assert np.array_equal(audio.mono(np.stack([wave, -wave], axis=1), "u", None), wave)
    quiet = np.stack([wave, 0.1 * wave], axis=1)  # a talker who stands aside is no dead channel
    assert np.allclose(audio.mono(quiet, "u", None), 0.55 * wave, atol=1e-6)
    assert not audio.mono(np.zeros((100, 2), np.float32), "u", None).any()


@pytest.mark.parametrize("value", [1e10, -3e38, np.inf, np.nan])
def test_samples_that_would_overflow_are_refused(tmp_path, value):
    wave = 0.1 * np.sin(np.arange(16000) / 9)
    wave[77] = value
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match="u: .*(NaN|over 1e\\+09).*convert it again from its source"):
        audio.load(tmp_path / "x.wav", "u")


def test_floats_that_hold_16_bit_numbers_are_read(tmp_path):
    soundfile.write(tmp_path / "x.wav", 32767 * np.sin(np.arange(16000) / 9), 16000, subtype="FLOAT")
    assert audio.load(tmp_path / "x.wav", "u").max() > 32000


@pytest.mark.parametrize(
    "rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44056, 44100, 48000, 88200, 96000, 192000]
)
def test_usual_rates_are_resampled_exactly(rate):
    assert audio.nearest_ratio(rate) == Fraction(rate, 16000) or rate == 44056


@pytest.mark.parametrize("rate", [44101, 191999, 655350, 7919, 1, 15999, 2**31 - 1])
def test_odd_rates_need_no_gigabytes(rate):
    ratio = audio.nearest_ratio(rate)
    assert ratio.denominator <= 1000 and ratio.denominator * min(ratio.numerator, 10**6) <= 1.1e6
    assert rate < 100 or abs(float(ratio) * 16000 / rate - 1) < 1e-4


def test_sound_of_an_odd_rate_has_its_length_and_pitch():
    wave = np.sin(2 * np.pi * 440 * np.arange(44101) / 44101).astype(np.float32)
    found = audio.resample(wave, 44101)
    assert abs(len(found) - 16000) <= 1
    assert np.abs(np.fft.rfft(found[:16000])).argmax() == 440
