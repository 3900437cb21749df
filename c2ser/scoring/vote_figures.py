"""Labels and probabilities against the votes of annotators, and how well the annotators agree with each other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from c2ser.emotions import ordered
from c2ser.ratings import vote_shares
from c2ser.scoring.bootstrap import summed_figures
from c2ser.scoring.divergence import js_divergence, kl_divergence, ranked_probability_score
from c2ser.scoring.reliability import annotator_agreement

Rows = Mapping[str, Mapping[str, float]]
"""Votes, or probabilities, by class, by utterance."""


def vote_figures(
    votes: Rows, labels: Mapping[str, str], speakers: Mapping[str, str], probabilities: Rows | None = None
) -> dict[str, Any]:
    """Compare labels and probabilities with votes; `docs/metrics.md` has the formulas.

    Args:
        votes: of the utterances that are scored.
        labels: class or "unparsed" by utterance; a missing one is nobody's.
        speakers: speaker by utterance; with fewer than two there are no intervals.
        probabilities: of the model, by class.

    Returns:
        `any_annotator`, `vote_share`, `majority_share` (the most that `vote_share` can be) and `utterances`; with
        probabilities `kl` (nats), `jsd` (bits), `rps`, how many utterances these were computed on
        (`with_probabilities`) and the share of their votes for classes that the model does not know (`outside`), which
        do not count in them; `intervals`; and, of votes that are counts, `humans`, as `annotator_agreement` gives it.

    Raises:
        ValueError: no utterance has votes, or an utterance has no speaker.
    """
    if not votes:
        raise ValueError("no utterance that is scored has votes; check utt2votes against the set")
    names = [*votes]
    shares = [votes[name].get(labels.get(name, ""), 0.0) / sum(votes[name].values()) for name in names]
    most = [max(votes[name].values()) / sum(votes[name].values()) for name in names]
    columns = {"any_annotator": (np.array(shares) > 0).astype(float), "vote_share": np.array(shares)}
    columns["majority_share"] = np.array(most)
    counted = {name: np.ones(len(names)) for name in columns}
    figures: dict[str, Any] = {"utterances": len(names)}
    if probabilities:
        distances, known, outside = _distances(votes, probabilities)
        columns |= distances
        counted |= dict.fromkeys(distances, known)
        figures |= {"with_probabilities": int(known.sum()), "outside": outside}
    sums = np.stack([np.stack([counted[name], values], axis=-1) for name, values in columns.items()], axis=1)
    figures |= summed_figures(sums, _means, [*columns], names, speakers)
    if humans := annotator_agreement(votes, speakers):
        figures["humans"] = humans
    return figures


def _distances(votes: Rows, probabilities: Rows) -> tuple[dict[str, np.ndarray], np.ndarray, float]:
    """Return the distances of probabilities from votes by name, (utterances,); whether each has them; what is outside.

    The distances are 0 where an utterance has no probabilities, or votes for unknown classes alone.
    """
    classes = ordered(name for row in probabilities.values() for name in row)
    shares, model, known = (np.zeros((len(votes), size)) for size in (len(classes), len(classes), 1))
    all_votes = known_votes = 0.0
    for place, (name, row) in enumerate(votes.items()):
        if name not in probabilities:
            continue
        share = vote_shares(row, classes)
        all_votes += 1.0
        if share is not None:
            known_votes += sum(row.get(one, 0.0) for one in classes) / sum(row.values())
            shares[place], known[place] = share, 1.0
            model[place] = [probabilities[name].get(one, 0.0) for one in classes]
    outside = 1 - known_votes / all_votes if all_votes else 0.0
    if not known.any():
        raise ValueError(f"no utterance has both probabilities and votes for {', '.join(classes)}; check utt2votes")
    distances = {"kl": kl_divergence, "jsd": js_divergence, "rps": ranked_probability_score}
    return {name: of(shares, model) for name, of in distances.items()}, known[:, 0], outside


def _means(sums: np.ndarray) -> np.ndarray:
    """Return summed values over their numbers (..., figures, 2); NaN where none was counted."""
    number, total = np.moveaxis(sums, -1, 0)
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)
