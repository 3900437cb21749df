"""From what a table says about a file to the file on this disk, and to a name for it."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath

from c2ser.prep.layout import speaker_id

WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
"""How a whole path of Windows begins."""


def locate(cells: Iterable[str], root: Path) -> dict[str, Path]:
    """Return the path of each file that a table names, whether it is there or not.

    Relative paths begin in `root`. Whole paths of Windows cannot be found here; `root` stands for that folder, of those
    that all of them have in common, below which most files are. Backslashes are folders, unless a file's name has them.

    Args:
        cells: what the table says.
        root: an absolute path.
    """
    names = sorted(set(cells))
    windows = {name: PureWindowsPath(name).parts for name in names if WINDOWS.match(name)}
    paths = _below_root(windows, root)
    for name in names:
        if name not in paths:
            path = root / name
            if "\\" in name and not path.exists():
                path = root / name.replace("\\", "/")
            paths[name] = Path(os.path.normpath(path))
    return paths


def _below_root(windows: Mapping[str, tuple[str, ...]], root: Path) -> dict[str, Path]:
    """Return paths for whole paths of Windows, given as their parts; the same folders are left out of all of them."""
    common = len(os.path.commonprefix([parts[:-1] for parts in windows.values()]))
    guesses = [
        {name: root.joinpath(*parts[number:]) for name, parts in windows.items()} for number in range(common, 0, -1)
    ]
    return max(guesses, key=lambda paths: sum(path.exists() for path in paths.values()), default={})


def file_names(paths: Iterable[Path]) -> dict[Path, str]:
    """Return a name for each file that no other has: its own without ending or, if others share it, folders too."""
    files = list(dict.fromkeys(paths))
    top = os.path.commonpath([path.parent for path in files]) if files else ""
    short = {path: speaker_id(path.stem) for path in files}
    shared = Counter(short.values())
    names: dict[Path, str] = {}
    taken: set[str] = {name for name, number in shared.items() if number == 1}
    for path in files:
        name = short[path]
        if shared[name] > 1:
            base = speaker_id(str(path.relative_to(top).with_suffix("")))
            numbered = (base if number == 1 else f"{base}_{number}" for number in range(1, len(files) + 2))
            name = next(name for name in numbered if name not in taken)
            taken.add(name)
        names[path] = name
    return names
