"""Bad tables, data directories and CSV files."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from c2ser.attributes.levels import read_attributes, stats_from_json
from c2ser.corpus import durations, emotions_of, read_data_dir
from c2ser.label_sets import SEVEN
from c2ser.prep.columns import Columns
from c2ser.prep.import_tables import import_tables
from c2ser.recordings.inputs import find_recordings
from c2ser.recordings.turns import read_rttm
from c2ser.scoring.metrics import timing
from c2ser.scoring.probabilities import read_vectors
from c2ser.tables import read_json, read_table, write_table
from faults.row import Gives, Refused, Row

LOOK_ALIKE = ("0", "00", "01", "1", "1e3", "null", "NaN", "true", "no", "2026-11-28", "0x10", "~", "inf", "-1", "#a")
"""Ids and texts that other programs take for numbers, truth values or dates."""

DATA = {
    "wav.scp": "a-1 x.wav\nb-2 y.wav\n",
    "utt2spk": "a-1 a\nb-2 b\n",
    "utt2emo": "a-1 anger\nb-2 fear\n",
    "utt2lang": "a-1 en\nb-2 en\n",
    "utt2dur": "a-1 1.5\nb-2 2.0\n",
    "text": "a-1 yes\nb-2 no\n",
}
"""A good data directory."""


def write_data(path: Path, files: Mapping[str, str]) -> None:
    """Write a good data directory with some other tables."""
    path.mkdir()
    for name, content in {**DATA, **files}.items():
        (path / name).write_text(content, "utf-8")


def _data(path: Path) -> Any:
    utterances = read_data_dir(path)
    SEVEN.check_table(emotions_of(utterances))
    return emotions_of(utterances), dict(durations(utterances))


def import_table(path: Path) -> Any:
    """Import a table beside its file."""
    written = import_tables([path], path.parent / "data", Columns(), into="test", nj=1)
    return written


def _recordings(path: Path) -> list[str]:
    return [recording.name for recording in find_recordings([path])]


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield from _tables()
    yield from _directories()
    yield from _numbers()
    yield from _lists()


def _tables() -> Iterator[Row]:
    def table(name: str, content: bytes, must: Refused | Gives = Refused()) -> Row:  # noqa: B008
        return Row("tables", name, read_table, content, must)

    yield table("a blank line", b"a x\n\nb y\n")
    yield table("a line of spaces", b"a x\n   \nb y\n")
    yield table("a line that begins with a space is its second word", b" a x\n", Gives({"a": "x"}))
    yield table("an utterance twice", b"a x\na y\n", Refused("a: second line"))
    yield table("an utterance twice, the same", b"a x\na x\n", Refused("a: second line"))
    yield table("a byte order mark", b"\xef\xbb\xbfa x\n")
    yield table("UTF-16 with a mark", "a x\n".encode("utf-16"))
    yield table("UTF-16 without a mark", "a x\n".encode("utf-16-le"), Refused(""))
    yield table("Latin-1", "a Käse\n".encode("latin-1"))
    yield table("GB18030", "a 高兴\n".encode("gb18030"))
    yield table("half a character at the end", "a 高".encode()[:-1])
    yield table("an overlong encoding", b"a \xc0\xaf\n")
    yield table("a surrogate", b"a \xed\xa0\x80\n")
    yield table("a NUL in an id", b"a\0b x\n", Refused(""))
    yield table("no line break at the end", b"a x\nb y", Gives({"a": "x", "b": "y"}))
    yield table("a tab for a space", b"a\tx\n")
    yield table("a zero-width space in an id", "a\u200b x\n".encode())
    yield table("CRLF", b"a x\r\nb y\r\n", Gives({"a": "x", "b": "y"}))
    yield table("an id alone", b"a\n", Gives({"a": ""}))
    yield table("several spaces", b"a   x  y \n", Gives({"a": "x  y"}))
    yield table("an empty file", b"", Gives({}))
    yield table("a line of a megabyte", b"a " + b"x" * (1 << 20) + b"\n", Gives({"a": "x" * (1 << 20)}))
    yield table("no file", lambda path: None)  # type: ignore[arg-type]
    yield table("a folder", lambda path: path.mkdir())  # type: ignore[arg-type]
    for word in LOOK_ALIKE:
        yield table(f"the id and value {word}", f"{word} {word}\n".encode(), Gives({word: word}))
    for name in ("a b", "", "a\tb", "a\nb", "a\u2028b", "a\x00b", "a\u202eb", "\ufeffa", "a\u00a0b"):
        writing = functools.partial(_write_and_read, name)
        yield Row("ids", f"an id {name!r} is written", writing, b"", Refused(""))
    for name in ("a'b", 'a"b', "a`id`", "$(id)", "a;b", "a|b", "a&b", "-a", "../a", "/a", "é", "e\u0301", "😀", "高兴"):
        writing = functools.partial(_write_and_read, name)
        yield Row("ids", f"an id {name} is written and read", writing, b"", Gives({name: "x"}))


def _write_and_read(name: str, path: Path) -> dict[str, str]:
    write_table(path, {name: "x"})
    return read_table(path)


def _directories() -> Iterator[Row]:
    def data(name: str, files: Mapping[str, str], words: str, must: Gives | None = None) -> Row:
        making = functools.partial(write_data, files=files)
        return Row("data directories", name, _data, making, must or Refused(words))

    good = ({"a-1": "anger", "b-2": "fear"}, {"a-1": 1.5, "b-2": 2.0})
    yield data("good", {}, "", Gives(good))
    yield data("no utterances", {"wav.scp": ""}, "wav.scp")
    yield data("a pipe in wav.scp", {"wav.scp": "a-1 cat x.wav |\nb-2 y.wav\n"}, "a-1: ")
    yield data("a pipe in front", {"wav.scp": "a-1 | cat x.wav\nb-2 y.wav\n"}, "a-1: ")
    yield data("no path", {"wav.scp": "a-1\nb-2 y.wav\n"}, "a-1: ")
    yield data("no speaker", {"utt2spk": "b-2 b\n"}, "a-1: ")
    yield data("an empty speaker", {"utt2spk": "a-1\nb-2 b\n"}, "a-1: ")
    yield data("no emotion", {"utt2emo": "a-1 anger\n"}, "b-2: ")
    yield data("segments", {"segments": "a-1 x 0 1\n"}, "segments")
    for label in ("Anger", "angry", "wütend", "anger fear", "anger\u200b", "аnger", "null", "0"):
        yield data(f"the emotion {label!r}", {"utt2emo": f"a-1 {label}\nb-2 fear\n"}, "a-1: ")
    for number in ("x", "nan", "inf", "-1", "1e999", "1,5", "1.5 s", "0x10"):
        yield data(f"a duration of {number}", {"utt2dur": f"a-1 {number}\nb-2 2\n"}, "a-1: ")
    for number in ("x", "-1", "1.5", "nan", "left", "1e0"):
        yield data(f"the channel {number}", {"utt2channel": f"a-1 {number}\n"}, "a-1: ")
    for votes in ("anger", "anger:x", "anger:nan", "anger:inf", ":", "anger:1:", "anger=1"):
        yield data(f"the votes {votes}", {"utt2votes": f"a-1 {votes}\n"}, "a-1: ")
        yield data(f"the dimensions {votes}", {"utt2vad": f"a-1 {votes}\n"}, "a-1: ")


def _numbers() -> Iterator[Row]:
    for row in ("", "1 2", "1 2 3 4", "1 2 x", "1 2 nan", "1 2 inf", "1 2 1e308", "1,2,3", "1 2 -1e40"):
        yield Row("numbers", f"the attributes '{row}'", lambda path: read_attributes(read_table(path)),
                  f"bad {row}\n".encode())  # fmt: skip
    for row in ("", "1", "0.1 " * 6, "0.1 " * 8, "x " * 7, "nan " * 7, "inf " * 7, "1e999 " * 7):
        yield Row("numbers", f"the probabilities '{row[:12]}'", lambda path: read_vectors(read_table(path)),
                  f"bad {row}\n".encode())  # fmt: skip
    for row in ("", "1", "1 2 3", "x 1", "nan 1", "inf 1"):
        yield Row("numbers", f"the time '{row}'", lambda path: timing(read_table(path)), f"bad {row}\n".encode())
    one = '{"pitch": %s, "loudness": %s, "rate": %s}'
    for text in (
        "{}",
        "[]",
        "3",
        "null",
        '{"pitch": 3}',
        *(
            one % ((sums,) * 3)
            for sums in (
                '{"count": 0, "total": 0, "squares": 0}',
                '{"count": "x", "total": 0, "squares": 0}',
                '{"count": 1, "total": "x", "squares": 0}',
                '{"count": 1, "total": 1e999, "squares": 0}',
            )
        ),
    ):
        yield Row("numbers", f"the statistics {text}", lambda path: stats_from_json(read_json(path), path),
                  text.encode())  # fmt: skip
    for name, rttm in {
        "empty": "", "no type": "a 1 0 1\n", "too short": "SPEAKER a 1 0 1\n", "words": "SPEAKER a 1 x y <NA> <NA> b\n",
        "NaN": "SPEAKER a 1 nan 1 <NA> <NA> b\n", "negative": "SPEAKER a 1 -1 1 <NA> <NA> b\n",
        "backwards": "SPEAKER a 1 1 -1 <NA> <NA> b\n", "for ever": "SPEAKER a 1 0 inf <NA> <NA> b\n",
        "no length": "SPEAKER a 1 0 0 <NA> <NA> b\n", "too large": "SPEAKER a 1 0 1e999 <NA> <NA> b\n",
    }.items():  # fmt: skip
        yield Row("lists", f"turns, {name}", read_rttm, rttm.encode(), suffix=".rttm")
    yield Row("lists", "turns, UTF-16", read_rttm, "SPEAKER".encode("utf-16"), suffix=".rttm")


def _lists() -> Iterator[Row]:
    for name, text in {
        "no rows": "file,emotion\n", "nothing": "", "no header that is known": "a,b\n1,2\n",
        "too few fields": "file,emotion,speaker\nx.wav,anger\n", "too many fields": "file,emotion\nx.wav,anger,fear\n",
        "an open quote": 'file,emotion\n"x.wav,anger\n', "text after a quote": 'file,emotion\n"x"y,anger\n',
        "no such recording": "file,emotion,speaker\nx.wav,anger,a\n", "no label": "file,emotion,speaker\nx.wav,,a\n",
        "one heading twice": "file,file,emotion\nx.wav,y.wav,anger\n", "NULs": "file\0,emotion\nx.wav,anger\n",
        "an unquoted comma": "file,text,emotion\nx.wav,yes, no,anger\n", "a lone CR": "file,emotion\rx.wav,anger\r",
        "a pipe": "file,emotion,speaker\ncat x.wav |,anger,a\n",
        "a part that ends before it begins": "file,emotion,speaker,start,end\nx.wav,anger,a,2,1\n",
        "a part at NaN": "file,emotion,speaker,start,end\nx.wav,anger,a,nan,1\n",
    }.items():  # fmt: skip
        yield Row("csv", f"import, {name}", import_table, text.encode(), suffix=".csv")
    for name, content in {
        "UTF-16 with a mark": "file,emotion\n".encode("utf-16"), "a zip": b"PK\3\4" + b"\0" * 60,
        "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 60, "a field of a megabyte": b"file,emotion\n" + b"x" * (1 << 20),
    }.items():  # fmt: skip
        yield Row("csv", f"import, {name}", import_table, content, suffix=".csv")
    for name, content in {"no parquet": b"PAR1xxxxPAR1", "empty parquet": b""}.items():
        yield Row("csv", f"import, {name}", import_table, content, suffix=".parquet")
    for name, content in {
        "no object": b"3\n", "a list": b"[1]\n", "half": b'{"file": ', "deep": b"[" * 90000, "nothing": b"",
        "a number of 5,000 digits": b'{"file": ' + b"9" * 5000 + b"}",
    }.items():  # fmt: skip
        yield Row("csv", f"import, JSON lines, {name}", import_table, content, suffix=".jsonl")
    for name, text in {
        "no rows": "file\n", "nothing": "", "no column file": "a,b\n1,2\n", "an open quote": 'file\n"x.wav\n',
        "too many fields": "file\nx.wav,y\n", "an end that is none": "file,start,end\nx.wav,0,x\n",
        "an end before its start": "file,start,end\nx.wav,2,1\n", "NaN": "file,start,end\nx.wav,nan,1\n",
        "a start without an end": "file,start\nx.wav,-1\n", "a file without a name": "file,a\n,b\n",
    }.items():  # fmt: skip
        yield Row("lists", f"predict, {name}", _recordings, text.encode(), suffix=".csv")
    yield Row("lists", "predict, a list with nothing", _recordings, b"\n\n", suffix=".txt")
    yield Row("lists", "predict, a list in Latin-1", _recordings, "ä.wav".encode("latin-1"), suffix=".txt")
    yield Row("lists", "predict, no such file", _recordings, lambda path: None, suffix=".wav")
    yield Row("lists", "predict, an empty folder", _recordings, lambda path: path.mkdir())
