"""Keep the utterances whose sound and words express the same emotion."""

from pathlib import Path

from c2ser.cli import run
from c2ser.log import get_logger

GROUP = "Label and annotate speech"

logger = get_logger(__name__)


def main(data: Path, speech: Path, text: Path, out: Path, minimum: float = 0.0) -> None:
    """Write the data directory OUT with utt2emo; OUT/rejected has all other utterances with the reason.

    Nothing is written if sound and words agree on no utterance.

    Args:
        data: data directory.
        speech: table of labels by the sound.
        text: table of labels by the words.
        out: the labelled data directory; agreement.json in it counts the pairs of labels.
        minimum: probability that the sound's label must have.
    """
    from c2ser.data.subset import write_subset
    from c2ser.labelling.combine import combine_labels, count_pairs
    from c2ser.tables import read_table, write_json

    by_sound, by_words = read_table(speech), read_table(text)
    emotions, reasons = combine_labels(by_sound, by_words, minimum)
    labelled = emotions.keys() | reasons.keys()
    reasons |= {name: "no label" for name in read_table(data / "wav.scp") if name not in labelled}
    if not emotions:
        logger.warning("%s: sound and words agree on no utterance; %s is not written", data, out)
        return
    write_subset(data, out, emotions, {"utt2emo": emotions}, reasons)
    write_json(out / "agreement.json", count_pairs(by_sound, by_words))
    logger.info("%s: %d utterances, %d rejected", out, len(emotions), len(reasons))


if __name__ == "__main__":
    run(main)
