"""Keep the utterances to which all experts gave the same emotion."""

from pathlib import Path

from c2ser.cli import run
from c2ser.log import get_logger

GROUP = "Label and annotate speech"

logger = get_logger(__name__)


def main(data: Path, experts: list[Path], out: Path) -> None:
    """Write the data directory OUT with the experts' utt2emo; OUT/rejected has all other utterances with the reason.

    Args:
        data: data directory that the page was made from.
        experts: files that the page saved.
        out: the data directory; annotation.json in it holds the experts' agreement.
    """
    from c2ser.data.subset import write_subset
    from c2ser.labelling.annotation import fleiss_kappa, read_annotations, unanimous
    from c2ser.tables import read_table, write_json

    utterances = read_table(data / "wav.scp")
    labels = read_annotations(experts, utterances)
    emotions, reasons = unanimous(labels, utterances)
    write_subset(data, out, emotions, {"utt2emo": emotions}, reasons)
    counts = {"experts": len(labels), "unanimous": len(emotions), "rejected": len(reasons)}
    write_json(out / "annotation.json", {**counts, "fleiss_kappa": fleiss_kappa(labels, utterances)})
    logger.info("%s: %d of %d utterances are unanimous", out, len(emotions), len(utterances))


if __name__ == "__main__":
    run(main)
