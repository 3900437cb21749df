"""Settings of Emotion2Vec-S and of the probe; importing them loads no model library."""

from dataclasses import dataclass, field
from typing import Literal

from c2ser.ratings import Target

Level = Literal["frame", "tokens", "first-frames", "utterance"]
"""What an embedding stands for: each frame, each utterance token, as many first frames as tokens, the mean frame."""

Normalise = Literal["auto", "yes", "no"]
"""Whether waveforms get zero mean and unit variance: as the model was trained, always or never."""

FrameTarget = Literal["instance", "instance_layer", "layer"]
UtteranceTarget = Literal["layer_norm", "raw", "fairseq"]
Prediction = Literal["chunk", "last"]
ProbeSchedule = Literal["constant", "emobox"]


@dataclass
class Emotion2VecConfig:
    """Sizes and rates; the defaults are those of the published base model.

    Attributes:
        dim: size of the vectors.
        heads: attention heads.
        inner: inner size of the feed-forward modules.
        prenet_depth: blocks before those whose outputs are targets.
        depth: blocks whose feed-forward outputs are the teacher's targets.
        tokens: utterance tokens.
        convs: (channels, kernel, stride) of each layer on the waveform.
        position_depth: positional convolutions.
        position_kernel: their width in frames.
        position_groups: their groups.
        alibi_per_layer: whether each layer has its own ALiBi scale.
        norm_eps: of the blocks' norms.
        dropout: of residual branches.
        attention_dropout: of attention weights.
        layer_drop: probability that a block is skipped in training.
        decoder_dim: channels of the decoder.
        decoder_kernel: its width in frames.
        decoder_groups: its groups.
        decoder_layers: its convolutions; 0 for a model that is not trained further.
        normalize: whether waveforms get zero mean and unit variance.
    """

    dim: int = 768
    heads: int = 12
    inner: int = 3072
    prenet_depth: int = 4
    depth: int = 8
    tokens: int = 10
    convs: list[list[int]] = field(
        default_factory=lambda: [[512, 10, 5], *([512, 3, 2] for _ in range(4)), [512, 2, 2], [512, 2, 2]]
    )
    position_depth: int = 5
    position_kernel: int = 19
    position_groups: int = 16
    alibi_per_layer: bool = False
    norm_eps: float = 1e-5
    dropout: float = 0.1
    attention_dropout: float = 0.1
    layer_drop: float = 0.05
    decoder_dim: int = 384
    decoder_kernel: int = 7
    decoder_groups: int = 16
    decoder_layers: int = 4
    normalize: bool = True


@dataclass
class MaskConfig:
    """How utterances are masked; the defaults are the published ones.

    Attributes:
        probability: share of the frames that are masked, the same in every row.
        adjust: added to the probability when blocks are placed, because blocks overlap.
        length: frames of a block.
        clones: masks for each utterance; the teacher encodes it once for all of them.
        noise: standard deviation of what the decoder gets in place of masked frames.
    """

    probability: float = 0.5
    adjust: float = 0.05
    length: int = 5
    clones: int = 8
    noise: float = 0.01


@dataclass
class LossConfig:
    """Weights and variants of the losses.

    Attributes:
        utterance: weight of the utterance loss (0.1 in the paper).
        category: weight of the category loss (100 in the paper).
        classifier: weight of the cross-entropy of a classifier of three linear layers on the same embeddings. The paper
            mentions one, but its equation has no such loss; 0 leaves it out.
        temperature: divides the cosines of the category loss.
        learn_temperature: train the scale of the cosines, as CLIP does; it starts from `temperature`.
        centre: subtract the batch's mean embedding before the cosines. With random weights the embeddings of all
            utterances are nearly parallel at first; then the loss of plain cosines draws them together.
        frame_target: how the teacher's layers are normalised: each over time ("instance", as published), then their
            mean over the dimensions too ("instance_layer"), or each over the dimensions ("layer").
        frame_centre: subtract the mean over the batch's utterances from each frame's target. What all utterances
            share at a frame is only its position; small models with random weights learn that and nothing else.
        utterance_target: the teacher's layers averaged over layers and time: unchanged ("raw"), with a layer norm over
            the dimensions, or the mean of the frame targets as in the fairseq settings, which is zero by construction
            and teaches nothing.
        prediction: what the utterance loss compares: the mean of the utterance tokens, or the last one.
    """

    utterance: float = 0.1
    category: float = 100.0
    classifier: float = 0.0
    temperature: float = 0.1
    learn_temperature: bool = False
    centre: bool = True
    frame_target: FrameTarget = "instance"
    frame_centre: bool = False
    utterance_target: UtteranceTarget = "layer_norm"
    prediction: Prediction = "chunk"


@dataclass
class ProbeConfig:
    """The classifier and its training.

    Attributes:
        hidden: size between its two layers.
        lr: Adam's learning rate.
        batch: utterances in a batch.
        epochs: passes over the training set.
        schedule: "constant", or "emobox" for the learning rates of EmoBox's code; see `learning_rate`.
        normalise: layer norm over the whole matrix of an utterance, without parameters.
        valid_share: share of the training set that chooses the best epoch where there is no validation set; drawn
            utterance by utterance, without regard to speaker or emotion.
        max_seconds: longer utterances are left out of every set.
        seed: decides initial weights, order and what is drawn.
        target: what is learnt of each utterance: its emotion; the distribution of the annotators' votes (utt2votes); or
            its values on dimensions (utt2vad).
        scale: lowest and highest value of the dimensions, such as [1, 7]; other values are refused, and none is given.
            null knows no ends.
        sweep: try the learning rates and sizes of the published code, 1e-3 and 1e-4 by 128 and 256, in place of `lr`
            and `hidden`, and keep what is best on the validation set.
    """

    hidden: int = 128
    lr: float = 1e-4
    batch: int = 32
    epochs: int = 100
    schedule: ProbeSchedule = "constant"
    normalise: bool = True
    valid_share: float = 0.2
    max_seconds: float = 30.0
    seed: int = 1234
    target: Target = "emotion"
    scale: list[float] | None = None
    sweep: bool = False

    def __post_init__(self) -> None:
        if self.scale and not (len(self.scale) == 2 and self.scale[0] < self.scale[1]):
            raise ValueError(f"probe.scale {self.scale}: no scale; give the lowest and highest value, such as [1, 7]")


@dataclass
class EmbeddingBatchConfig:
    """How utterances are grouped; it does not change their embeddings.

    Attributes:
        seconds: padded audio in one batch, at most.
        utterances: utterances in one batch, at most.
        max_seconds: longer utterances are rejected.
    """

    seconds: float = 60.0
    utterances: int = 32
    max_seconds: float = 120.0
