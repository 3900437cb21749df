"""eNTERFACE'05 (Martin et al. 2006): clips `subject <number>/<emotion>/sentence <number>/s<number>_<emotion>_*.avi`."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, prepare

EMOTIONS = {name: name for name in ("anger", "disgust", "fear", "happiness", "sadness", "surprise")}
"""By folder."""

COUNTS = {ALL: dict.fromkeys(EMOTIONS, 215) | {"happiness": 212, ALL: 6}}
"""Clips in the whole corpus, 1,293; six of them (`ALL`) hold all that subject 6 said with an emotion."""

FLAWS = {"6": "all sentences of the subject in one clip"}


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the clips; folders say subject and emotion, for the names of the files are sometimes wrong.

    The corpus has no official split: subjects over 36 are tested on, those over 30 validated on.
    """
    for path in files(db_root, "subject */*/*.avi", "subject */*/*/*.avi"):
        subject, emotion, *sentence, _ = path.relative_to(db_root).parts
        speaker = subject.removeprefix("subject ").strip()
        if emotion in EMOTIONS and speaker.isdecimal():
            rest = "valid" if int(speaker) > 30 else "train"
            yield Utterance(
                set="test" if int(speaker) > 36 else rest,
                speaker=speaker,
                name="_".join([emotion, *"".join(sentence).split()]),
                wav=path,
                emotion=emotion,
                language="en",
                text="",
                channel="centre",
                reject_reason=FLAWS.get(speaker),
            )


CORPUS = Corpus(
    layout=("subject */anger",),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=("EmoBox counts 1,263: its ids are the files' names, and those of subject 11 are those of subject 12",),
    how_to_get="download it from enterface.net/enterface05",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
