"""The most probable path through states that change by little from frame to frame (Viterbi in a band)."""

import math

import torch
from torch import Tensor


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


def follow(scores: Tensor, lengths: Tensor, band: Tensor, norm: Tensor) -> Tensor:
    """Return the most probable states, the same that a decoder with the whole transition matrix finds.

    Each step looks at the 2 * reach + 1 states from which another can be entered, not at all of them: for PENN's 1,440
    states and their band of 155 a ninth of the work.

    Args:
        scores: log-probabilities (batch, frames, states).
        lengths: frames of each, (batch,).
        band: log-weights of the distances, (2 * reach + 1,).
        norm: their log-sum for each entered state, (states,).

    Returns:
        states (batch, frames); beyond an utterance's length its last state.
    """
    batch, frames, states = scores.shape
    reach = len(band) // 2
    padded = scores.new_full((batch, states + 2 * reach), -math.inf)
    windows = padded.unfold(1, 2 * reach + 1, 1)  # a view: (batch, states, 2 * reach + 1)
    best, inner = scores[:, 0].clone(), padded[:, reach : reach + states]
    origins = torch.full((frames, batch, states), reach, dtype=torch.uint8, device=scores.device)
    for frame in range(1, frames):
        inner.copy_(best)
        value, origin = (windows + band).max(dim=2)
        active = (frame < lengths)[:, None]
        best = torch.where(active, value - norm + scores[:, frame], best)
        origins[frame] = torch.where(active, origin, reach)
    path = [best.argmax(dim=1)]
    for frame in range(frames - 1, 0, -1):
        path.append(path[-1] + origins[frame].gather(1, path[-1][:, None])[:, 0].long() - reach)
    return torch.stack(path[::-1], dim=1)
