"""Extract embeddings of the utterances of a data directory."""

from pathlib import Path

from c2ser.cli import run
from c2ser.emotion2vec.config import EmbeddingBatchConfig, Level, Normalise

GROUP = "Train"


def main(
    model: str,
    data: Path,
    out: Path,
    batches: EmbeddingBatchConfig,
    level: Level = "frame",
    normalise: Normalise = "auto",
    peer_padding: bool = False,
    device: str = "auto",
    layer: int | None = None,
) -> None:
    """Write the table OUT (`<utterance> <file>.ark:<offset>`) and the Kaldi archive beside it.

    Args:
        model: folder of an Emotion2Vec-S model, a published checkpoint of the emotion2vec family, or a folder or hub
            id of transformers (WavLM, data2vec, HuBERT, wav2vec 2.0, Whisper), whose last hidden states are taken.
        data: data directory.
        out: the table, for example exp/probe/test.scp.
        batches: how utterances are grouped.
        level: frame (50 per second), tokens, first-frames or utterance (the mean frame).
        normalise: give waveforms zero mean and unit variance: as the model was trained ("auto"), always or never.
        peer_padding: let the padding of a batch change its shorter utterances, as other implementations do.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
        layer: take the states after this layer of an encoder of transformers (0: before the first), not the last ones.
    """
    from c2ser.devices import pick_device
    from c2ser.emotion2vec.embeddings import extract_embeddings
    from c2ser.emotion2vec.encoders import Emotion2VecEncoder, load_encoder

    encoder = load_encoder(model, normalise, peer_padding, pick_device(device), layer)
    if isinstance(encoder, Emotion2VecEncoder):
        encoder.only_embed()
    extract_embeddings(encoder, data, out, batches, level)


if __name__ == "__main__":
    run(main)
