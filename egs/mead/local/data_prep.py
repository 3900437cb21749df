"""MEAD (Wang et al. 2020): `<M or W><number>/audio/<emotion>/level_<1 to 3>/<number>.m4a`; videos lie beside."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare

EMOTIONS = {
    "angry": "anger", "contempt": None, "disgusted": "disgust", "fear": "fear", "happy": "happiness",
    "neutral": "neutral", "sad": "sadness", "surprised": "surprise",
}  # fmt: skip
"""By folder; neutral has one strength."""

COUNTS = {
    ALL: {"angry": 4193, "contempt": 4215, "disgusted": 4284, "fear": 4251, "happy": 4294, "neutral": 1916,
          "sad": 4306, "surprised": 4270},
}  # fmt: skip
"""Recordings that EmoBox found, 31,729."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; the corpus has no official split, so a hash of the actor decides."""
    for path in files(db_root, "[MW][0-9]*/audio/*/level_[1-3]/*.m4a"):
        speaker, _, emotion, level, _ = path.relative_to(db_root).parts
        if emotion in EMOTIONS:
            rest = "valid" if in_share(f"valid {speaker}", 20) else "train"
            yield Utterance(
                set="test" if in_share(speaker, 25) else rest,
                speaker=speaker,
                name=f"{emotion}_{level}_{path.stem}",
                wav=path,
                emotion=emotion,
                language="en",
                text="",
            )


CORPUS = Corpus(
    layout=("[MW][0-9][0-9][0-9]/audio",),
    emotions=EMOTIONS,
    classes={"contempt": "contempt"},
    counts=COUNTS,
    how_to_get="download the audio of each actor as wywu.github.io/projects/MEAD/MEAD.html says",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
