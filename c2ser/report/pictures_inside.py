"""Pictures that stand inside of a page."""

import base64
from pathlib import Path


def data_address(path: Path) -> str:
    """Return an address that holds a PNG itself."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
