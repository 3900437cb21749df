"""BIIC-Podcast 1.01 (Upadhyay et al. 2023): `Audios/BIIC-PODCAST_*.wav` and a table of consensus labels.

We have not seen the package. The table is looked for by its headings, labels may be letters, words or numbers; what is
found is checked against the published numbers of utterances in each set.
"""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, prepare, read_rows, read_text, speaker_id

KINDS = ("anger", "sadness", "happiness", "surprise", "fear", "disgust", "contempt", "neutral", "other", "no_agreement")
"""Classes in the order of the numbers that one copy uses instead of letters."""

LETTERS = dict(zip(("A", "S", "H", "U", "F", "D", "C", "N", "O", "X"), KINDS, strict=True))

WORDS = {"angry": "anger", "sad": "sadness", "happy": "happiness", "surprised": "surprise", "disgusted": "disgust"}

DROPPED = ("contempt", "other", "no_agreement")

EMOTIONS = {kind: None if kind in DROPPED else kind for kind in KINDS}

COUNTS = {"train": {ALL: 48815}, "valid": {ALL: 10845}, "test": {ALL: 10340}}
"""Utterances, 70,000; how many have which label is not published."""

SETS = {"train": "train", "development": "valid", "validation": "valid", "test": "test"}

HEADINGS = ("FileName", "EmoClass", "Split_Set")


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the utterances of the table of labels, in its order."""
    texts = {path.stem: path for path in files(db_root / "Transcripts", "*.txt")}
    for row in read_rows(table(db_root), *HEADINGS):
        set_name = SETS.get(row["Split_Set"].lower())
        if set_name:
            stem = Path(row["FileName"]).stem
            yield Utterance(
                set=set_name,
                speaker=f"biic_{speaker_id(row.get('SpkrID') or 'Unknown')}",
                name=stem,
                wav=db_root / "Audios" / f"{stem}.wav",
                emotion=kind(row["EmoClass"]),
                language="zh",
                text=read_text(texts[stem]) if stem in texts else "",
                session="_".join(stem.split("_")[:2]),
            )


def table(db_root: Path) -> Path:
    """Return the table of consensus labels: one that has the headings, "consensus" in its name preferred."""
    candidates = sorted(files(db_root, "*.csv", "*/*.csv"), key=lambda path: "consensus" not in path.name.lower())
    for path in candidates:
        try:
            next(read_rows(path, *HEADINGS), None)
        except ValueError:
            continue
        return path
    raise ValueError(f"{db_root}: no csv file with the headings {', '.join(HEADINGS)}; put the consensus labels there")


def kind(label: str) -> str:
    """Return the class that a letter, a number or a word means; a word that is not known as it is."""
    if label.isdigit() and int(label) < 8:
        return KINDS[int(label)]
    return LETTERS.get(label, WORDS.get(label.lower(), label.lower()))


CORPUS = Corpus(
    layout=("Audios/BIIC-PODCAST_*",),
    emotions=EMOTIONS,
    classes={name: name for name in DROPPED},
    counts=COUNTS,
    notes=(
        "the paper's Table II says 70000 utterances and 147.43 hours: those of the whole corpus, contempt, other and "
        "no agreement among them; how many have one of the seven emotions is not published",
    ),
    how_to_get="ask the BIIC lab of NTHU for its licence",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
