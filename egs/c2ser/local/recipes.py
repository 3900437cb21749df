"""Finds corpora and runs their own recipes, once: what one gave is whole when `about.json` beside it says so."""

import hashlib
import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from c2ser.log import get_logger
from c2ser.prep.describe import Labels
from c2ser.prep.prepare import write_data
from c2ser.tables import read_json, read_table, write_json

logger = get_logger(__name__)

RECIPES = Path(__file__).resolve().parents[2]
"""The folder of all recipes."""


def prepare(name: str, root: Path, folder: Path, sound: Path, labels: Labels, into: str | None, nj: int) -> None:
    """Write the data directories of a corpus into a folder, unless they are there and whole.

    What another version of the recipe, or the corpus in another place, has given is removed.

    Args:
        name: the recipe.
        root: where the corpus is.
        folder: where its data directories go.
        sound: where the sound of videos goes.
        labels: which classes.
        into: the one set that all utterances go to; None for the recipe's own sets.
        nj: how many headers are read at once.

    Raises:
        ValueError: the corpus is not there, or what it yields makes no data directory; the message names it.
    """
    about = {"root": str(root), "recipe": digest(RECIPES / name / "local"), "labels": labels, "into": into}
    before = read_json(folder / "about.json") if (folder / "about.json").exists() else None
    if before == {**about, "whole": True}:
        logger.info("%s: prepared before; remove %s to have it prepared anew", name, folder)
        return
    if before != {**about, "whole": False}:  # such as one that was stopped
        shutil.rmtree(folder, ignore_errors=True)
    write_json(folder / "about.json", {**about, "whole": False})
    logger.info("%s: preparing it from %s, %s labels", name, root, labels)
    module = load(name)
    try:
        write_data(module.utterances, module.CORPUS, root, folder, labels, into=into, nj=nj, sound=sound)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    write_json(folder / "about.json", {**about, "whole": True})


def located(names: Sequence[str], prepared: Path, db_root: Path | None, roots: Path | None) -> dict[str, Path]:
    """Return where the corpora are that are there; one that was prepared before counts, wherever it is now.

    Raises:
        ValueError: there is no corpus at all, or no folder to look into.
    """
    if db_root and not db_root.is_dir():
        raise ValueError(f"{db_root}: no such folder; give the one that holds the corpora with --db-root")
    given = read_table(roots) if roots else {}
    places = {}
    for name in names:
        below = db_root / name if db_root else None
        place = below if below and below.is_dir() else given.get(name) or root_before(prepared / name)
        if place:
            places[name] = Path(place)
        else:
            logger.warning(
                "%s is absent; name its folder as root_%s in local/site.sh, or put it into --db-root", name, name
            )
    if not places:
        raise ValueError("no corpus is there; name their folders in local/site.sh (root_<recipe>=…), or give --db-root "
                         "with folders that are named as the recipes")  # fmt: skip
    return places


def root_before(folder: Path) -> Path | None:
    """Return where a corpus was that was prepared to its end; None if it was not."""
    about = read_json(folder / "about.json") if (folder / "about.json").exists() else None
    return Path(about["root"]) if about and about["whole"] else None


def load(name: str) -> ModuleType:
    """Return the data_prep.py of a recipe."""
    path = RECIPES / name / "local/data_prep.py"
    spec = importlib.util.spec_from_file_location(f"data_prep_{name}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: not a Python module; restore it from the repository")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def digest(folder: Path) -> str:
    """Return a checksum of the files in a folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return hashlib.sha256(b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)).hexdigest()
