"""Label utterances by their sound, with a fine-tuned emotion2vec."""

from pathlib import Path

from c2ser.cli import run
from c2ser.labelling.config import BatchConfig

GROUP = "Label and annotate speech"


def main(model: Path, data: Path, out: Path, batches: BatchConfig, device: str = "auto") -> None:
    """Write the table OUT: the emotion of each utterance, or "other" or "unknown", and its probability.

    Args:
        model: a published checkpoint with a classifier, such as emotion2vec+ large.
        data: data directory.
        out: the table.
        batches: how utterances are grouped.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    from c2ser.devices import pick_device
    from c2ser.emotion2vec.checkpoints import read_published
    from c2ser.labelling.speech import label_speech
    from c2ser.tables import TableMap

    chosen = pick_device(device)
    published = read_published(model)
    published.model.to(chosen)
    if published.head is not None:
        published.head.to(chosen)
    with TableMap(out) as job:
        label_speech(published, data, job, batches)


if __name__ == "__main__":
    run(main)
