"""Pitch: our tracker against PENN's own function."""

import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.cases import RATE, case, durations, signals
from benchmark.harness import Case, Equivalence, Setting
from c2ser import audio
from c2ser.attributes.pitch import PitchConfig, PitchTracker, Track

SAME_CENTS = 0.1
"""Cent that pitches of voiced frames may be apart in fp32."""

SAME_MEAN = 1e-3
"""How far mean pitches may be apart, relative, where both are computed in fp16 on a GPU."""

AT_ONCE = 256
"""Utterances that a GPU tracks together."""


PEERS_BATCH = 32
"""Frames that PENN's function takes at once on a CPU, where its own default, all of them, is slower."""


@case
def penn_pitch(setting: Setting) -> Case:
    """Utterances tracked together at a hop of 10 ms, ours against `penn.from_audio`, which takes one at a time."""
    cuda, real = setting.device == "cuda", setting.size == "real"
    waves = _speech(setting, {"cpu": 4, "cuda": 512}[setting.device] if real else 2)
    hop = 0.01 if real else 0.05
    tracker = PitchTracker(PitchConfig(hop=hop, device=0, batch=4096) if cuda else PitchConfig(hop=hop))
    groups = [waves[start : start + AT_ONCE] for start in range(0, len(waves), AT_ONCE)]

    def ours() -> list[Track]:
        """Track all of them."""
        return [track for group in groups for track in tracker.track(group)]

    def theirs() -> list[Track]:
        """Let PENN track one after the other."""
        return [_penns(tracker, wave) for wave in waves]

    def check() -> Equivalence:
        """Compare the tracks of up to eight utterances."""
        first = waves[:8]
        pairs = [*zip(tracker.track(first), (_penns(tracker, wave) for wave in first), strict=True)]
        if cuda:
            gap = max(_mean_gap(*pair, tracker.config.voiced) for pair in pairs)
            return Equivalence("mean pitch of an utterance in fp16, relative", gap, SAME_MEAN)
        gap = max(_cents(*pair, tracker.config.voiced) for pair in pairs)
        return Equivalence("cent in voiced frames, fp32", gap, SAME_CENTS)

    size = "all frames at once, fp16 autocast" if cuda else f"{PEERS_BATCH} frames at once, fp32"
    settings = f"penn {version('penn')} from_audio, one utterance at a time, {size}"
    seconds = sum(map(len, waves)) / RATE
    work = {"utterances": len(waves), "audio_s": round(seconds, 1), "hop_ms": 1000 * hop}
    weights = sum(parameter.numel() for parameter in tracker.network.parameters())
    return Case(ours, theirs, settings, check, work, seconds / hop * frame_flops(tracker), 4 * weights)


def _penns(tracker: PitchTracker, wave: np.ndarray) -> Track:
    """Track an utterance with PENN's function, with the tracker's settings and the batch that is fastest for it."""
    config, threads = tracker.config, torch.get_num_threads()
    pitch, periodicity = tracker.penn.from_audio(
        torch.from_numpy(wave)[None], RATE, hopsize=config.hop, fmin=config.fmin, fmax=config.fmax,
        decoder=config.decoder, checkpoint=tracker.checkpoint, gpu=config.device,
        batch_size=PEERS_BATCH if config.device is None else None,
    )  # fmt: skip
    torch.set_num_threads(threads)  # its decoder sets a single one for the whole process
    return Track(pitch[0].cpu().numpy(), periodicity[0].cpu().numpy())


def _cents(one: Track, other: Track, voiced: float) -> float:
    """Return the largest distance in voiced frames; NaN where there is none."""
    chosen = np.abs(1200 * np.log2(one.pitch / other.pitch))[other.periodicity >= voiced]
    return float(chosen.max()) if len(chosen) else math.nan


def _mean_gap(one: Track, other: Track, voiced: float) -> float:
    means = [track.mean(voiced, "utterance") for track in (one, other)]
    return abs(means[0] / means[1] - 1)


def frame_flops(tracker: PitchTracker) -> int:
    """Return the operations of PENN's network for one frame, as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tracker.penn.Model()(torch.zeros(1, 1, tracker.penn.WINDOW_SIZE))
    return counter.get_total_flops()


def _speech(setting: Setting, number: int) -> list[np.ndarray]:
    """Return waveforms (samples,) of the recordings that the setting names, again and again, or of tones and noise."""
    if setting.speech is None:
        return signals(durations(number, setting.seed, 20.0 if setting.size == "real" else 1.0), setting.seed)
    files = sorted(Path(setting.speech).rglob("*.wav"))
    if not files:
        raise ValueError(f"{setting.speech}: no wav file in it; give a folder of recordings to --speech")
    chosen = files[:: max(1, len(files) // number)][:number]
    return [audio.load(chosen[place % len(chosen)], chosen[place % len(chosen)].stem) for place in range(number)]
