"""Failures of the machine. They say nothing about the utterance at which they show, so they end a job."""

import errno
from pathlib import Path

OPEN_FILES = "raise the limit of open files (ulimit -n)"
SPACE = "free space on the disk, or write elsewhere"

REMEDIES = {
    errno.EMFILE: OPEN_FILES,
    errno.ENFILE: OPEN_FILES,
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.EROFS: "write elsewhere, or make its disk writable",
    errno.EIO: "check its disk, or remove the file",
    errno.ESTALE: "mount its disk again",
    errno.ENOTCONN: "mount its disk again",
    errno.ENOMEM: "free memory",
}
"""What to do, by the number of the system's error."""


class MachineError(OSError):
    """The machine failed; the message says where, and what to do."""


def raise_if_of_machine(error: Exception, place: str) -> None:
    """Raise an error anew if the machine is to blame for it.

    Args:
        error: what was caught.
        place: the utterance or file at which it showed, for the message.

    Raises:
        MachineError: the machine is to blame.
    """
    if isinstance(error, MachineError):
        raise error
    if isinstance(error, OSError) and error.errno in REMEDIES:
        where = f"{place}: {error.filename}" if error.filename and str(error.filename) != place else place
        remedy = REMEDIES[error.errno]
        raise MachineError(f"{where}: {error.strerror}; {remedy}, then give the same command again") from None


def write_error(error: OSError, path: Path) -> OSError:
    """Return the error to raise where a file cannot be written."""
    kind, remedy = (MachineError, REMEDIES[error.errno]) if error.errno in REMEDIES else (OSError, "write elsewhere")
    return kind(f"{path}: cannot be written ({error.strerror or error}); {remedy}")
