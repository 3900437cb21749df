"""Fixtures that every test may use."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Processes of tests with several threads each keep one another from the cores. torch reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A background job of a shell ignores Ctrl-C, and what it starts does too; the tests of the launchers send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes says nothing on a busy machine.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that say that they take long, so that no core waits for the last one in the end."""
    items.sort(key=lambda item: -max((mark.kwargs.get("seconds", 0) for mark in item.iter_markers("slow")), default=0))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture
def own_recipe(tmp_path, root) -> Path:
    """A copy of egs/TEMPLATE in a project of its own, whose other folders are links to this one's.

    Its path has what words of a shell must not have, so that every test that uses it fails where one is not quoted.
    """
    project = tmp_path / 'a b/it\'s $(touch bad) "q" *;\\/project'
    project.mkdir(parents=True)
    for name in ("c2ser", "local", "tools", "utils"):
        (project / name).symlink_to(root / name)
    return Path(shutil.copytree(root / "egs/TEMPLATE", project / "egs/own"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real speech and oracle files: $C2SER_TEST_DATA, else ../shared/data beside the project."""
    folder = Path(os.environ.get("C2SER_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set C2SER_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory) -> Path:
    """The folder of a tiny random language model that was made for chats."""
    from model_server import make_chat_model

    folder = tmp_path_factory.mktemp("models") / "tiny glm"
    make_chat_model(folder)
    return folder
