"""The most probable path through states that change by little from frame to frame (Viterbi in a band)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


def triangle(states: int, width: float) -> tuple[Tensor, Tensor]:
    """Return PENN's transition probabilities in a form for `follow`: triangular around the state before.

    Args:
        states: number of states.
        width: distance at which the probability becomes zero.

    Returns:
        log-weights of the distances -reach … reach, shape (2 * reach + 1,), and their log-sum for each state that is
        entered, shape (states,).
    """
    reach = math.ceil(width) - 1
    weights = width - torch.arange(-reach, reach + 1).abs().double()
    inside = torch.nn.functional.pad(torch.ones(states, dtype=torch.float64), (reach, reach)).unfold(
        0, 2 * reach + 1, 1
    )
    return weights.log().float(), (inside @ weights).log().float()


def follow(scores: PackedSequence, band: Tensor, norm: Tensor) -> PackedSequence:
    """Return the most probable states, the same that a decoder with the whole transition matrix finds.

    Each step looks at the 2 * reach + 1 states from which another can be entered, not at all of them: for PENN's 1,440
    states and their band of 155 a ninth of the work. An utterance that has ended takes part in no further step.

    Args:
        scores: log-probabilities, packed from (frames, states) of each utterance.
        band: log-weights of the distances, (2 * reach + 1,).
        norm: their log-sum for each entered state, (states,).

    Returns:
        states, packed from (frames,) of each utterance.
    """
    sizes, reach = scores.batch_sizes.tolist(), len(band) // 2
    padded = scores.data.new_full((sizes[0], scores.data.shape[1] + 2 * reach), -math.inf)
    windows = padded.unfold(1, 2 * reach + 1, 1)  # a view: (batch, states, 2 * reach + 1)
    best = padded[:, reach : padded.shape[1] - reach]
    moves = torch.empty_like(scores.data, dtype=torch.int8).split(sizes)  # from where each state is entered
    for frame, rows in enumerate(scores.data.split(sizes)):
        if not frame:
            best.copy_(rows)
            continue
        value, place = (windows[: len(rows)] + band).max(dim=2)
        torch.sub(value, norm, out=best[: len(rows)])
        best[: len(rows)].add_(rows)
        torch.sub(place, reach, out=moves[frame])
    return PackedSequence(_walk_back(best.argmax(dim=1), moves), *scores[1:])


def _walk_back(last: Tensor, moves: Sequence[Tensor]) -> Tensor:
    """Return the states of all frames, packed, from the last one of each utterance and the moves of each frame."""
    sizes = [*map(len, moves), 0]
    path = last.new_empty(sum(sizes))
    frames = path.split(sizes[:-1])
    for frame in reversed(range(len(moves))):
        later = sizes[frame + 1]
        if later:
            move = moves[frame + 1].gather(1, frames[frame + 1][:, None])[:, 0]
            torch.add(frames[frame + 1], move, out=frames[frame][:later])
        if later < sizes[frame]:  # these end here
            frames[frame][later:] = last[later : sizes[frame]]
    return path
