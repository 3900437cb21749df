"""Extract embeddings of the utterances of a data directory."""

from pathlib import Path

import numpy as np
import torch

from c2ser.cli import run
from c2ser.corpus import read_data_dir, wave
from c2ser.data.arks import ArkWriter
from c2ser.emotion2vec.convert import load_model
from c2ser.emotion2vec.model import Emotion2Vec, Level, pool
from c2ser.log import progress
from c2ser.tables import TableMap


def main(model: Path, data: Path, out: Path, level: Level = "frame", device: str = "auto") -> None:
    """Write the table OUT (`<utterance> <file>.ark:<offset>`) and the Kaldi archive beside it.

    Args:
        model: folder of an Emotion2Vec-S model.
        data: data directory.
        out: the table, for example exp/probe/test.scp.
        level: frame (50 per second), tokens, first_frames or utterance (the mean frame).
        device: "cpu", "cuda", …; "auto" takes a graphics card where there is one.
    """
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    encoder, utterances, archive = load_model(model).to(chosen), read_data_dir(data), out.with_suffix(".ark")
    with TableMap(out) as job:
        if not job.rows:
            archive.unlink(missing_ok=True)
        with ArkWriter(archive) as ark:
            for name in progress(job.todo(utterances), "utterances"):
                try:
                    job.write(name, ark.write(name, embedding(encoder, wave(utterances[name]), level)))
                except ValueError as error:
                    job.reject(name, str(error).removeprefix(f"{name}: "))


@torch.no_grad()
def embedding(encoder: Emotion2Vec, samples: np.ndarray, level: Level) -> np.ndarray:
    """Return the embeddings (rows, dim) of one waveform (samples,)."""
    waves = torch.from_numpy(samples)[None].to(encoder.slopes.device)
    output = encoder(waves, torch.tensor([waves.shape[1]], device=waves.device))
    return pool(output, level)[0].float().cpu().numpy()


if __name__ == "__main__":
    run(main)
