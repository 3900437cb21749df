"""Compare ours with nkululeko and SpeechBrain on the same folds; docs/finetune.md has the rules and the figures."""

from pathlib import Path

from c2ser.cli import run
from c2ser.log import get_logger

logger = get_logger(__name__)

DEFAULT = "nkululeko-egemaps-svm,nkululeko-egemaps-xgb,nkululeko-vectors-svm,speechbrain-ecapa,probe,finetune-frozen"


def main(
    data: Path,
    out: Path = Path("exp/peers"),
    systems: str = DEFAULT,
    encoder: str = "tools/models/whisper-base",
    epochs: int | None = None,
    baseline: str | None = None,
) -> None:
    """Train and test each system on every fold, write OUT/<system>/utt2emo and print one table with intervals.

    A fold that was done is not done again. A peer that is not installed is left out, with a line that says so.

    Args:
        data: data directory whose utt2fold names three folds or more; utterances are whole files.
        out: folder of the results.
        systems: which, separated by commas; finetune-lora and finetune-full are there too.
        encoder: the encoder of ours, and of the vectors that nkululeko gets from us.
        epochs: how long ours and SpeechBrain train, instead of their defaults.
        baseline: the system that the others are compared with.
    """
    from benchmark.fold_systems import SYSTEMS, Material, answer_folds

    from c2ser.scoring.compare import compare, comparison_table
    from c2ser.tables import write_text

    names = systems.split(",")
    if unknown := sorted({*names, *([baseline] if baseline else [])} - set(SYSTEMS)):
        raise ValueError(f"{unknown[0]}: no such system; choose from {', '.join(SYSTEMS)}")
    material = Material(data, out, encoder, epochs)
    said = {}
    for name in names:
        try:
            said[name] = [answer_folds(name, material)]
        except ImportError as error:
            logger.warning("%s is left out: %s", name, error)
    if not said:
        raise ValueError(f"{systems}: none of these is installed; pip install what the lines above name")
    speakers = {i: utterance.speaker for i, utterance in material.utterances.items()}
    page = comparison_table(compare(material.emotions, speakers, said, baseline), baseline)
    write_text(out / "comparison.md", page + "\n")
    print(page)


if __name__ == "__main__":
    run(main)
