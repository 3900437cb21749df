"""egs/TEMPLATE: copy, fill in one generator, run stages 0 to 3."""

import os
import subprocess
import sys

import numpy as np
import soundfile

from c2ser.tables import read_table

GENERATOR = """
from c2ser.prep import Corpus, Utterance, prepare

LETTERS = {"A": "anger", "S": "sadness", "N": "neutral"}

def utterances(db_root):
    for path in sorted(db_root.glob("*.wav")):
        speaker, letter = path.stem.split("_")[:2]
        set_name = {"s1": "train", "s2": "valid"}.get(speaker, "test")
        yield Utterance(set_name, speaker, path.stem, path, letter, "en", "A short sentence was said.")

if __name__ == "__main__":
    prepare(utterances, Corpus(emotions=LETTERS))
"""


def test_ten_wavs_and_fifteen_lines(tmp_path, own_recipe):
    corpus = tmp_path / "cor pus"
    corpus.mkdir()
    for number in range(10):
        name = f"s{1 + number % 3}_{'ASN'[number // 4]}_{number}"
        time = np.arange(16000) / 16000
        tone = sum(np.sin(2 * np.pi * (120 + 10 * number) * k * time) / k for k in range(1, 9))
        soundfile.write(corpus / f"{name}.wav", 0.1 * tone, 16000)
    (own_recipe / "local/data_prep.py").write_text(GENERATOR)
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    command = [own_recipe / "run.sh", "--db-root", corpus, "--size", "tiny", "--nj", "2", "--stop-stage", "3"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(read_table(own_recipe / "data/train/utt2level")) == 4
    pitches = [float(row.split()[0]) for row in read_table(own_recipe / "data/test/utt2attr").values()]
    assert all(100 < pitch < 230 for pitch in pitches)
    assert (own_recipe / "exp/attr_stats.png").exists()
    assert len(read_table(own_recipe / "data/valid/cot_explicit")) == 3
    assert not list(tmp_path.rglob("bad")) and not list(own_recipe.rglob("bad"))
