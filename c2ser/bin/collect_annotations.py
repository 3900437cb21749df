"""Keep the utterances to which all experts gave the same emotion."""

from collections import Counter
from pathlib import Path

from c2ser.cli import run
from c2ser.log import get_logger

GROUP = "Label and annotate speech"

logger = get_logger(__name__)


def main(data: Path, experts: list[Path], out: Path, confidence: int = 1) -> None:
    """Write the data directory OUT with the experts' utt2emo; OUT/rejected has all other utterances with the reason.

    The main labels decide. OUT/votes has the share of the experts who named each emotion and "none", further labels
    too, for all utterances.

    Args:
        data: data directory that the page was made from.
        experts: files that the page saved.
        out: the data directory; annotation.json in it holds the experts' agreement.
        confidence: how sure an expert must be for a label to count: 1 (a guess will do), 2 (fairly sure) or 3 (sure).
    """
    from c2ser.data.subset import write_subset
    from c2ser.labelling.annotation import CONFIDENCE, fleiss_kappa, read_annotations, unanimous, votes
    from c2ser.tables import read_table, write_json, write_table

    utterances = read_table(data / "wav.scp")
    if confidence not in CONFIDENCE:
        raise ValueError(f"--confidence: {confidence} is not 1, 2 or 3; give one of these")
    annotations = read_annotations(experts, utterances)
    labels = {expert: given.surest(confidence) for expert, given in annotations.items()}
    emotions, reasons = unanimous(labels, utterances)
    write_subset(data, out, emotions, {"utt2emo": emotions}, reasons)
    write_table(out / "votes", votes(annotations, utterances))
    sure = Counter(value for given in annotations.values() for value in given.confidence.values())
    counts = {"experts": len(labels), "unanimous": len(emotions), "rejected": len(reasons)}
    counts["with_more_labels"] = sum(len(given.more) for given in annotations.values())
    counts |= {f"confidence_{value}": sure[value] for value in CONFIDENCE}
    write_json(out / "annotation.json", {**counts, "fleiss_kappa": fleiss_kappa(labels, utterances)})
    logger.info("%s: %d of %d utterances are unanimous", out, len(emotions), len(utterances))


if __name__ == "__main__":
    run(main)
