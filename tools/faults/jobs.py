"""Stages as jobs: each is one command with small inputs, whose results are the same in every undisturbed run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from c2ser.corpus import Utterance
from c2ser.data.arks import ArkWriter
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.convert import save_model
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.emotions import EMOTIONS
from c2ser.prep.writer import write_corpus
from c2ser.tables import read_table, write_table, write_text

CONVS = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]

SIZES = {"dim": 16, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "tokens": 2, "convs": CONVS,
         "position_depth": 1, "position_kernel": 3, "position_groups": 2, "decoder_dim": 16, "decoder_layers": 1,
         "decoder_groups": 2}  # fmt: skip
"""A tiny Emotion2Vec-S."""

TRAINING = f"""
model: {SIZES}
masks: {{clones: 2}}
teacher: {{start: 0.9, end: 0.99, anneal: 20}}
batches: {{seconds: 8, utterances: 8}}
training: {{steps: 8, valid_every: 4, save_every: 2, log_every: 4}}
"""


@dataclass(frozen=True)
class Job:
    """A stage.

    Attributes:
        name: of the stage.
        words: the words of its command, given the folder of inputs and that of outputs.
        slow: whether it takes seconds, so that few faults are injected.
    """

    name: str
    words: Callable[[Path, Path], list[str]]
    slow: bool = False


def prepare(folder: Path) -> None:
    """Write what the jobs read."""
    write_corpus(_utterances(folder), folder / "data")
    train = folder / "data/train"
    names = list(read_table(train / "wav.scp"))
    emotions, texts = read_table(train / "utt2emo"), {name: "yes I know" for name in names}
    attributes = {name: f"{100 + 9 * place} {-20 - place} {10 + place % 5}.5" for place, name in enumerate(names)}
    levels = {name: ("low medium high", "medium high low")[place % 2] for place, name in enumerate(names)}
    answers = {name: f"The emotion is {EMOTIONS[place % 3]}." for place, name in enumerate(names)}
    for name, rows in (("utt2attr", attributes), ("utt2level", levels), ("text", texts), ("answers", answers)):
        write_table(train / name, rows)
    write_table(folder / "labels", {name: EMOTIONS[place % 3] for place, name in enumerate(names)})
    lines = [f"{name},{emotions[name]},s{place % 3},yes" for place, name in enumerate(names)]
    lines = [
        line.replace(name, read_table(train / "wav.scp")[name], 1) for line, name in zip(lines, names, strict=True)
    ]
    write_text(folder / "table.csv", "file,emotion,speaker,text\n" + "\n".join(lines) + "\n")
    torch.manual_seed(0)
    save_model(Emotion2Vec(Emotion2VecConfig(**SIZES)), folder / "encoder")  # type: ignore[arg-type]
    with ArkWriter(folder / "embeddings/embeddings.ark") as ark:
        generator = np.random.default_rng(0)
        sets = {name: read_table(folder / f"data/{name}/wav.scp") for name in ("train", "valid")}
        for name, wavs in sets.items():
            places = {i: ark.write(i, generator.normal(size=(1, 8)).astype(np.float32)) for i in wavs}
            write_table(folder / f"embeddings/{name}.scp", places)
    write_text(folder / "training.yaml", TRAINING)


def _utterances(folder: Path):  # noqa: ANN202 - a generator of utterances
    for number in range(32):
        path = folder / f"wav/{number}.wav"
        path.parent.mkdir(exist_ok=True)
        time = np.arange(6400 + 200 * number) / 16000
        tone = 0.3 * np.sin(2 * np.pi * (120 + 10 * number) * time)
        soundfile.write(path, tone + 0.02 * np.random.default_rng(number).normal(size=len(time)), 16000)
        emotion = ("anger", "sadness", "fear")[number % 3]
        yield Utterance(
            "valid" if number % 4 == 3 else "train", f"s{number % 4}", f"u{number}", path, emotion, "en", ""
        )


JOBS = (
    Job("import", lambda i, o: ["import", f"{i}/table.csv", f"--out={o}", "--into=test", "--nj=2"]),
    Job("perturb_data", lambda i, o: ["perturb_data", f"--data={i}/data/train", f"--out={o}",
                                      "--perturbation=noise20"]),
    Job("sample_data", lambda i, o: ["sample_data", f"--data={i}/data/train", f"--out={o}", "--number=3"]),
    Job("compute_stats", lambda i, o: ["compute_stats", f"--attributes={i}/data/train/utt2attr",
                                       f"--out={o}/stats.json"]),
    Job("generate_cot", lambda i, o: ["generate_cot", f"--data={i}/data/train", f"--out={o}/cot", "--style=explicit"]),
    Job("extract_labels", lambda i, o: ["extract_labels", f"--answers={i}/data/train/answers", f"--out={o}/labels"]),
    Job("score", lambda i, o: ["score", f"--reference={i}/data/train/utt2emo", f"--labels={i}/labels", f"--out={o}"]),
    Job("annotation_page", lambda i, o: ["make_annotation_page", f"--data={i}/data/train", f"--out={o}"]),
    Job("embeddings", lambda i, o: ["extract_embeddings", f"--model={i}/encoder", f"--data={i}/data/train",
                                    f"--out={o}/embeddings.scp", "--level=utterance", "--device=cpu"]),
    Job("train_probe", lambda i, o: ["train_probe", f"--embeddings={i}/embeddings", f"--out={o}",
                                     f"--train={i}/data/train", f"--valid={i}/data/valid",
                                     f"--tests=[{i}/data/valid]", "--device=cpu", "--probe.epochs=3"]),
    Job("train_emotion2vec", lambda i, o: ["train_emotion2vec", f"--config={i}/training.yaml", f"--out={o}",
                                           f"--train={i}/data/train", f"--valid={i}/data/valid"], slow=True),
)  # fmt: skip
"""All of them."""
