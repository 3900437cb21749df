"""`tools/compare_peers.py`: the same folds for all, what is missing is left out with a line, one table at the end."""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import compare_peers
import numpy as np
import pytest
import soundfile
from benchmark.fold_systems import Material
from benchmark.nkululeko_peer import write_vectors
from test_finetune import place  # noqa: F401 - the fixture is used by name
from voices import voice

from c2ser.corpus import Utterance, read_data_dir
from c2ser.data.arks import ArkWriter
from c2ser.prep.writer import write_corpus
from c2ser.tables import read_table, write_table

SYSTEMS = "nkululeko-egemaps-svm,nkululeko-vectors-xgb,speechbrain-ecapa,probe,finetune-frozen"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data directory of three folds, a speaker each, loud and quiet voices."""
    folder = tmp_path_factory.mktemp("folds")
    draws = np.random.default_rng(0)
    utterances = []
    for number in range(24):
        loudness, emotion = (0.8, "anger") if number % 2 else (0.02, "sadness")
        path, fold = folder / f"{number}.wav", number // 8 + 1
        soundfile.write(path, loudness * draws.uniform(0.6, 1) * voice(0.8, 100 + 20 * fold), 16000)
        utterances.append(Utterance("all", f"s{fold}", f"{number:02d}", path, emotion, "en", "", fold=str(fold)))
    write_corpus(utterances, folder / "data")
    return folder / "data/all"


def test_a_fold_tests_one_group_and_validates_on_the_next(data, tmp_path):
    folds = Material(data, tmp_path, "none", None).folds
    speakers = [{name: {u.speaker for u in part.values()} for name, part in fold.sets.items()} for fold in folds]
    assert speakers[0] == {"train": {"s3"}, "valid": {"s2"}, "test": {"s1"}}
    assert speakers[2] == {"train": {"s2"}, "valid": {"s1"}, "test": {"s3"}}
    for fold in folds:
        assert len(fold.rest) == 16 and not set(fold.rest) & set(fold.sets["test"])


def test_vectors_become_a_table_of_nkululeko(data, tmp_path):
    utterances = read_data_dir(data)
    matrices = {i: np.full((2, 3), number, np.float32) for number, i in enumerate(utterances)}
    with ArkWriter(tmp_path / "v.ark") as ark:
        write_table(tmp_path / "v.scp", {i: ark.write(i, matrix) for i, matrix in matrices.items()})
    write_vectors(utterances, tmp_path / "v.scp", tmp_path / "v.csv")
    rows = list(csv.DictReader((tmp_path / "v.csv").open()))
    found = {row["file"]: float(row["vector_2"]) for row in rows}
    assert found == {str(u.wav): matrices[i][0, 2] for i, u in utterances.items()}


def test_what_is_not_installed_is_left_out_and_the_rest_is_compared(data, place, tmp_path, capsys, caplog, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "speechbrain", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "benchmark.speechbrain_peer", raising=False)
    compare_peers.main(data, tmp_path, "speechbrain-ecapa,probe", str(place / "whisper"))
    assert "speechbrain-ecapa is left out" in caplog.text and "pip install speechbrain" in caplog.text
    assert "| probe | 1 |" in capsys.readouterr().out
    assert set(read_table(tmp_path / "probe/utt2emo")) == set(read_data_dir(data))
    with pytest.raises(ValueError, match="none of these is installed"):
        compare_peers.main(data, tmp_path, "speechbrain-ecapa", str(place / "whisper"))


def test_what_cannot_be_compared_is_one_line(data, tmp_path):
    with pytest.raises(ValueError, match="svm: no such system; choose from nkululeko"):
        compare_peers.main(data, tmp_path, "probe,svm")
    two = tmp_path / "two"
    two.mkdir()
    for path in data.iterdir():
        (two / path.name).write_bytes(path.read_bytes())
    write_table(two / "utt2fold", {i: "1" if "s1" in i else "2" for i in read_table(data / "utt2fold")})
    with pytest.raises(ValueError, match="two/utt2fold: 2 folds; one tests, one validates, so give three or more"):
        compare_peers.main(two, tmp_path, "probe")


@pytest.mark.peer
def test_all_systems_answer_for_all_folds(data, place, tmp_path, capsys):  # noqa: F811
    lacking = [name for name in ("nkululeko", "opensmile", "speechbrain") if importlib.util.find_spec(name) is None]
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    compare_peers.main(data, tmp_path, SYSTEMS, str(place / "whisper"), epochs=2, baseline="probe")
    rows = capsys.readouterr().out
    for name in SYSTEMS.split(","):
        assert f"| {name} | 1 |" in rows
        assert set(read_table(tmp_path / name / "utt2emo")) == set(read_data_dir(data))
    manifest = json.loads((tmp_path / "speechbrain-ecapa/1/test.json").read_text())
    assert {Path(row["wav"]) for row in manifest.values()} == {data.parents[1] / f"{number}.wav" for number in range(8)}
