"""A small bilingual corpus of seven emotions, spoken by espeak-ng on the spot. It is synthetic: no one feels here.

Emotion is in rate, pitch, range and volume, and in four of ten utterances in the words too. Every speaker reads both
languages; the speakers of the test set are heard nowhere else.
"""

from collections.abc import Iterator
from pathlib import Path

import soundfile
from sentences import SENTENCES
from synthesis import Synthesiser, Voice

from c2ser.data.sampler import rng
from c2ser.emotions import EMOTIONS
from c2ser.prep import Corpus, Utterance, prepare

LANGUAGES = {"en": "en-us", "zh": "cmn"}

SPEAKERS = {
    "train": ["m1", "m2", "m3", "robert", "f1", "f4", "belinda", "grandma", "aunty", "Alex"],
    "valid": ["Mario", "steph"],
    "test": ["m6", "linda", "shelby"],
}
"""Variants of espeak-ng's voices that are alike in loudness and always sound the same; speakers have their names."""

TAKES = {"train": 5, "valid": 3, "test": 4}
"""Utterances of each speaker, emotion and language."""

MANNER = {
    "anger": {"rate": 215, "pitch": 8, "range": 75, "volume": 180},
    "happiness": {"rate": 185, "pitch": 20, "range": 90, "volume": 105},
    "neutral": {"rate": 165, "pitch": 0, "range": 30, "volume": 80},
    "sadness": {"rate": 108, "pitch": -14, "range": 8, "volume": 40},
    "surprise": {"rate": 140, "pitch": 34, "range": 99, "volume": 110},
    "disgust": {"rate": 112, "pitch": -10, "range": 60, "volume": 160},
    "fear": {"rate": 245, "pitch": 26, "range": 10, "volume": 45},
}
"""Words per minute; pitch against the speaker's own; variation of pitch; volume."""

SHARE_OF_WORDS = 0.4
"""How many utterances show their emotion in the words too."""

SEED = 20251124


def speak(db_root: Path) -> Iterator[Utterance]:
    """Synthesise the corpus into `db_root` and yield its utterances; the same on every machine."""
    synthesiser = Synthesiser()
    every = [(name, number, speaker) for name in SPEAKERS for number, speaker in enumerate(SPEAKERS[name])]
    for set_name, number, speaker in every:
        for language, voice in LANGUAGES.items():
            for kind, emotion in enumerate(EMOTIONS):
                for take in range(TAKES[set_name]):
                    generator = rng(SEED, list(SPEAKERS).index(set_name), number, kind, take, len(voice))
                    choice = emotion if generator.random() < SHARE_OF_WORDS else "any"
                    text = str(generator.choice(SENTENCES[language][choice]))
                    name = f"{language}-{emotion}-{take + 1}"
                    path = db_root / speaker / f"{name}.wav"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    drift = 1 + 0.24 * (generator.random(4) - 0.5)
                    samples = synthesiser.say(text, manner(f"{voice}+{speaker}", emotion, number, drift.tolist()))
                    soundfile.write(path, samples, synthesiser.rate)
                    yield Utterance(set_name, speaker, name, path, emotion, language, text)


def manner(name: str, emotion: str, number: int, drift: list[float]) -> Voice:
    """Return how a speaker shows an emotion this time; `drift` are factors on rate, pitch, range and volume."""
    shown = MANNER[emotion]
    return Voice(
        name,
        rate=shown["rate"] * drift[0] * (0.97 + 0.02 * (number % 4)),
        pitch=(48 + shown["pitch"] + 2 * (number % 3)) * drift[1],
        range=min(99, shown["range"] * drift[2]),
        volume=shown["volume"] * drift[3],
    )


if __name__ == "__main__":
    prepare(speak, Corpus(makes_audio=True))
