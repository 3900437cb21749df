"""Where models run."""

import torch


def pick_device(name: str) -> str:
    """Return the device of a name; "auto" is a graphics card where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
