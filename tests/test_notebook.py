"""docs/first_steps.ipynb: it runs from the first cell to the last, offline, and what it claims comes out."""

import os
import re

import nbformat
import pytest
from nbclient import NotebookClient


@pytest.fixture
def notebook(root):
    return nbformat.read(root / "docs/first_steps.ipynb", as_version=4)


def test_the_notebook_is_kept_without_outputs(notebook):
    """Outputs would be true of one machine and one day only, and make every change of a word unreadable."""
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)
    assert "first_steps" not in str(notebook.metadata)


def test_links_of_the_notebook_lead_somewhere(notebook, root):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    assert len(targets) >= 6
    for target in targets:
        assert (root / "docs" / target).exists(), target
    for verb in re.findall(r'run\(\s*"([a-z0-9-]+)"', "\n".join(cell.source for cell in notebook.cells)):
        assert (root / f"c2ser/bin/{verb.replace('-', '_')}.py").exists(), verb


def shown(cell):
    """Return what a cell printed and showed: its text, and the kinds of its other outputs."""
    printed = "".join(
        output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout"
    )
    kinds = {kind for output in cell.outputs if "data" in output for kind in output.data}
    return printed, kinds


@pytest.mark.slow(seconds=190)
def test_the_notebook_runs_and_shows_what_it_says(notebook, root, tmp_path, monkeypatch):
    path = f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    changes = {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(root / "docs")}}).execute()
    cells = [(cell.source, *shown(cell)) for cell in notebook.cells if cell.cell_type == "code"]

    def of(word):
        return next((printed, kinds) for source, printed, kinds in cells if word in source)

    assert "image/png" in of("plot-embeddings")[1] and "text/html" in of("Audio(")[1]
    (ua,) = re.findall(r"^UA ([\d.]+) %$", of("UA")[0], re.MULTILINE)
    assert float(ua) > 25, "hardly better than guessing"
    rows = re.findall(r"^ *([\d.]+) s to +([\d.]+) s: (\w+)$", of("timeline =")[0], re.MULTILINE)
    assert len(rows) == 4, f"four utterances were spoken, with pauses: {rows}"
    ends = [float(end) for row in rows for end in row[:2]]
    assert ends == sorted(ends) and 0.5 < ends[0] < 1.5  # the recording begins with a second of silence
    assert "image/png" in of("pyplot.subplots")[1]
    (folder,) = tmp_path.glob("first_steps-*")
    assert (folder / "exp/implicit/config.json").exists() and (folder / "exp/embeddings.png").stat().st_size > 5000
