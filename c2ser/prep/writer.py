"""Writes data directories: ids, order, filters, and the rejected utterances with their reasons."""

import dataclasses
import glob
import re
import shutil
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from c2ser import audio
from c2ser.corpus import Utterance
from c2ser.emotions import ordered
from c2ser.label_sets import SEVEN, LabelSet, own_classes, write_label_set
from c2ser.log import get_logger, progress
from c2ser.prep.describe import Corpus, Labels, limit
from c2ser.prep.segments import cut, source_stamp
from c2ser.prep.video import VIDEO, extract
from c2ser.ratings import DIMENSIONS, check_scale, numbers_text, ratings_text
from c2ser.tables import check_id, read_table, write_table

T = TypeVar("T")
R = TypeVar("R")

DERIVED = re.compile(r"(utt2|cot_)[^.]*")
"""Names of the tables that later stages write into a data directory."""

logger = get_logger(__name__)

LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class Rejected:
    """An utterance that does not enter the data directory.

    Attributes:
        utterance: as the recipe gave it.
        reason: written to the table `rejected`.
        kind: "label", "unknown" (a label that the recipe does not know), "length", "recipe" or "audio".
    """

    utterance: Utterance
    reason: str
    kind: str


@dataclass
class Written:
    """The data directories of a corpus.

    Attributes:
        kept: utterance by id, by set.
        rejected: those that are not in the data directories, by id, by set.
    """

    kept: dict[str, dict[str, Utterance]] = field(default_factory=lambda: defaultdict(dict))
    rejected: dict[str, dict[str, Rejected]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def sets(self) -> list[str]:
        """Names of the sets."""
        return sorted(self.kept.keys() | self.rejected.keys())


def write_corpus(
    utterances: Iterable[Utterance],
    out: str | Path,
    corpus: Corpus | None = None,
    labels: Labels = "seven",
    nj: int = 8,
    sound: str | Path | None = None,
) -> Written:
    """Write one data directory per set.

    Utterances without one of the classes, without readable audio, and training utterances over 20 s are rejected; the
    table `rejected` of each directory has them with the reason.

    Args:
        utterances: as a recipe yields them.
        out: folder of the data directories.
        corpus: what its labels mean; by default they are emotions.
        labels: which classes.
        nj: how many headers are read at once.
        sound: where the sound of videos and parts of files are written; None for `audio` in `out`.

    Raises:
        ValueError: an id is malformed or given twice, or every utterance is rejected.
    """
    description, written = corpus or Corpus(), Written()
    seen: dict[str, str] = {}
    extracted = Path(sound or Path(out) / "audio")

    def examined(utterance: Utterance) -> Utterance | Rejected:
        """Return the utterance as it is written, or as rejected."""
        return _examine(utterance, description, labels, extracted)

    for result in parallel(examined, _checked(progress(utterances, "utterances"), seen), nj):
        if isinstance(result, Rejected):
            written.rejected[result.utterance.set][result.utterance.id] = result
        else:
            written.kept[result.set][result.id] = result
    if not any(written.kept.values()):
        some = [f"{i}: {rejected.reason}" for part in written.rejected.values() for i, rejected in part.items()][:2]
        why = f"every utterance was rejected, such as {'; '.join(some)}" if some else "no utterance found"
        raise ValueError(f"{out}: {why}; {description.remedy}")
    found = {u.emotion for part in written.kept.values() for u in part.values() if u.emotion}
    classes = description.kept or own_classes(found)
    for name in written.sets:
        reasons = {i: rejected.reason for i, rejected in written.rejected[name].items()}
        write_set(Path(out) / name, written.kept[name], reasons, classes)
    return written


def parallel(function: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    """Yield `function(item)` in the order of the items, several computed at once; an interrupt ends it soon."""
    waiting: deque = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 64 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _checked(utterances: Iterable[Utterance], seen: dict[str, str]) -> Iterator[Utterance]:
    for utterance in utterances:
        check_id(utterance.speaker), check_id(utterance.id)
        if utterance.id in seen:
            raise ValueError(f"{utterance.id}: given twice, in {seen[utterance.id]} and {utterance.set}; "
                             "make `name` unique in data_prep.py")  # fmt: skip
        seen[utterance.id] = utterance.set
        yield utterance


def _examine(utterance: Utterance, corpus: Corpus, labels: Labels, sound: Path) -> Utterance | Rejected:
    kind = "unknown"
    try:
        emotion = corpus.class_of(utterance.emotion, labels, utterance.id)
        kind = "label"
        if emotion is None and (utterance.emotion or not corpus.unlabelled):
            what = f"its label {utterance.emotion}" if utterance.emotion else "its label"
            what += f" is {'none of the seven emotions' if labels == 'seven' else 'no class'}"
            raise ValueError(f"{utterance.reject_reason or what}; left out")
        kind = "recipe"
        if utterance.reject_reason:
            raise ValueError(f"{utterance.reject_reason}; left out")
        if corpus.scale and utterance.dimensions:
            check_scale(utterance.id, utterance.dimensions, corpus.scale)
        kind = "audio"
        checked = _with_audio(utterance, sound)
        kind = "length"
        longest = limit(utterance.set, labels)
        if longest and checked.duration and checked.duration > longest:
            raise ValueError(f"{checked.duration:.1f} s, over {longest:.0f} s; left out of training")
    except ValueError as error:
        reason = str(error).removeprefix(f"{utterance.id}: ")
        return Rejected(utterance, " ".join(_printable(reason).split()), kind)
    return dataclasses.replace(checked, emotion=emotion, text=" ".join(utterance.text.split()))


def _with_audio(utterance: Utterance, sound: Path) -> Utterance:
    """Return the utterance with its duration and the number of its channel.

    The sound of a video, and a part of a file, are written to the folder `sound`.
    """
    path = Path(utterance.wav)
    if _printable(str(path)) != str(path):
        raise ValueError("the name of its file is not UTF-8; rename it, for example with convmv")
    if {*"\t\r\n"} & {*str(path)}:
        raise ValueError(f"a tab or line break in the path of its file, {str(path)!r}; rename it")
    is_video, is_part = path.suffix.lower() in VIDEO, (utterance.start, utterance.end) != (None, None)
    if (is_video or is_part) and "/" in utterance.id:
        raise ValueError("a slash in its id, which names the file of its sound; change `name` in data_prep.py")
    if is_part:
        path = _part(utterance, path, sound, is_video)
    elif is_video:
        path = extract(path, sound / utterance.set / f"{utterance.id}.wav", utterance.id, utterance.channel)
    if is_video or is_part:
        seconds = audio.duration(path, utterance.id)
        return dataclasses.replace(utterance, wav=path, channel=None, duration=seconds, start=None, end=None)
    try:
        seconds, channels = audio.header(path, utterance.id)
    except ValueError:
        if _is_pointer(path):
            raise ValueError("a pointer of git-lfs instead of audio; run git lfs pull in the corpus") from None
        raise
    channel = utterance.channel
    if channel == "centre":
        channel = audio.centre_channel(channels) if channels > 1 else None
    if channel is not None and channel >= channels:
        raise ValueError(f"no channel {channel}, the file has {channels}; check or re-download {path}")
    return dataclasses.replace(utterance, channel=channel, duration=seconds)


def _part(utterance: Utterance, path: Path, sound: Path, is_video: bool) -> Path:
    """Return the file with a part of a recording; the whole sound of a video is kept for its other parts."""
    channel = utterance.channel
    if is_video:
        whole = sound / "whole" / f"{source_stamp(path, channel)}.wav"
        path, channel = extract(path, whole, utterance.id, channel), None
    return cut(path, sound / utterance.set, utterance.id, utterance.start or 0.0, utterance.end, channel)


def _printable(text: str) -> str:
    """Return text that can be written as UTF-8; bytes that are not become "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _is_pointer(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(LFS)) == LFS
    except OSError:
        return False


def write_set(
    folder: Path, utterances: Mapping[str, Utterance], rejected: Mapping[str, str], labels: LabelSet = SEVEN
) -> None:
    """Write a data directory.

    Args:
        folder: the directory; of an earlier one, tables that this one does not have are removed, and what later stages
            made if it had other utterances.
        utterances: by id, with durations.
        rejected: reason by id of the rejected utterances.
        labels: the classes.

    Raises:
        ValueError: there is no utterance.
    """
    if not utterances:
        raise ValueError(f"{folder}: every utterance was rejected; see the reasons: {dict([*rejected.items()][:3])}")
    columns = {
        "wav.scp": {i: str(u.wav) for i, u in utterances.items()},
        # Kaldi wants a line for every utterance, or no file
        "text": {i: u.text for i, u in utterances.items()} if any(u.text for u in utterances.values()) else {},
        "utt2spk": {i: u.speaker for i, u in utterances.items()},
        "utt2emo": {i: u.emotion for i, u in utterances.items() if u.emotion},
        "utt2lang": {i: u.language for i, u in utterances.items()},
        "utt2dur": {i: f"{u.duration:.3f}" for i, u in utterances.items()},
        "utt2channel": {i: str(u.channel) for i, u in utterances.items() if u.channel is not None},
        "utt2fold": {i: u.fold for i, u in utterances.items() if u.fold is not None},
        "utt2votes": {i: numbers_text(u.votes, ordered(u.votes)) for i, u in utterances.items() if u.votes},
        "utt2vad": {i: numbers_text(u.dimensions, DIMENSIONS) for i, u in utterances.items() if u.dimensions},
        "utt2ratings": {i: ratings_text(u.ratings) for i, u in utterances.items() if u.ratings},
        "rejected": rejected,
    }
    speakers = defaultdict(list)
    for i in sorted(utterances, key=str.encode):
        speakers[utterances[i].speaker].append(i)
    columns["spk2utt"] = {speaker: " ".join(ids) for speaker, ids in speakers.items()}
    _remove_stale(folder, utterances, columns)
    write_label_set(folder, labels)
    for name, rows in columns.items():
        if rows:
            write_table(folder / name, rows)
        else:
            (folder / name).unlink(missing_ok=True)


def _remove_stale(folder: Path, utterances: Collection[str], columns: Collection[str]) -> None:
    """Remove what later stages made of other utterances, with the files beside it, and say so."""
    made = [path for path in folder.glob("*") if path.is_file() and DERIVED.fullmatch(path.name)]
    others = [path for path in made if path.name not in columns]
    changed = (folder / "wav.scp").exists() and _ids(folder / "wav.scp") != {*utterances}
    stale = sorted(path.name for path in others if changed or not _ids(path) <= {*utterances})
    for name in stale:
        for path in [folder / name, *folder.glob(f"{glob.escape(name)}.*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if stale:
        logger.warning(
            "%s: other utterances than before; %s are of the old ones and were removed: run the later stages again",
            folder, ", ".join(stale),
        )  # fmt: skip


def _ids(path: Path) -> set[str]:
    """Return the ids of a table; something that is none where it cannot be read."""
    try:
        return {*read_table(path)}
    except ValueError:
        return {""}
