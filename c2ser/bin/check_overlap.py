"""Find utterances of a test set that are in training sets too."""

from pathlib import Path

from c2ser.cli import run
from c2ser.log import get_logger

GROUP = "Prepare data"

logger = get_logger(__name__)


def main(data: Path, train: list[Path], out: Path, audio: bool = True) -> None:
    """Write OUT: for each training set the test utterances with the same id, audio, speaker or text.

    Args:
        data: data directory of the test set.
        train: data directories of training sets.
        out: a JSON file.
        audio: compare recordings too; this reads all that have the length of one in the test set.
    """
    from c2ser.labelling.overlap import find_overlap
    from c2ser.tables import write_json

    overlaps = {str(folder): find_overlap(data, folder, audio) for folder in train}
    write_json(out, overlaps)
    for folder, kinds in overlaps.items():
        numbers = ", ".join(f"{len(names)} by {kind}" for kind, names in kinds.items())
        logger.info("%s and %s share %s", data, folder, numbers)


if __name__ == "__main__":
    run(main)
