"""The two losses of SECap's first training: what is said leaves the speech embeddings, what is felt stays.

Its makers released neither. Known are their kinds: an upper bound (vCLUB) on the mutual information of speech and
transcript, which is minimised, and a contrast of captions in which those of one class count as alike. The rest is our
choice: mean embeddings in the language model's space, a Gaussian estimator with one hidden layer, a softmax over the
batch instead of margins. docs/baselines.md compares them.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import normalize

from c2ser.data.datasets import Item
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import Vectors
from c2ser.training.config import LossConfig

HIDDEN = 256
"""Units of the estimator's hidden layer."""

TEMPERATURE = 0.1
"""Of the contrast."""


def weights_of(losses: LossConfig) -> dict[str, float]:
    """Return the weights of SECap's losses that are not 0."""
    weights = {"information": losses.information, "contrast": losses.contrast}
    return {name: weight for name, weight in weights.items() if weight}


class SecapLosses(nn.Module):
    """Computes both losses of a batch.

    Args:
        dim: size of the speech embeddings, which is that of the language model.
        weights: `information` and `contrast`.
        train: the training utterances.

    Raises:
        ValueError: none of them has the transcript that a loss needs.
    """

    def __init__(self, dim: int, weights: LossConfig, train: Mapping[str, Item]) -> None:
        super().__init__()
        if weights.information and not any(item.utterance.text for item in train.values()):
            raise ValueError("losses.information: no training utterance has a transcript; add text, or set it to 0")
        self.weights = weights
        self.estimator = nn.Sequential(nn.Linear(dim, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * dim))

    def forward(
        self, speech: Vectors, items: Sequence[Item], captions: Sequence[str], language: LanguageModel
    ) -> dict[str, Tensor]:
        """Return the losses by name; `secap_loss` is what is added to the loss.

        Args:
            speech: embeddings (batch, time, dim), 0 where they are padded.
            items: the utterances; those without a transcript or an emotion do not count.
            captions: their answers.
            language: embeds transcripts and captions, without gradients.
        """
        with torch.autocast(speech.values.device.type, enabled=False):
            mean = speech.values.float().sum(dim=1) / speech.lengths[:, None]
            figures, total = {}, mean.sum() * 0
            if self.weights.information:
                spoken = [row for row, item in enumerate(items) if item.utterance.text.strip()]
                words = mean_embeddings(language, [items[row].utterance.text for row in spoken])
                figures["information"], fit = information(self.estimator, mean[spoken], words)
                total = total + self.weights.information * figures["information"] + fit
            if self.weights.contrast:
                felt = [row for row, item in enumerate(items) if item.utterance.emotion]
                classes = [items[row].utterance.emotion for row in felt]
                answers = mean_embeddings(language, [captions[row] for row in felt])
                figures["contrast"] = contrast(mean[felt], answers, classes)
                total = total + self.weights.contrast * figures["contrast"]
        return {**figures, "secap_loss": total}


@torch.no_grad()
def mean_embeddings(language: LanguageModel, texts: Sequence[str]) -> Tensor:
    """Return the mean embedding of each text's tokens, (texts, dim) float32; a text has one or more."""
    table = language.llm.get_input_embeddings()
    rows = [language.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"][0] for text in texts]
    means = [table(row.to(language.llm.device)).float().mean(dim=0) for row in rows]
    return torch.stack(means) if means else torch.zeros(0, language.dim, device=language.llm.device)


def information(estimator: nn.Module, speech: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Return an upper bound on the mutual information of speech and words, and the loss of its estimator.

    The estimator gives mean and logarithm of the variance of a transcript's embedding. It learns from the second loss
    alone, and the speech embeddings from the first alone.

    Args:
        estimator: from (batch, dim) to (batch, 2 dim).
        speech: (batch, dim).
        words: (batch, dim).

    Returns:
        both as means over batch and dimensions; 0 for fewer than two utterances.
    """
    if len(speech) < 2:
        return speech.sum() * 0, speech.sum() * 0
    mean, log_variance = estimator(speech.detach()).chunk(2, dim=-1)
    log_variance = log_variance.tanh()
    fit = ((words - mean).square() / log_variance.exp() + log_variance).mean() / 2
    fixed = {name: parameter.detach() for name, parameter in estimator.named_parameters()}
    mean, log_variance = functional_call(estimator, fixed, (speech,)).chunk(2, dim=-1)
    precision = torch.exp(-log_variance.tanh())
    own = ((words - mean).square() * precision).mean()
    others = ((words[None] - mean[:, None]).square() * precision[:, None]).mean()
    return (others - own) / 2, fit


def contrast(speech: Tensor, captions: Tensor, classes: Sequence[object]) -> Tensor:
    """Return the mean over the batch of -log of the share that captions of an utterance's own class have.

    Args:
        speech: (batch, dim).
        captions: (batch, dim).
        classes: of each utterance and its caption.

    Returns:
        with the cosine of speech and captions over `TEMPERATURE` in a softmax; 0 for an empty batch.
    """
    if not classes:
        return speech.sum() * 0
    shares = (normalize(speech, dim=-1) @ normalize(captions, dim=-1).T / TEMPERATURE).log_softmax(dim=-1)
    alike = torch.tensor([[one == other for other in classes] for one in classes], device=speech.device)
    return -(shares * alike).sum(dim=-1).div(alike.sum(dim=-1)).mean()
