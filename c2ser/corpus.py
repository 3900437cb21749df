"""Data directories: the one place that writes and reads them.

A recipe's `local/data_prep.py` is a generator of `Utterance`s; `prepare` does the rest: ids, order, filters, counts.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2ser import audio, cli
from c2ser.emotions import EMOTIONS, check_emotion
from c2ser.log import get_logger, progress
from c2ser.tables import check_id, read_table, write_table

logger = get_logger(__name__)

MAX_TRAINING_SECONDS = 20.0
"""Longer utterances leave the sets whose name begins with `train` (section IV.A of the paper)."""

TABLES = ("wav.scp", "text", "utt2spk", "utt2emo", "utt2lang", "utt2dur", "utt2channel", "utt2fold")


@dataclass(frozen=True)
class Utterance:
    """One utterance as a corpus describes it.

    Attributes:
        set: the data directory it belongs to, for example "train".
        speaker: speaker id.
        name: what tells it from the speaker's other utterances.
        wav: its audio file.
        emotion: one of the seven, or None where the corpus' label is none of them (it is left out and counted).
        language: ISO 639-1 code.
        text: transcript; "" where there is none.
        channel: which channel of the file, from 0; None for mono files or the mean.
        fold: the fold of a published cross-validation that tests it; None where there is none.
        duration: seconds; filled in when a data directory is written.
    """

    set: str
    speaker: str
    name: str
    wav: str | Path
    emotion: str | None
    language: str
    text: str
    channel: int | None = None
    fold: str | None = None
    duration: float | None = None

    @property
    def id(self) -> str:
        """Utterance id: the speaker is its prefix, as Kaldi's sorting wants it."""
        return f"{self.speaker}-{self.name}"


def prepare(
    generator: Callable[[Path], Iterable[Utterance]],
    expected: Mapping[str, int] | None = None,
    makes_audio: bool = False,
) -> None:
    """Command line of a recipe's `local/data_prep.py`: `--db-root DIR [--out data]`.

    Args:
        generator: takes the corpus folder, yields its utterances.
        expected: utterances by emotion over all sets, as the corpus is documented; a difference is a warning.
        makes_audio: whether the generator writes the corpus itself, so that the folder need not exist.
    """

    def main(db_root: Path, out: Path = Path("data")) -> None:
        """Write the data directories of this corpus.

        Args:
            db_root: the folder that holds the corpus.
            out: where the data directories go.
        """
        if makes_audio:
            db_root.mkdir(parents=True, exist_ok=True)
        if not db_root.is_dir():
            raise ValueError(f"{db_root}: no such folder; give the corpus with --db-root")
        counts = write_corpus(generator(db_root.resolve()), out)
        for emotion, number in (expected or {}).items():
            found = sum(count[emotion] for count in counts.values())
            if found != number:
                logger.warning("%s: %d of %d utterances found; is the corpus complete?", emotion, found, number)

    cli.run(main)


def write_corpus(utterances: Iterable[Utterance], out: str | Path) -> dict[str, Counter]:
    """Write one data directory per set.

    Utterances without one of the seven emotions, without readable audio, and training utterances over 20 s are left
    out; `rejected` in each directory names them with the reason.

    Returns:
        utterances by emotion, by set.

    Raises:
        ValueError: an id is malformed or given twice, or nothing is left.
    """
    kept: dict[str, dict[str, Utterance]] = defaultdict(dict)
    rejected: dict[str, dict[str, str]] = defaultdict(dict)
    for utterance in progress(utterances, "utterances"):
        check_id(utterance.speaker), check_id(utterance.id)
        if utterance.id in kept[utterance.set] or utterance.id in rejected[utterance.set]:
            raise ValueError(f"{utterance.id}: given twice in {utterance.set}; make `name` unique in data_prep.py")
        try:
            kept[utterance.set][utterance.id] = _accept(utterance)
        except ValueError as error:
            rejected[utterance.set][utterance.id] = str(error).removeprefix(f"{utterance.id}: ")
    if not any(kept.values()):
        raise ValueError(f"{out}: no utterance found; check --db-root against the layout in the recipe's README.md")
    for name in sorted(kept):
        _write_set(Path(out) / name, kept[name], rejected[name])
    counts = {name: Counter(u.emotion for u in kept[name].values()) for name in sorted(kept)}
    logger.info("%s", _count_table(counts, rejected))
    return counts


def _accept(utterance: Utterance) -> Utterance:
    if utterance.emotion is None:
        raise ValueError(f"{utterance.id}: its label is none of the seven emotions; left out")
    check_emotion(utterance.emotion, utterance.id)
    seconds = audio.duration(utterance.wav, utterance.id)
    if utterance.set.startswith("train") and seconds > MAX_TRAINING_SECONDS:
        raise ValueError(f"{utterance.id}: {seconds:.1f} s, over {MAX_TRAINING_SECONDS:.0f} s; left out of training")
    fields = {**vars(utterance), "duration": seconds, "text": " ".join(utterance.text.split())}
    return Utterance(**fields)


