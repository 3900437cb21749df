"""What else is counted where the data directory of scored labels is known: parts of the set, intervals, votes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2ser.ratings import read_votes
from c2ser.scoring.bootstrap import intervals
from c2ser.scoring.distributions import read_distributions
from c2ser.scoring.groups import in_parts, slices
from c2ser.scoring.vote_figures import vote_figures
from c2ser.tables import read_table


def data_figures(
    data: Path, true: Mapping[str, str], predicted: Mapping[str, str], probabilities: Path | None
) -> dict[str, Any]:
    """Return the number of speakers, intervals, figures of each language, duration and speaker, and of votes.

    Args:
        data: the data directory; without utt2votes there are no figures of votes.
        true: label by utterance.
        predicted: the same, of the system.
        probabilities: its utt2prob, to compare it with the votes; None for none.
    """
    speakers = read_table(data / "utt2spk")
    tables = {"utt2spk": speakers, **{name: read_table(data / name) for name in ("utt2lang", "utt2dur")}}
    figures = {
        "speakers": len({speakers.get(name) for name in true}),
        "intervals": intervals(true, predicted, speakers),
        **in_parts(true, predicted, tables),
        "by_speaker": slices(true, predicted, speakers, speakers),
    }
    if (data / "utt2votes").exists():
        votes = {name: row for name, row in read_votes(data / "utt2votes").items() if name in true}
        sure = read_distributions(probabilities) if probabilities else None
        figures["votes"] = vote_figures(votes, predicted, speakers, sure)
    return figures
