"""`tools/gpu/check.sh`, all of it, on the processor: nothing is to be debugged on a card."""

import subprocess

import pytest


@pytest.mark.slow(seconds=230)
def test_the_check_of_a_card_is_rehearsed(root, tmp_path):
    done = subprocess.run(
        [root / "tools/gpu/check.sh", "--rehearse", "--out", tmp_path], capture_output=True, text=True
    )
    logs = "\n".join(path.read_text()[-2000:] for path in sorted(tmp_path.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    parts = [line.split("\t") for line in (tmp_path / "parts.tsv").read_text().splitlines()]
    assert [name for name, *_ in parts[:2]] == ["probe", "tests"] and len(parts) == 11
    assert {status for _, status, _ in parts} == {"0"}
    table = (tmp_path / "table.md").read_text()
    assert table.count("a rehearsal on a processor, no figure") == 9  # every case has a figure
    assert (tmp_path / "gpu_check.tar.gz").stat().st_size > 1000
