"""Where a model is: a folder, a repository of the Hugging Face hub, or the small model that was trained in this clone.

From the hub come weights, settings and a tokeniser; nothing in a repository is run.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import WeakFileLock

from c2ser.log import get_logger, one_line
from c2ser.model.folder import CALIBRATION, FORMAT, WEIGHTS
from c2ser.model.published import Sources, convert

logger = get_logger(__name__)

ROOT = Path(__file__).resolve().parents[2]
"""The clone, unless the package was copied to an environment."""

SMALL = Path("tools/models/c2ser-small")
"""Where `make demo` puts the model that it trains, below `ROOT`."""

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)

FILES = ("config.json", WEIGHTS, CALIBRATION, "README.md", *(f"tokenizer/*.{kind}" for kind in ("json", "jinja", "txt",
         "model")))  # fmt: skip
"""What a model folder consists of; other files of a repository are not fetched."""

PUBLISHED = "ASLP-lab/C2SER-LLM"
"""The authors' repository, whose file is in their own layout."""

CHECKPOINTS = ("C2SER_llm.pt", "C2SER_model.pt")
"""What their file is called: in their code's README, and on their model card."""

ENCODER, ENCODER_FILE = "ASLP-lab/Emotion2Vec-S", ("checkpoint.pt",)
LLM, WHISPER = "Qwen/Qwen2-7B", "openai/whisper-medium"
"""What goes with it."""


def find_model(name: str | Path) -> Path:
    """Return the folder of a model; what the hub has is fetched on the first call and found in its cache on the next.

    Args:
        name: a folder, or an id of the hub, `<owner>/<name>`, with a folder that `export-model` wrote, or `PUBLISHED`,
            which is converted on the way.

    Raises:
        ValueError: there is no such folder, and the hub does not give one.
    """
    folder = Path(name)
    if folder.exists() or not HUB_ID.fullmatch(str(name)):
        return folder
    if str(name) == PUBLISHED:
        return _converted()
    return fetch(str(name), FILES, ["config.json"]).parent


def small_model() -> Path:
    """Return the folder of the small model of this clone.

    Raises:
        ValueError: there is none.
    """
    folder = ROOT / SMALL
    if (folder / "config.json").is_file():
        return folder
    if not (ROOT / "tools" / "Makefile").is_file():
        raise ValueError("--model: none is given; give a model folder or an id of the hub")
    raise ValueError(
        f"{folder}: no small model yet; train one with 'make -C {ROOT} demo', or give another with --model"
    )


def fetch(name: str, patterns: Sequence[str], needed: Sequence[str]) -> Path:
    """Fetch the files of a repository that match patterns, and return where the first one of the needed names lies.

    Raises:
        ValueError: there is no such repository, or it has none of the needed files; or the hub or the disk fails.
    """
    logger.info("%s: no folder here, so the hub is asked", name)
    try:
        folder = Path(snapshot_download(name, allow_patterns=[*patterns]))
    except Exception as error:  # the hub's own kinds, and those of its HTTP library
        reason, remedy = _explain(error)
        raise ValueError(f"{name}: no such folder, and the hub does not give it ({reason}); {remedy}") from None
    found = [folder / file for file in needed if (folder / file).is_file()]
    if not found:
        raise ValueError(f"{name}: its repository has no {' or '.join(needed)}; choose a model of C²SER")
    return found[0]


def _explain(error: Exception) -> tuple[str, str]:
    """Return what went wrong and what to do; the hub's library writes paragraphs."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and its cache has no whole copy", "check the name, or unset HF_HUB_OFFLINE"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):  # private repositories look like missing ones
        return (
            f"it answers {status}",
            "check the name; if the repository is private or gated, log in with 'hf auth login'",
        )
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return one_line(cause, 160), "check the name and the network, and try again"


def _converted() -> Path:
    """Return the model folder of the published checkpoint; it lies in the hub's cache, beside what it was made of."""
    checkpoint = fetch(PUBLISHED, CHECKPOINTS, CHECKPOINTS)
    encoder = fetch(ENCODER, ENCODER_FILE, ENCODER_FILE)
    made_of = [path.parent.name[:12] for path in (checkpoint, encoder)]  # snapshots are named after their commits
    out = checkpoint.parents[2] / "c2ser" / f"format{FORMAT}-{'-'.join(made_of)}"
    out.parent.mkdir(exist_ok=True)
    with WeakFileLock(out.with_suffix(".lock")):
        if not out.exists():
            convert(checkpoint, Sources(LLM, WHISPER, encoder), "implicit", out)
    return out
