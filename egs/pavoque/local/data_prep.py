"""PAVOQUE (Steiner, Schröder & Klepp 2013): `pavoque-<style>.flac`, and in `pavoque-<style>.yaml` its sentences."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from c2ser.log import one_line
from c2ser.prep import ALL, Corpus, Utterance, in_share, prepare, read_text

EMOTIONS = {"angry": "anger", "happy": "happiness", "neutral": "neutral", "poker": None, "sad": "sadness"}
"""By style; poker is that of a player who shows nothing."""

COUNTS = {ALL: {"angry": 724, "happy": 746, "neutral": 4344, "poker": 819, "sad": 701}}
"""Sentences in EmoBox's list, 7,334, outtakes among them."""

NEEDED = ("prompt", "style", "start", "end")

KEY = re.compile(r"(- |  )(?P<key>\w+):", re.ASCII)
"""A key of a sentence; those of its sounds lie deeper."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the sentences; a hash of the prompt decides, for styles share prompts. Outtakes are a set of their own."""
    for source in (*EMOTIONS, "outtakes"):
        table, sound = db_root / f"pavoque-{source}.yaml", db_root / f"pavoque-{source}.flac"
        for row in sentences(table) if table.exists() else ():
            prompt, style, text = str(row["prompt"]), str(row["style"]).lower(), str(row.get("text") or "")
            rest = "valid" if in_share(f"valid {prompt}", 12) else "train"
            drawn = "test" if in_share(f"test {prompt}", 20) else rest
            set_name, name = ("outtakes", f"outtake_{style}") if source == "outtakes" else (drawn, style)
            start, end, name = float(row["start"]), float(row["end"]), f"{name}_{prompt}"
            yield Utterance(set_name, "roettig", name, sound, style, "de", text, start=start, end=end)


def sentences(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what is needed of each sentence; the lists of its sounds, most of the file, are left unread."""
    lines: list[str] = []
    wanted = False
    for line in [*read_text(path).splitlines(), "- end:"]:
        if line.startswith("- ") and lines:
            row = parsed(lines, path)
            if lacking := [key for key in NEEDED if row.get(key) is None]:
                raise ValueError(f"{path}: a sentence without {', '.join(lacking)}; take a newer version of the corpus")
            yield row
            lines = []
        if found := KEY.match(line):
            wanted = found["key"] in (*NEEDED, "text")
        if wanted:
            lines.append(f"  {line[2:]}")


def parsed(lines: list[str], path: Path) -> dict[str, Any]:
    """Return the values of a sentence."""
    try:
        return dict(yaml.safe_load("\n".join(lines)))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not YAML ({one_line(error)}); take the corpus' own file") from None


CORPUS = Corpus(
    layout=("pavoque-neutral.yaml",),
    emotions=EMOTIONS,
    classes={"poker": "poker"},
    counts=COUNTS,
    notes=("one man speaks: the sets share him",),
    how_to_get="get the flac files and tables of github.com/marytts/pavoque-data",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
