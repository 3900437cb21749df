"""egs/TEMPLATE: copy, fill in one generator, run stages 0 to 3."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_corpus_without_transcripts(tmp_path, own_recipe):
    """What needs words is passed over with a line, own classes or not; nothing is rejected for it."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(6):
        name = f"s{1 + number % 3}_{'AX'[number // 3]}_{number}"
        soundfile.write(corpus / f"{name}.wav", 0.1 * np.sin(np.arange(16000) / 20), 16000)
    wordless = GENERATOR.replace('"A short sentence was said."', '""').replace('{"A"', '{"X": None, "A"')
    (own_recipe / "local/data_prep.py").write_text(
        wordless.replace("emotions=LETTERS", 'emotions=LETTERS, classes={"X": "calm"}')
    )
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}

    def run(*words):
        command = [own_recipe / "run.sh", "--db-root", corpus, "--size", "tiny", "--ngpu", "0", "--nj", "1", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    done = run("--stop-stage", "3", "--labels", "raw")
    assert done.returncode == 0, done.stderr
    assert "C²SER learns implicit chains of thought from the start" in done.stderr
    assert "no speaking rates and no attributes and levels: train valid test" in done.stderr
    data = own_recipe / "data/train"
    assert set(read_table(data / "cot_implicit").values()) == {
        "The emotion of this speech is anger.", "The emotion of this speech is calm.",
    }  # fmt: skip
    assert not (data / "cot_explicit").exists() and not (data / "utt2attr").exists()
    assert "stage 6 is skipped" in run("--stage", "6", "--stop-stage", "6").stderr


SITE = """
cpu_cmd="run.py --max-jobs 1"
gpu_cmd="rum.py --mem 4G"
root_own="$root/cor pus"
"""


def test_site_settings_hold_in_a_project_with_an_odd_path(own_recipe):
    project = own_recipe.parents[1]
    local = (project / "local").resolve()
    (project / "local").unlink()
    shutil.copytree(local, project / "local", ignore=shutil.ignore_patterns("site.sh"))
    (project / "local/site.sh").write_text(SITE)
    (own_recipe / "local/data_prep.py").write_text("import sys\nprint(sys.argv[1:])\n")
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}

    def call(script, *words):
        command = [project / "local" / script, "--stage", "0", "--stop-stage", "0", *words]
        return subprocess.run(command, env=environment, cwd=own_recipe, capture_output=True, text=True)

    done = call("label.sh", "--prep-nj", "2")  # through cpu_cmd
    assert done.returncode == 0, done.stderr
    root = f"'--db-root', {str(project / 'cor pus')!r}, '--out', 'data'"
    for part in ("1", "2"):
        assert f"[{root}, '--part', '{part}', '--parts', '2']" in (own_recipe / f"data/log/data.{part}.log").read_text()
    done = call("c2ser.sh")
    assert done.returncode == 1 and done.stderr.endswith(
        'c2ser.sh: rum.py: no such launcher; name one of utils/ without its folder, such as "slurm.py --mem 4G"\n'
    )


@pytest.mark.parametrize("name", ["a:b", "a\nb"])
def test_a_path_that_no_search_path_holds_is_refused(tmp_path, root, name):
    (tmp_path / name).mkdir()
    for part in ("local", "utils", "egs"):
        (tmp_path / name / part).symlink_to(root / part)
    done = subprocess.run([tmp_path / name / "local/c2ser.sh"], capture_output=True, text=True)
    assert done.returncode == 1 and "rename that folder" in done.stderr and len(done.stderr.splitlines()) == 1
