"""Settings of trainings; importing them loads no model library."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

Schedule = Literal["warmup_inverse_sqrt", "warmup_constant", "cosine", "constant"]

Precision = Literal["fp32", "bf16", "auto"]

Stage = Literal["explicit", "implicit", "direct", "finetune"]
"""The paper's two stages; implicit answers without the explicit stage (Table VIII, "w/o CoT"); and training a finished
model further in its own style (Table IX)."""

FREE = ("log_every", "save_every", "keep", "num_workers", "fewer_kernels", "liger", "compiled", "fill_card")
"""Settings of `TrainConfig` that a resumed training may change: its result stays the same, or all but the last bits."""


@dataclass
class OptimConfig:
    """AdamW and its schedule; the defaults are those of C²SER (section V.A and the published configuration).

    Attributes:
        lr: peak learning rate.
        lr_by_part: peak learning rates of single parts instead, by name, such as {connector: 1.0e-3}. New parts want
            higher rates than pretrained ones.
        betas: AdamW's.
        weight_decay: AdamW's.
        eps: AdamW's.
        warmup: share of the steps in which the learning rate rises.
        schedule: what follows the warm-up.
        clip: largest norm of the gradient; 0 for no limit.
    """

    lr: float = 5e-5
    lr_by_part: dict[str, float] = field(default_factory=dict)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    eps: float = 1e-6
    warmup: float = 0.15
    schedule: Schedule = "warmup_inverse_sqrt"
    clip: float = 5.0


@dataclass
class TrainConfig:
    """How long to train, and how often to validate and save.

    Attributes:
        steps: optimiser steps.
        epochs: passes over the training set; if given, the number of steps follows from it.
        keep_epochs: epochs whose weights become models, OUT/epoch_<N>; 0 is the model that training starts from.
        accumulate: micro-batches per step and process.
        log_every: steps between two TensorBoard points.
        valid_every: steps between two validations; with `epochs`, each epoch ends with one too.
        save_every: steps between two checkpoints.
        keep: newest checkpoints kept besides the best.
        num_workers: threads of each process that load the audio of the next micro-batches; they do not change the
            result.
        patience: end after this many validations in a row without a better score; null trains all steps.
        seed: decides initial weights, batches, masks and dropout.
        precision: bf16 uses autocast with float32 weights; auto is bf16 on GPUs, and on CPUs that multiply bfloat16
            themselves, else fp32.
        fewer_kernels: on a card, convert weights, normalise and add adapters in fewer kernels. It changes the last
            bits of a result, as the next two.
        liger: on a card, let Liger's kernels compute rotary positions and feed-forwards of the language model; extra
            [liger]. Not run on a card yet.
        compiled: compile each Transformer layer (torch.compile), which takes a minute or two at the start; it is for
            cards, and has not run on one yet.
        fill_card: on a card, make C²SER's micro-batches as large as its memory allows, and accumulate the fewer.
    """

    steps: int = 1000
    epochs: int | None = None
    keep_epochs: list[int] = field(default_factory=list)
    accumulate: int = 1
    log_every: int = 10
    valid_every: int = 100
    save_every: int = 100
    keep: int = 2
    num_workers: int = 2
    patience: int | None = None
    seed: int = 777
    precision: Precision = "fp32"
    fewer_kernels: bool = True
    liger: bool = False
    compiled: bool = False
    fill_card: bool = True

    def __post_init__(self) -> None:
        """Refuse counts below 1."""
        counts = ["steps", "accumulate", "log_every", "valid_every", "save_every", "keep", "num_workers"]
        counts += ["patience"] if self.patience is not None else []
        if low := [name for name in counts if getattr(self, name) < 1]:
            raise ValueError(f"training.{low[0]} is {getattr(self, low[0])}; give 1 or more")

    def ends(self, micro_batches: Callable[[int], int], per_step: int) -> dict[int, int]:
        """Return the epoch that ends with each step, if epochs are asked for.

        Args:
            micro_batches: returns the number of micro-batches in the first N epochs.
            per_step: micro-batches of a step, those of all processes together.

        Raises:
            ValueError: an epoch to keep is not trained, or ends in the same step as a later one.
        """
        epochs = range(1, (self.epochs or 0) + 1)
        if not {*self.keep_epochs} <= {0, *epochs}:
            raise ValueError("training.keep_epochs names an epoch that is not trained; raise training.epochs")
        ends = {ceil(micro_batches(epoch) / per_step): epoch for epoch in epochs}
        if not {*self.keep_epochs} <= {0, *ends.values()}:
            raise ValueError("training.keep_epochs names an epoch shorter than a step; lower training.accumulate")
        return ends


@dataclass
class BatchConfig:
    """How C²SER's utterances become batches.

    Attributes:
        seconds: padded audio in one batch, at most (39 s in the published configuration).
        tokens: padded sequence of the language model in one batch, at most (1900 in the published configuration).
        utterances: utterances in one batch, at most.
        keep_features: keep the spectrograms and acoustic vectors of all utterances in memory once they are computed;
            frozen parts compute them, so for small corpora this saves most of that work.
    """

    seconds: float = 39.0
    tokens: int = 1900
    utterances: int = 64
    keep_features: bool = False


@dataclass
class LossConfig:
    """What C²SER learns beside the given answers.

    Attributes:
        emotion: weight of an auxiliary loss: the cross-entropy of a linear layer that names the emotion from the mean
            speech embedding. It shows the encoder and the new connector what to keep of the sound before the language
            model can. The layer is dropped after the training. 0 is without it, as in the paper.
        named: weight of the tokens that name the emotion in an answer, while the others weigh 1. Of an explicit answer
            they are one or two of fifty, so that a small model learns to write before it learns to hear. 1 is the
            paper's mean over all tokens.
        information: weight of SECap's loss on the mutual information of speech embeddings and transcript, to be small;
            utterances without a transcript do not count. 0 is without it.
        contrast: weight of SECap's contrast of speech embeddings and captions, which are the answers: those of one
            emotion are alike. 0 is without it.
        sample_votes: draw the class of an implicit answer from the annotators' votes (utt2votes) whenever an utterance
            is used, so that the loss is the expected one over the votes. Explicit answers keep the emotion.
    """

    emotion: float = 0.0
    named: float = 1.0
    information: float = 0.0
    contrast: float = 0.0
    sample_votes: bool = False

    def __post_init__(self) -> None:
        """Refuse a weight with which the emotion would not be learnt."""
        if self.named <= 0:
            raise ValueError(f"losses.named is {self.named}; give more than 0, or 1 for none")


@dataclass
class ValidConfig:
    """How C²SER is validated in training.

    Attributes:
        utterances: at most this many utterances, with the emotions balanced.
        max_new_tokens: an answer is cut off after this many tokens.
        seconds: padded audio in one batch, at most.
    """

    utterances: int = 210
    max_new_tokens: int = 200
    seconds: float = 120.0


@dataclass
class TeacherConfig:
    """The teacher is the student's moving average; its decay rises linearly from `start` to `end`.

    Attributes:
        start: decay of the first update.
        end: decay after `anneal` updates.
        anneal: updates in which it rises.
        front: whether the teacher also averages the convolutions on the waveform (data2vec 2.0's
            `ema_local_encoder`). As published it gets the student's local features; then convolutions that learn fast
            can make the targets easier instead of the guesses better.
    """

    start: float = 0.999
    end: float = 0.99999
    anneal: int = 20000
    front: bool = False

    def decay(self, update: int) -> float:
        """Return the decay of an update, counted from 1."""
        return self.end - (self.end - self.start) * max(0.0, 1.0 - update / self.anneal)


@dataclass
class GuardConfig:
    """When a training counts as collapsed and stops (fairseq's limits).

    Attributes:
        after: number of first steps that are not checked.
        target: smallest standard deviation of the targets.
        contrast: smallest standard deviation of the targets between utterances at one frame (ours). Below it the
            targets tell only the position in the utterance, which the deviation over time does not show.
        prediction: smallest standard deviation of the guesses.
    """

    after: int = 5000
    target: float = 0.1
    contrast: float = 0.05
    prediction: float = 0.01


@dataclass
class Emotion2VecValidConfig:
    """How Emotion2Vec-S is validated in training.

    Attributes:
        neighbours: a validation utterance gets the emotion of this many nearest training utterances.
        train: training utterances to compare with, at most, with the emotions balanced.
        valid: validation utterances, at most, with the emotions balanced.
        batches: validation batches on which the frame loss is computed.
    """

    neighbours: int = 5
    train: int = 2000
    valid: int = 1000
    batches: int = 8


@dataclass
class HeadBatchConfig:
    """How the utterances of an encoder with a head become batches.

    Attributes:
        seconds: padded audio in one batch, at most.
        utterances: utterances in one batch, at most.
        keep_features: keep what of each utterance does not change in memory once it is computed: spectrograms or, of a
            frozen encoder, its states; null does so with up to two hours of speech.
    """

    seconds: float = 120.0
    utterances: int = 16
    keep_features: bool | None = None


@dataclass
class HeadTrainConfig(TrainConfig):
    """The same with defaults for `c2ser finetune`: each epoch ends with a validation, and training ends early."""

    epochs: int | None = 20
    valid_every: int = 1_000_000
    save_every: int = 1000
    patience: int | None = 5
