"""The loss of answers, in which the words that name the emotion may weigh more than the others."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from c2ser.label_sets import LabelSet
from c2ser.scoring.labels import named_places


def token_weights(
    tokenizer: PreTrainedTokenizerBase, answers: Sequence[str], labels: LabelSet, named: float
) -> list[float] | None:
    """Return the weights of the tokens of all answers, each answer's end token after them; None if all weigh the same.

    Args:
        tokenizer: that of the language model.
        answers: texts.
        labels: the classes that they name.
        named: weight of the tokens that name a class outside quotations; the others weigh 1.

    Raises:
        ValueError: the tokenizer does not tell where in a text its tokens are.
    """
    if named == 1:
        return None
    if not tokenizer.is_fast:
        raise ValueError(f"losses.named: {type(tokenizer).__name__} does not tell where its tokens are; set it to 1")
    weights: list[float] = []
    for answer in answers:
        places = named_places(answer, labels)
        tokens = tokenizer(answer, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        inside = (any(begin < last and first < end for first, last in places) for begin, end in tokens)
        weights += [*(named if is_inside else 1.0 for is_inside in inside), 1.0]
    return weights


def token_loss(logits: Tensor, target: Tensor, weights: Sequence[float] | None) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy of tokens, and the share of them that is predicted rightly.

    Args:
        logits: (tokens, vocabulary).
        target: their ids, (tokens,).
        weights: how much each counts in the mean; None for all the same.
    """
    right = (logits.argmax(-1) == target).float().mean()
    if weights is None:
        return cross_entropy(logits, target), right
    counts = torch.tensor(weights, device=logits.device)
    return (cross_entropy(logits, target, reduction="none") * counts).sum() / counts.sum(), right
