"""Kaldi archives: kaldiio reads what we write, and nothing in a table is ever run."""

import kaldiio
import numpy as np
import pytest

from c2ser.data.arks import ArkWriter, read_matrices, read_matrix


@pytest.fixture
def stored(tmp_path):
    generator = np.random.default_rng(0)
    matrices = {name: generator.normal(size=(5 + k, 4)).astype(np.float32) for k, name in enumerate(["a", "bü", "c"])}
    with ArkWriter(tmp_path / "x y.ark") as ark:
        places = {name: ark.write(name, matrix) for name, matrix in matrices.items()}
    return matrices, places


def test_what_is_written_is_read_by_us_and_by_kaldiio(stored, tmp_path):
    matrices, places = stored
    for name, matrix in read_matrices(places, ["a", "bü", "c", "unknown"]):
        assert np.array_equal(matrix, matrices[name])
    theirs = dict(kaldiio.load_ark(str(tmp_path / "x y.ark")))
    assert all(np.array_equal(theirs[name], matrices[name]) for name in matrices)
    assert np.array_equal(kaldiio.load_mat(places["c"]), matrices["c"])


def test_archives_grow_after_a_kill(stored, tmp_path):
    matrices, places = stored
    with open(tmp_path / "x y.ark", "ab") as file:
        file.write(b"half a matr")
    with ArkWriter(tmp_path / "x y.ark") as ark:
        place = ark.write("d", matrices["a"])
    assert np.array_equal(read_matrix(place, "d"), matrices["a"])


@pytest.mark.parametrize("place", ["touch {bad} |", "|touch {bad}", "x:", "file.ark", "touch {bad}|:3", "-", "a:1:x"])
def test_pipes_and_other_forms_are_refused(tmp_path, place):
    with pytest.raises(ValueError, match="^u: .*; extract the embeddings again"):
        read_matrix(place.format(bad=tmp_path / "bad"), "u")
    assert not (tmp_path / "bad").exists()


def test_damage_is_named(stored, tmp_path):
    _, places = stored
    path = tmp_path / "x y.ark"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="^c: the matrix at .* is cut short"):
        read_matrix(places["c"], "c")
    with pytest.raises(ValueError, match="^c: no float matrix"):
        read_matrix(f"{path}:1", "c")
    with pytest.raises(ValueError, match="^c: cannot read"):
        read_matrix(f"{tmp_path}/none.ark:1", "c")
