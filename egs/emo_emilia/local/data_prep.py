"""Emo-Emilia (Zhao et al. 2025): `Emo-Emilia-ALL.jsonl` and `wav/<index>.wav`, 100 utterances a language and emotion.

The speaker is what stands before "_W" in the index; the language are its first two letters.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare, read_text

EMOTIONS = {
    "angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness", "surprised": "surprise",
    "disgusted": "disgust", "fearful": "fear",
}  # fmt: skip

FOLDS = ("1", "2", "3", "4", "5")

COUNTS = {name: dict.fromkeys(EMOTIONS, 40 * folds) for name, folds in (("train", 3), ("valid", 1), ("test", 1))}
"""Utterances in the whole set, 1,400."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the utterances; the first of five folds is tested on, the second validated on."""
    lines = [json.loads(line) for line in read_text(db_root / "Emo-Emilia-ALL.jsonl").split("\n") if line.strip()]
    paths = {path.stem: path for path in files(db_root, "wav/*", "*/wav/*")}
    fold_of = folds({line["index"]: line["emotion"] for line in lines})
    for line in lines:
        index = line["index"]
        yield Utterance(
            set={"1": "test", "2": "valid"}.get(fold_of[index], "train"),
            speaker=index.partition("_W")[0],
            name=f"W{index.partition('_W')[2]}",
            wav=paths.get(index, db_root / "wav" / f"{index}.wav"),
            emotion=line["emotion"],
            language=index[:2].lower(),
            text=line["text"],
            fold=fold_of[index],
        )


def folds(emotions: Mapping[str, str]) -> dict[str, str]:
    """Return the fold of each utterance: no speaker in two, and as many of each language and emotion in each.

    Speakers with most utterances are placed first, each where the classes of its utterances are rarest so far.

    Args:
        emotions: by index.
    """
    of_speaker: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for index, emotion in sorted(emotions.items()):
        of_speaker[index.partition("_W")[0]].append((index, f"{index[:2]} {emotion}"))
    size: dict[str, Counter] = {fold: Counter() for fold in FOLDS}
    chosen: dict[str, str] = {}
    for members in sorted(of_speaker.values(), key=lambda members: (-len(members), members)):
        classes = Counter(kind for _, kind in members)
        best = min(
            FOLDS, key=lambda fold: (sum(n * size[fold][kind] for kind, n in classes.items()), size[fold].total())
        )
        size[best] += classes
        chosen |= dict.fromkeys((index for index, _ in members), best)
    return chosen


CORPUS = Corpus(
    layout=("Emo-Emilia-ALL.jsonl",),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=(
        "the paper's five folds are not published; ours share no speaker, so a fold may miss 40 of an emotion by a few",
        "its labels were proposed by emotion2vec and GLM-4, which favours models of that family",
    ),
    how_to_get="get the sound from ASLP-lab/Emo-Emilia and the list from the repository of C2SER",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
