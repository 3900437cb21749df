"""Writes the page: one file that needs no other, no network and no server."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from c2ser.corpus import Utterance
from c2ser.log import get_logger
from c2ser.report.contents import Heard, read_set, tiles
from c2ser.report.provenance import read_trainings, versions
from c2ser.report.recordings import NO_ROOM, SHOWN, Sounds, take_turns
from c2ser.scoring.results_page import (
    LEGEND,
    PROMPT_HEAD,
    by_set,
    clock,
    find_prompts,
    find_results,
    with_labels,
)
from c2ser.tables import write_text

logger = get_logger(__name__)

HERE = Path(__file__).parent


def write_report(exp: Path, data: Path | Mapping[str, Path], out: Path, title: str, sound_mb: float) -> str:
    """Write the page of results.

    Args:
        exp: folder with `<model>/decode_<set>/scores.json` and what else stage 9 writes; or the folder of one model.
        data: folder of the data directories, for the recordings; or the data directory of each set.
        out: the page.
        title: its heading.
        sound_mb: how many megabytes of recordings it may hold; 0 for none.

    Returns:
        how many recordings of how many can be heard, and how large the page is.

    Raises:
        ValueError: there are no results, or as `read_set`.
    """
    model = exp.resolve().name if any(exp.glob("decode_*/scores.json")) else None
    above = exp.resolve().parent if model else exp
    scored = find_results(above, model)
    found = by_set(scored)
    results = {name: labelled for name, rows in found.items() if (labelled := with_labels(rows))}
    if not results:
        raise ValueError(f"{exp}: no scores.json in it{' with labels' * bool(found)}; run stages 8 and 9 first")
    if hidden := sorted({name for rows in found.values() for name in rows if "ua" not in rows[name]}):
        logger.warning("%s: values on dimensions are not on this page; see show-results", ", ".join(hidden))
    folders = {name: data.get(name, Path(name)) if isinstance(data, Mapping) else data / name for name in results}
    sets = {name: read_set(above, folders[name], name, rows) for name, rows in results.items()}
    heard = {name: recordings for name, (_, recordings) in sets.items()}
    sounds = Sounds(int(sound_mb * 1e6))
    sounds.fill(_wanted(heard))
    style, script = ((HERE / name).read_text("utf-8") for name in ("style.css", "script.js"))
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html").render(
        title=title,
        sets=[shown for shown, _ in sets.values()],
        tiles=tiles,
        trainings=read_trainings(above, model),
        prompts=(PROMPT_HEAD, find_prompts(above, scored)),
        versions=versions(),
        legend=[line.removeprefix("- ") for line in LEGEND.replace("\n  ", " ").replace("`", "").splitlines()[2:]],
        recordings=_embedded(heard, sounds),
        sound=_sound_summary(heard, sounds),
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    write_text(out, page)
    return f"{_sound_summary(heard, sounds)['heard']} recordings can be heard, {len(page.encode()) / 1e6:.1f} MB"


def _wanted(heard: Mapping[str, Heard]) -> dict[tuple[str, str], Utterance]:
    """Return utterances, the surest of each cell of each matrix first, then the second of each, and so on."""
    cells = [
        [(name, row.utterance) for row in rows[:SHOWN]] for name, part in heard.items() for rows in part.cells.values()
    ]
    known = {name: part.utterances for name, part in heard.items()}
    return {(name, i): known[name][i] for name, i in take_turns(cells) if i in known[name]}


def _embedded(heard: Mapping[str, Heard], sounds: Sounds) -> dict[str, Any]:
    """Return what the page's script reads: the utterances that cells name, and the cells."""
    places: dict[tuple[str, str], int] = {}
    utterances: list[dict[str, Any]] = []
    cells: dict[str, list[list[Any]]] = {}
    for name, part in heard.items():
        for key, rows in part.cells.items():
            cells[key] = []
            for row in rows[:SHOWN]:
                if (name, row.utterance) not in places:
                    places[name, row.utterance] = len(utterances)
                    utterances.append(_utterance(name, row.utterance, part, sounds))
                cells[key].append([places[name, row.utterance], row.probability, row.answer])
    return {"utterances": utterances, "cells": cells}


def _utterance(name: str, i: str, part: Heard, sounds: Sounds) -> dict[str, Any]:
    utterance, key = part.utterances.get(i), (name, i)
    known = {"speaker": utterance.speaker, "text": utterance.text} if utterance else {"speaker": "", "text": ""}
    reason = sounds.silent.get(key, NO_ROOM) if utterance else "not in wav.scp"
    return {"id": i, **known, "sound": sounds.encoded.get(key, ""), "silent": reason}


def _sound_summary(heard: Mapping[str, Heard], sounds: Sounds) -> dict[str, Any]:
    """Return what the page says about its recordings; all numbers add up."""
    total = len({(name, row.utterance) for name, part in heard.items() for rows in part.cells.values() for row in rows})
    speakers = {heard[name].utterances[i].speaker for name, i in sounds.encoded}
    return {
        "total": total,
        "heard": f"{len(sounds.encoded)} of {total}",
        "length": clock(sounds.seconds),
        "megabytes": f"{sounds.size / 1e6:.1f}",
        "unreadable": len(sounds.silent),
        "no_room": total - len(sounds.encoded) - len(sounds.silent),
        "speakers": len(speakers),
        "shown": SHOWN,
    }
