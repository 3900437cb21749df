"""Readers that a fuzzer gives anything to, each with good inputs to begin from; and inputs that broke one before."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from c2ser import audio
from c2ser.data.arks import read_matrix
from c2ser.emotion2vec.checkpoints import read_published
from c2ser.log import printable
from c2ser.prep.unpack import unpack
from c2ser.recordings.inputs import find_recordings
from c2ser.recordings.turns import read_rttm
from c2ser.scoring.labels import read_answer, read_kind
from c2ser.tables import read_json, read_table
from c2ser.tensors import read_tensors
from c2ser.yaml_files import read_yaml
from faults.bad_audio import TONE, encoded
from faults.bad_tables import import_table
from faults.bad_texts import ANSWERS


def _saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _answer(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    read_kind(text, text[:20])
    read_answer(text, text[:20])


def _unpack(path: Path) -> None:
    unpack(path, path.parent / "out", 1 << 20)


def _zipped() -> bytes:
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/b.txt", "x" * 50)
    return file.getvalue()


WAVE = TONE[:800]

READERS: dict[str, tuple[Callable[[Path], Any], str, list[bytes]]] = {
    "table": (read_table, "", [b"a-1 x\nb-2 y z\n", "ä 高兴\n".encode()]),
    "csv": (import_table, ".csv",
            [b'file,emotion,speaker,text\nx.wav,anger,a,"yes, no"\n', b"file;emotion\nx.wav;fear\n"]),
    "jsonl": (import_table, ".jsonl", [b'{"file": "x.wav", "emotion": "anger", "votes": [1, 2]}\n']),
    "recordings": (lambda path: find_recordings([path]), ".csv",
                   [b"file,start,end,more\nx.wav,0,1.5,a\nx.wav,2,3,b\n"]),
    "rttm": (read_rttm, ".rttm", [b"SPEAKER a 1 0.5 2.0 <NA> <NA> b <NA> <NA>\n"]),
    "wav": (lambda path: audio.load(path, "x"), ".wav", [encoded(WAVE), encoded(WAVE, subtype="FLOAT"),
                                                          encoded(WAVE, subtype="PCM_U8")]),
    "audio": (lambda path: sum(map(len, audio.stream(path, "x"))), "",
              [encoded(WAVE, format="FLAC"), encoded(WAVE, format="AIFF"), encoded(WAVE, format="MP3")]),
    "yaml": (read_yaml, ".yaml", [b"a: {b: [1, 2.5, x]}\nc: &d y\ne: *d\n", b"- 2026-11-28\n- !!str 3\n- ~\n"]),
    "json": (read_json, ".json", [b'{"a": [1, 2.5e3, null, true, "x\\u00e4"]}']),
    "answer": (_answer, "", [text.encode()[:200] for text in ANSWERS if text]),
    "ark": (lambda path: read_matrix(f"{path}:2", "x"), "",
            [b"u \0BFM \4\1\0\0\0\4\2\0\0\0" + np.ones(2, "<f4").tobytes()]),
    "weights": (read_tensors, "", [save({"x": torch.ones(2, 3), "y": torch.zeros(1)})]),
    "checkpoint": (read_published, ".pt",
                   [_saved({"model": {"x": torch.ones(2)}, "cfg": None}), b"(dS'model'\nI1\ns."]),
    "archive": (_unpack, ".zip", [_zipped()]),
}  # fmt: skip
"""By name: the reader, the ending of its file's name, and good inputs."""

BROKE: list[tuple[str, bytes]] = [
    ("ark", b"u \0BFM \4\xff\xff\xff\x7f\4\xff\xff\xff\x7f"),  # more bytes than a number of C holds
    ("jsonl", b'{"file": ' + b"9" * 5000 + b"}"),
    ("csv", b'\x01\x0bfile,emotion,speaker,text\nx.wav,anger,a,"yes, no"\n'),  # a message with a line of its own
]
"""What a fuzzer found: the reader, and the content that it did not take well then."""


def problem(reader: str, content: bytes, folder: Path) -> str:
    """Return what is wrong with how a reader takes a content; "" if it reads it or refuses it in one line."""
    reading, suffix, _ = READERS[reader]
    path = folder / f"bad{suffix}"
    path.write_bytes(content)
    try:
        reading(path)
    except (ValueError, OSError) as error:
        text = printable(str(error))  # as it is logged
        # messages that a caller completes with the file's name have no other thing than the utterance
        return "" if len(text.splitlines()) == 1 and ";" in text else f"a poor message: {text!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
