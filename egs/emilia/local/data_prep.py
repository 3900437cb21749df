"""Emilia (He et al. 2024) without emotions: one data directory for each shard of either layout.

Old layout: `<LANGUAGE>/<LANGUAGE>_B00000.jsonl` beside `<LANGUAGE>/<LANGUAGE>_B00000/<source>/mp3/<id>.mp3`.
WebDataset: `<LANGUAGE>/<shard>.tar` with `<id>.json` and `<id>.mp3`; the audio is written out, because a data directory
names files.
"""

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from c2ser.cli import run
from c2ser.log import get_logger, progress
from c2ser.tables import check_id, write_table

logger = get_logger("data_prep")
MAX_BYTES = 20_000_000  # of one audio file; half a minute has less than one
Entry = tuple[dict[str, Any], Path]


def main(db_root: Path, out: Path = Path("data"), languages: str = "ZH EN", part: int = 1, parts: int = 1) -> None:
    """Write OUT/<shard> for each shard, and OUT/shards when all are there; those that are there are passed over.

    Args:
        db_root: the folder that holds ZH, EN, …
        out: where the data directories go.
        languages: folders to read, separated by blanks.
        part: which of several jobs this is, from 1; each writes every so many-th shard.
        parts: how many jobs there are.
    """
    folders = [db_root / language for language in languages.split()]
    shards = sorted(path for folder in folders for suffix in ("jsonl", "tar") for path in folder.glob(f"*.{suffix}"))
    if not shards:
        raise ValueError(f"{db_root}: no .jsonl or .tar in {languages}; give the folder that holds them with --db-root")
    for shard in progress(shards[part - 1 :: parts], "shards"):
        folder = out / shard.stem
        if not (folder / "wav.scp").exists():
            write_shard(listed(shard) if shard.suffix == ".jsonl" else packed(shard, folder / "audio"), folder)
    if all((out / shard.stem / "wav.scp").exists() for shard in shards):
        write_table(out / "shards", dict.fromkeys((shard.stem for shard in shards), ""))


def listed(shard: Path) -> Iterator[Entry]:
    """Yield what a list of the old layout says, with its audio files."""
    for line in shard.read_text("utf-8").splitlines():
        entry = json.loads(line)
        name, speaker = str(entry["id"]), str(entry.get("speaker", ""))
        path = shard.parent / str(entry.get("wav", ""))
        if entry.get("wav") and path.is_file() and path.resolve().is_relative_to(shard.parent.resolve()):
            yield entry, path.resolve()
        else:
            yield entry, (shard.with_suffix("") / speaker / "mp3" / f"{check_id(name)}.mp3").resolve()


def packed(shard: Path, folder: Path) -> Iterator[Entry]:
    """Yield what the members of a shard say; the audio is written under numbers, never under a member's name."""
    entries, audio = {}, {}
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(shard) as tar:
        for number, member in enumerate(tar):
            stem, _, suffix = Path(member.name).name.rpartition(".")
            if not member.isfile() or member.size > MAX_BYTES or suffix not in ("json", "mp3", "flac", "wav"):
                continue
            file = tar.extractfile(member)
            content = file.read() if file else b""  # a regular file always has content
            if suffix == "json":
                entries[stem] = json.loads(content)
            else:
                audio[stem] = (folder / f"{number:06}.{suffix}").resolve()
                audio[stem].write_bytes(content)
    os.sync()  # once: the tables say that the audio is there, and flushing each file would take most of the time
    for stem, entry in entries.items():
        if stem in audio:
            yield {"id": stem, **entry}, audio[stem]


def write_shard(entries: Iterator[Entry], folder: Path) -> None:
    """Write the data directory of a shard."""
    tables: dict[str, dict[str, str]] = {name: {} for name in ("text", "utt2spk", "utt2lang", "utt2dur", "wav.scp")}
    speakers: dict[str, list[str]] = {}
    for entry, path in entries:
        speaker, name = check_id(str(entry["speaker"])), check_id(str(entry["id"]))
        i = name if name.startswith(speaker) else f"{speaker}-{name}"
        row = (" ".join(str(entry["text"]).split()), speaker, str(entry["language"]).lower())
        for table, value in zip(tables, (*row, f"{float(entry['duration']):.3f}", str(path)), strict=True):
            tables[table][i] = value
        speakers.setdefault(speaker, []).append(i)
    tables = {"spk2utt": {speaker: " ".join(sorted(own)) for speaker, own in speakers.items()}, **tables}
    for table, rows in tables.items():
        write_table(folder / table, rows)


if __name__ == "__main__":
    run(main)