def _write_set(folder: Path, utterances: Mapping[str, Utterance], rejected: Mapping[str, str]) -> None:
    if not utterances:
        raise ValueError(f"{folder}: every utterance was left out; see the reasons: {dict(list(rejected.items())[:3])}")
    columns = {
        "wav.scp": {i: str(u.wav) for i, u in utterances.items()},
        # Kaldi wants a line for every utterance, or no file
        "text": {i: u.text for i, u in utterances.items()} if any(u.text for u in utterances.values()) else {},
        "utt2spk": {i: u.speaker for i, u in utterances.items()},
        "utt2emo": {i: str(u.emotion) for i, u in utterances.items()},
        "utt2lang": {i: u.language for i, u in utterances.items()},
        "utt2dur": {i: f"{u.duration:.3f}" for i, u in utterances.items()},
        "utt2channel": {i: str(u.channel) for i, u in utterances.items() if u.channel is not None},
        "utt2fold": {i: u.fold for i, u in utterances.items() if u.fold is not None},
        "rejected": dict(rejected),
    }
    speakers = defaultdict(list)
    for i in sorted(utterances, key=str.encode):
        speakers[utterances[i].speaker].append(i)
    columns["spk2utt"] = {speaker: " ".join(ids) for speaker, ids in speakers.items()}
    for name, rows in columns.items():
        if rows:
            write_table(folder / name, rows)
        else:
            (folder / name).unlink(missing_ok=True)


def _count_table(counts: Mapping[str, Counter], rejected: Mapping[str, Mapping[str, str]]) -> str:
    lines = [f"{'set':<12}" + "".join(f"{e:>10}" for e in EMOTIONS) + f"{'all':>8}{'left out':>10}"]
    for name, count in counts.items():
        cells = "".join(f"{count[e]:>10}" for e in EMOTIONS)
        lines.append(f"{name:<12}{cells}{count.total():>8}{len(rejected[name]):>10}")
    return "utterances by set and emotion\n" + "\n".join(lines)


def read_data_dir(folder: str | Path) -> dict[str, Utterance]:
    """Read a data directory; `wav.scp` and `utt2spk` must be there, what the other tables lack is "" or None.

    Returns:
        utterance by id, in the order of wav.scp.

    Raises:
        ValueError: wav.scp is empty, holds a pipe, or an utterance has no speaker.
    """
    folder = Path(folder)
    columns = {name: read_table(folder / name) if (folder / name).exists() else {} for name in TABLES}
    if not columns["wav.scp"]:
        raise ValueError(f"{folder}/wav.scp: missing or empty; run stage 0 first")
    return {i: _read_utterance(i, wav, folder, columns) for i, wav in columns["wav.scp"].items()}


def _read_utterance(i: str, wav: str, folder: Path, columns: Mapping[str, Mapping[str, str]]) -> Utterance:
    if wav.endswith("|") or wav.startswith("|"):
        raise ValueError(f"{i}: {folder}/wav.scp holds a pipe; pipes are never run, write the audio to a file")
    speaker = columns["utt2spk"].get(i)
    if not speaker:
        raise ValueError(f"{i}: no speaker in {folder}/utt2spk; run utils/fix_data_dir.sh {folder}")
    channel, seconds = columns["utt2channel"].get(i), columns["utt2dur"].get(i)
    return Utterance(
        set=folder.name,
        speaker=speaker,
        name=i.removeprefix(f"{speaker}-"),
        wav=wav,
        emotion=columns["utt2emo"].get(i) or None,
        language=columns["utt2lang"].get(i, ""),
        text=columns["text"].get(i, ""),
        channel=int(channel) if channel else None,
        fold=columns["utt2fold"].get(i),
        duration=float(seconds) if seconds else None,
    )


def wave(utterance: Utterance) -> np.ndarray:
    """Return the utterance's waveform: mono float32 at 16 kHz, shape (samples,).

    Raises:
        ValueError: as `audio.load`; the message names the utterance.
    """
    return audio.load(utterance.wav, utterance.id, utterance.channel)


def durations(utterances: Mapping[str, Utterance], unreadable: float | None = None) -> Iterator[tuple[str, float]]:
    """Yield (id, seconds), from utt2dur or, where it is missing, from the audio file's header.

    Args:
        utterances: by id.
        unreadable: seconds to give for a file whose header cannot be read; None raises.

    Raises:
        ValueError: a header cannot be read; the message names the utterance.
    """
    for i, utterance in utterances.items():
        try:
            yield i, utterance.duration or audio.duration(utterance.wav, i)
        except ValueError:
            if unreadable is None:
                raise
            yield i, unreadable
